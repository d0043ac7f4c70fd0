"""Who listens on which TCP address, as the kernel tells it (proc_pid_net(5))."""

# ruff: noqa: PTH123
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ollamactl.host import processes
from ollamactl.host.oserrors import translate

_MAPPED = b"\0" * 10 + b"\xff\xff"
_WILDCARDS = ("0.0.0.0", "::")  # noqa: S104  (compared, never bound)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """A listening TCP socket; its inode is what /proc/PID/fd shows for it."""

    address: str
    """As it is bound; an IPv4 address that is mapped into IPv6 is written as IPv4."""
    port: int
    inode: int
    waiting: int = 0
    """Connections that the kernel has accepted, and the process has not."""


def read(proc: Path = Path("/proc")) -> tuple[Listener, ...]:
    """Every listening TCP socket of this network namespace. Raises HostError where the tables can't be read."""
    return tuple(_listener(line.split()) for line in _lines(proc) if b" 0A " in line)  # TCP_LISTEN, tcp_states.h


def ports(pid: int, proc: Path = Path("/proc")) -> frozenset[int]:
    """The ports on which a process listens, in the network namespace of its own."""
    held = processes.sockets(pid, proc)
    rows = [line.split() for line in _lines(proc / str(pid)) if b" 0A " in line]
    return frozenset(int(row[1].rpartition(b":")[2], 16) for row in rows if int(row[9]) in held)


def connected(address: str, port: int, proc: Path = Path("/proc")) -> int:
    """How many connections lead to a socket that listens there, taken by its process or not."""
    ended = (b"06", b"0A")  # TCP_TIME_WAIT, and the listener itself
    rows = [line.split() for line in _lines(proc)]
    found = (_listener(row) for row in rows if row[3] not in ended)
    return sum((each.address, each.port) == (address, port) for each in found)


def _lines(place: Path) -> Iterator[bytes]:
    """The rows of both tables, without their headings."""
    for table in ("tcp", "tcp6"):
        path = f"{place}/net/{table}"
        try:
            with open(path, "rb", buffering=0) as file:
                yield from file.read().splitlines()[1:]
        except FileNotFoundError:
            continue  # a kernel without IPv6, or a process that has gone
        except OSError as error:
            raise translate(error, "read", path) from error


def serving(listeners: Iterable[Listener], host: str, port: int) -> tuple[Listener, ...]:
    """Those that would answer a connection to the address, or clash with a server bound to it.

    The exact address comes first, as the kernel prefers it, then the wildcards of its own family, then `::`, which
    also takes IPv4 connections unless IPV6_V6ONLY is set (ipv6(7); Go, and so Ollama, leaves it off). For a wildcard
    every listener of the port clashes.
    """
    ranked = []
    for listener in listeners:
        if listener.port == port and (rank := _rank(listener.address, host)) is not None:
            ranked.append((rank, listener))
    return tuple(listener for _, listener in sorted(ranked, key=lambda pair: pair[0]))


def _rank(address: str, host: str) -> int | None:
    same_family = (":" in address) == (":" in host)
    if address == host:
        return 0
    if address in _WILDCARDS:
        return 1 if same_family else 2 if address == "::" or host == "::" else None
    if host in _WILDCARDS and (same_family or host == "::"):
        return 3
    return None


def _listener(fields: list[bytes]) -> Listener:
    address, _, port = fields[1].partition(b":")
    waiting = int(fields[4].rpartition(b":")[2], 16)  # rx_queue; of a listener it counts connections (tcp_ipv4.c)
    return Listener(address=_address(address), port=int(port, 16), inode=int(fields[9]), waiting=waiting)


def _address(text: bytes) -> str:
    # The kernel prints each 32-bit word of an address that lies in network order as a number of its own order.
    words = (int(text[at : at + 8], 16) for at in range(0, len(text), 8))
    raw = b"".join(word.to_bytes(4, sys.byteorder) for word in words)
    if raw.startswith(_MAPPED) or len(raw) == 4:
        return ".".join(map(str, raw[-4:]))
    if not any(raw):
        return "::"
    from socket import AF_INET6, inet_ntop

    return inet_ntop(AF_INET6, raw)
