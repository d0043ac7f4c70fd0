"""The doors of the fleet: each listens for one server's clients."""

import asyncio
import socket

from ollamactl.gate.backend import Pool
from ollamactl.gate.client import Client
from ollamactl.gate.clock import Clock
from ollamactl.gate.decide import Listener

_BACKLOG = 4096
"""Connections that the kernel accepts for us; it cuts that to net.core.somaxconn."""


class Door:
    """One listener, and what lies behind it."""

    def __init__(self, pool: Pool, clock: Clock, listener: Listener) -> None:
        self.pool = pool
        self.clock = clock
        self.listener = listener
        self.limits = pool.limits
        self.clients: set[Client] = set()
        self._server: asyncio.Server | None = None

    async def open(self, sock: socket.socket) -> None:
        """Takes clients from a bound socket."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._client, sock=sock, backlog=_BACKLOG)

    def _client(self) -> Client:
        client = Client(self)
        self.clients.add(client)
        return client

    def left(self, client: Client) -> None:
        """One is gone."""
        self.clients.discard(client)
