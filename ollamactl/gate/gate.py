"""The doors of the fleet: each listens for one server's clients."""

import asyncio
import socket
from typing import cast

from ollamactl.gate.backend import Pool
from ollamactl.gate.client import Client
from ollamactl.gate.clock import Clock
from ollamactl.gate.decide import Listener
from ollamactl.gate.server import Server
from ollamactl.gate.waking import Waker

_BACKLOG = 4096
"""Connections that the kernel accepts for us; it cuts that to net.core.somaxconn."""
_SETTLES_SECONDS = 0.01


class Door:
    """One listener, and what lies behind it."""

    def __init__(
        self, pool: Pool, clock: Clock, listener: Listener, waker: Waker | None = None, server: Server | None = None
    ) -> None:
        self.pool = pool
        self.clock = clock
        self.listener = listener
        self.waker = waker
        self.server = server
        self.clients: set[Client] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._server: asyncio.Server | None = None

    async def open(self, sock: socket.socket) -> None:
        """Takes clients from a bound socket."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._client, sock=sock, backlog=_BACKLOG)

    def _client(self) -> Client:
        client = Client(self)
        self.clients.add(client)
        self._empty.clear()
        return client

    async def close(self) -> None:
        """Takes no more clients, and waits until those who are being answered have been."""
        await self.shut()
        self.drain()
        await self._empty.wait()

    async def shut(self) -> None:
        """Takes no more clients, but those whom the loop has accepted already: asyncio would forget them, if its server
        were closed before it has made their transports."""
        if self._server:
            for sock in self._server.sockets:
                asyncio.get_running_loop().remove_reader(sock)
            await asyncio.sleep(_SETTLES_SECONDS)
            self._server.close()

    def drain(self) -> None:
        """Takes no more requests of those who are there, but for what they have sent already."""
        for client in [*self.clients]:
            client.drain()

    def left(self, client: object) -> None:
        """One is gone."""
        self.clients.discard(cast(Client, client))
        if not self.clients:
            self._empty.set()
