"""How the gate reaches a server: at an address of its own network, or of one that the server has for itself."""

import asyncio
import socket
from typing import Protocol

from ollamactl.errors import HostError, NotPermitted
from ollamactl.host import netns

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
        return await connected(tcp(self.address), self.address)

    def forget(self) -> None:
        """By the dialer."""


class Processes(Protocol):
    """The service manager; raises HostError or NotPermitted."""

    async def main_pid(self, unit: str) -> int:
        """The unit's main process, 0 for none."""


class Inside:
    """To a server with a network namespace of its own, held while it is awake. A restarted server has another one."""

    def __init__(self, unit: str, address: Address, processes: Processes) -> None:
        self.address = address
        self._unit = unit
        self._processes = processes
        self._pid = 0
        self._there: netns.Namespace | None = None

    async def dial(self) -> socket.socket:
        """By the dialer."""
        if self._there:
            try:
                return await self._dial(self._there)
            except ConnectionRefusedError:
                self.forget()
        return await self._dial(await self._found())

    async def _dial(self, there: netns.Namespace) -> socket.socket:
        return await connected(there.socket(family(self.address)), self.address)

    async def _found(self) -> netns.Namespace:
        try:
            pid = await self._processes.main_pid(self._unit)
            if not pid:
                raise ConnectionRefusedError(f"{self._unit} does not run")
            there = netns.Namespace(pid)
        except (HostError, NotPermitted) as error:
            raise ConnectionRefusedError(str(error)) from error
        if there.is_own():  # where our own port is: a process that systemd has just made has not left it yet
            there.close()
            raise ConnectionRefusedError("its network is not there yet")
        if self._there:
            there.close()
        else:
            self._there = there
        return self._there

    def forget(self) -> None:
        """By the dialer."""
        if self._there:
            self._there.close()
            self._there = None


def family(address: Address) -> socket.AddressFamily:
    """The address's."""
    return socket.AF_INET6 if ":" in address[0] else socket.AF_INET


def tcp(address: Address) -> socket.socket:
    """A socket that can be connected to it."""
    return socket.socket(family(address), socket.SOCK_STREAM)


async def connected(sock: socket.socket, address: Address) -> socket.socket:
    """The socket, connected; closed, where that fails."""
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock
