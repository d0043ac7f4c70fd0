"""How the gate reaches a server: `brokered` knows the way into a network of the server's own."""

import asyncio
import socket
from typing import Protocol

Address = tuple[str, int]


class Dialer(Protocol):
    """The way to one server."""

    address: Address

    async def dial(self) -> socket.socket:
        """A connection that blocks nobody. Raises OSError, as connect(2) does."""

    def forget(self) -> None:
        """The server has ended, or is about to: nothing of it is held any longer."""


class Direct:
    """To a server in the network of the gate."""

    def __init__(self, address: Address) -> None:
        self.address = address

    async def dial(self) -> socket.socket:
        """By the dialer."""
        family = socket.AF_INET6 if ":" in self.address[0] else socket.AF_INET
        return await connected(socket.socket(family, socket.SOCK_STREAM), self.address)

    def forget(self) -> None:
        """By the dialer."""


async def connected(sock: socket.socket, address: Address) -> socket.socket:
    """The socket, connected; closed, where that fails."""
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock
