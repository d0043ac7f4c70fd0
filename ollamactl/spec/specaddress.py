"""The addresses of a spec: where a server listens, who may reach it, which registries it is about. Pure."""

import ipaddress
import re
from functools import lru_cache

from ollamactl.errors import WrongValueError
from ollamactl.model import WILDCARDS
from ollamactl.modelname import ModelName


@lru_cache(maxsize=4096)
def host(text: str) -> str:
    """A literal address that a server can listen on, in its canonical spelling."""
    if text.lower() == "localhost":
        raise WrongValueError("must be a literal IP address, not a name", "write 127.0.0.1 (or ::1)")
    if "://" in text:
        raise WrongValueError("must be an IP address, not a URL", "write the address alone, and the port as port:")
    if "%" in text:
        raise WrongValueError("a zone (%...) is not supported", "write an address that needs none")
    if text.startswith("[") or re.fullmatch(r"[0-9.]+:[0-9]+", text):
        raise WrongValueError(
            f"{text!r} is not a bare address", "write it without brackets; the port is a key of its own"
        )
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        hint = "names are not looked up: write an address, 127.0.0.1 for this host alone, 0.0.0.0 for every address"
        if text in ("*", "any", "all"):
            hint = "write 0.0.0.0 for every address"
        raise WrongValueError(f"{text!r} is not an IP address", hint) from None
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            raise WrongValueError(f"{text!r} is an IPv4 address written as IPv6", f"write {address.ipv4_mapped}")
        if address.is_link_local:
            raise WrongValueError(f"{text!r} is link-local and needs a zone", "write an address that needs none")
    if address.is_multicast or str(address) == "255.255.255.255":
        raise WrongValueError(
            f"{text!r} is not the address of one host", "write 127.0.0.1 for this host, 0.0.0.0 for all"
        )
    return str(address)


@lru_cache(maxsize=4096)
def network(text: str) -> str:
    """A network in canonical CIDR form, or `any`."""
    if text.lower() == "any":
        return "any"
    if text.lower() == "localhost":
        raise WrongValueError("this host may always reach the port", "remove it")
    if text in ("*", "all", "everybody", "everyone", *WILDCARDS):
        raise WrongValueError(f"{text!r} is not a network", "write any for everybody")
    if "%" in text:
        raise WrongValueError("a zone (%...) is not supported", "write the network without it")
    try:
        found = ipaddress.ip_network(text, strict=False)
    except ValueError:
        hint = "write a network such as 10.0.0.0/8, an address, or any; names are not looked up"
        raise WrongValueError(f"{text!r} is not a network", hint) from None
    if isinstance(found, ipaddress.IPv6Network) and (mapped := found.network_address.ipv4_mapped):
        raise WrongValueError(
            f"{text!r} is an IPv4 network written as IPv6", f"write {mapped}/{max(0, found.prefixlen - 96)}"
        )
    if "/" in text and found.network_address != ipaddress.ip_address(text.partition("/")[0]):
        raise WrongValueError(f"{text!r} has host bits set", f"write {found}")
    return str(found)


def registry(text: str) -> str:
    """`HOST` or `HOST:PORT`, as it stands before a model's name."""
    try:
        if "/" in text:
            raise ValueError(text)
        return ModelName.parse(f"{text}/a/b").host
    except ValueError:
        bare = text.partition("://")[2].partition("/")[0] or "registry.example:5000"
        raise WrongValueError(f"{text!r} is not a registry", f"write its name alone: {bare}") from None
