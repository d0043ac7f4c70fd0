"""The host's own addresses: a server on every interface must let them through, and one on another cannot listen."""

import errno
from collections.abc import Iterable
from pathlib import Path

_LOOPBACK, _LINK_LOCAL = "127.", "169.254."
_GLOBAL_SCOPES = (0x00, 0x40)  # global and site: IPV6_ADDR_SCOPE_TYPE, include/net/ipv6.h
_TEMPORARY = 0x01  # IFA_F_TEMPORARY, linux/if_addr.h


def own(proc: Path = Path("/proc")) -> tuple[str, ...]:
    """The host's IPv4 and IPv6 addresses in order, without loopback and link-local ones; () where none is known.

    IPv6's temporary addresses (RFC 8981) are left out: nobody is given one to connect to, and as they change daily
    they would make every unit of the host drift.
    """
    ipv4 = sorted(_ipv4(_lines(proc / "net/fib_trie")), key=lambda text: tuple(map(int, text.split("."))))
    return (*ipv4, *_ipv6(_lines(proc / "net/if_inet6")))


def lacking(hosts: Iterable[str]) -> frozenset[str]:
    """Those addresses on which the kernel lets nobody listen here.

    It is asked by a bind() to port 0, as it alone knows of temporary addresses, of whole networks that are local
    (ip-route(8), type local) and of leave to bind what is not there yet (net.ipv4.ip_nonlocal_bind in ip(7)).
    """
    return frozenset(host for host in hosts if not _binds(host))


def _binds(host: str) -> bool:
    from socket import AF_INET, AF_INET6, SOCK_STREAM, socket

    try:
        with socket(AF_INET6 if ":" in host else AF_INET, SOCK_STREAM) as tried:
            tried.bind((host, 0))
    except OSError as error:
        return error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
    return True


def _ipv4(lines: list[str]) -> set[str]:
    """Leaves of the routing table that are local to the host (net/ipv4/fib_trie.c, fib_trie_seq_show)."""
    found, leaf = set(), ""
    for line in lines:
        text = line.strip()
        if text.startswith("|-- "):
            leaf = text[4:]
        elif text == "/32 host LOCAL" and not leaf.startswith((_LOOPBACK, _LINK_LOCAL)):
            found.add(leaf)
    return found


def _ipv6(lines: list[str]) -> list[str]:
    """Address, interface number, prefix length, scope, flags, interface (proc_pid_net(5)), all in hex."""
    raw = set()
    for line in lines:
        address, _, _, scope, flags, _ = line.split()
        if int(scope, 16) in _GLOBAL_SCOPES and not int(flags, 16) & _TEMPORARY:
            raw.add(bytes.fromhex(address))
    if not raw:
        return []
    from socket import AF_INET6, inet_ntop

    return [inet_ntop(AF_INET6, address) for address in sorted(raw)]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("ascii").splitlines()
    except OSError:
        return []  # no such table: a kernel without IPv6, or a sandbox
