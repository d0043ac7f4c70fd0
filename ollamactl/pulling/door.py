"""The way to the server that pulls, which opens to connections of ours alone.

Ollama knows no passwords, and whoever reaches a port of this machine's can speak to it: that is every local user. So we
take hold of the server's own listening socket (pidfd_getfd(2)) and put a filter on it (SO_ATTACH_FILTER, socket(7))
that drops every segment but those of the one connection that we have. Who was quicker than the filter waits for the
server, which looks for cards before it takes anybody: so we take those in its place, and turn them away.
"""

import ctypes
import os
import random
import select
import socket
import struct
from contextlib import suppress
from pathlib import Path

from ollamactl.host import listeners

_PIDFD_GETFD = 438  # the same on every architecture
_ATTACH_FILTER = 26
_ALL, _NOTHING = 0x7FFFFFFF, 0
_SOURCE = 0x100000000 - 0x100000 + 12  # SKF_NET_OFF, and there the address of who sends


class StrangersError(Exception):
    """The server has taken somebody's connection already."""


class Door:
    """Makes connections to a server's address; `closed` says whether nobody else can."""

    def __init__(self, address: str, port: int, listener: socket.socket | None = None) -> None:
        self._there, self._listener = (address, port), listener
        self._from = random_address()

    @property
    def closed(self) -> bool:
        """Whether only our connections get through."""
        return self._listener is not None

    def connect(self, timeout: float | None) -> socket.socket:
        """A connection; it is the only one that gets through until the next. Raises OSError."""
        plug = socket.socket()
        try:
            plug.settimeout(timeout)
            # Nobody else can have this address and port as long as we do: so it is told from all others
            plug.bind((self._from, 0))
            if self._listener:
                _filter(self._listener, _only(*plug.getsockname()))
            plug.connect(self._there)
        except BaseException:
            plug.close()
            raise
        return plug

    def shut(self) -> None:
        """Before a connection ends: what comes from its address and port then may be somebody else's."""
        if self._listener:
            with suppress(OSError):
                _filter(self._listener, _none())

    def close(self) -> None:
        """Lets the listening socket go."""
        if self._listener:
            self._listener.close()


def closed(pid: int, address: str, port: int) -> Door:
    """Closes the door of a process that listens to IPv4 there; it stays so.

    Raises OSError where the kernel does not let us, and StrangersError where somebody came before.
    """
    listener = _taken(pid, address, port)
    try:
        _filter(listener, _none())
        _turn_away(listener)
        if listeners.connected(address, port):
            raise StrangersError
    except BaseException:
        listener.close()
        raise
    return Door(address, port, listener)


def _turn_away(listener: socket.socket) -> None:
    """Resets the connections that the server has not taken."""
    with suppress(BlockingIOError):  # the server was there first
        while select.select([listener], [], [], 0)[0]:
            plug, _ = listener.accept()
            plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            plug.close()


def random_address() -> str:
    """One of loopback's that no server of a fleet can reach: 127.0.0.1 alone is open to them."""
    return f"127.{random.randint(64, 254)}.{random.randint(0, 255)}.{random.randint(1, 254)}"  # noqa: S311


def _taken(pid: int, address: str, port: int) -> socket.socket:
    inode = next((each.inode for each in listeners.read() if (each.address, each.port) == (address, port)), 0)
    process = os.pidfd_open(pid)
    try:
        number = next(int(fd.name) for fd in Path(f"/proc/{pid}/fd").iterdir() if _leads_to(fd) == f"socket:[{inode}]")
        libc = ctypes.CDLL(None, use_errno=True)
        taken = libc.syscall(_PIDFD_GETFD, process, number, 0)
        if taken < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    except StopIteration:
        raise OSError("another process listens there") from None
    finally:
        os.close(process)
    listener = socket.socket(fileno=taken)
    if listener.proto != socket.IPPROTO_TCP:  # MPTCP, whose segments pass a filter by
        listener.close()
        raise OSError("it does not listen to TCP")
    return listener


def _leads_to(fd: Path) -> str:
    try:
        return str(fd.readlink())
    except OSError:
        return ""


def _filter(listener: socket.socket, rows: list[tuple[int, int, int, int]]) -> None:
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *row) for row in rows))
    program = struct.pack("@HP", len(rows), ctypes.addressof(code))  # struct sock_fprog
    listener.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, program)


def _none() -> list[tuple[int, int, int, int]]:
    return [_answer(_NOTHING)]


def _only(address: str, port: int) -> list[tuple[int, int, int, int]]:
    """In the kernel's classic BPF (linux/filter.h): the address and the port that a segment comes from."""
    (number,) = struct.unpack(">I", socket.inet_aton(address))
    load_word, load_half, equal = 0x20, 0x28, 0x15
    return [
        (load_word, 0, 0, _SOURCE),
        (equal, 0, 3, number),
        (load_half, 0, 0, 0),
        (equal, 0, 1, port),
        _answer(_ALL),
        _answer(_NOTHING),
    ]


def _answer(octets: int) -> tuple[int, int, int, int]:
    """How much of a segment gets through."""
    return (0x06, 0, 0, octets)
