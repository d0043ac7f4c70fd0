"""Ollama's fence against DNS rebinding, which has to stand where Host is rewritten (server/routes.go, 0.34).

A web page whose name an attacker lets resolve to 127.0.0.1 reaches a local port from the user's own browser, and only
Host tells. Ollama asks for it where it listens on loopback; behind the gate it would see the gate's Host alone.
"""

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

_PRIVATE = tuple(map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")))
"""Go's netip.Addr.IsPrivate: RFC 1918 and 4193, which is less than Python's is_private."""
_LOCAL = (".localhost", ".local", ".internal")
_BRACKETS = re.compile(r"\[([^\[\]]*)\]:[^:\[\]]*")
_NAME = re.compile(r"([^:\[\]]*):[^:\[\]]*")


@lru_cache(maxsize=1024)
def allowed(host: bytes, own: frozenset[str]) -> bool:
    """Whether a request with that Host is for this machine; `own` are its name and addresses, in small letters.

    As allowedHostsMiddleware: addresses that are loopback, private, unspecified or the machine's own, no host at all,
    `localhost`, the machine's name, and all below `.localhost`, `.local` and `.internal`.
    """
    name = _without_port(host.decode("latin-1")).lower()
    try:
        address = ip_address(name)
    except ValueError:
        return name in ("", "localhost") or name in own or name.endswith(_LOCAL)
    return _near(address) or str(address) in own


def _without_port(host: str) -> str:
    """Go's net.SplitHostPort, and all of it where that fails: `[::1]` without a port is no address then."""
    split = _BRACKETS.fullmatch(host) or _NAME.fullmatch(host)
    return split[1] if split else host


def _near(address: IPv4Address | IPv6Address) -> bool:
    if int(address) == 0:  # not is_unspecified: from Python 3.13 on ::ffff:0.0.0.0 is that too, for Go it is not
        return True
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address.is_loopback or any(address in network for network in _PRIVATE)
