"""A variable's value as Ollama reads it (envconfig/config.go there), and where it falls back without a word. Pure."""

import ipaddress
import re
from dataclasses import dataclass

DEFAULT_PORT = 11434
_LOOPBACK = "127.0.0.1"
_SCHEMES = {"http": 80, "https": 443}
TRUE = ("1", "t", "T", "TRUE", "true", "True")
FALSE = ("0", "f", "F", "FALSE", "false", "False")
"""What strconv.ParseBool reads."""
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """What `ollama serve` makes of OLLAMA_HOST."""

    host: str
    """An address or a name; `0.0.0.0` for none before a colon, which binds every interface."""
    port: int
    scheme: str = ""
    """`http` or `https` where it was written: another default port, and nothing else."""
    bad_port: str = ""
    """What stood for a port and is none: the default is taken for it."""


def word(value: str) -> str:
    """The value without blanks and quotes around it (Var)."""
    return value.strip().strip("\"'")


def truth(value: str, *, default: bool = False) -> bool:
    """A switch: what strconv.ParseBool cannot read counts as true (BoolWithDefault)."""
    text = word(value)
    return text not in FALSE if text else default


def is_boolean(value: str) -> bool:
    """Whether a switch's value is one that is read, and not taken for true unread; empty is the default."""
    return word(value) in ("", *TRUE, *FALSE)


def duration(value: str) -> float | None:
    """Seconds of a Go duration (`1h30m`) or of a bare number; None where it is neither, and so the default is taken."""
    text = word(value)
    if re.fullmatch(r"[+-]?\d{1,18}", text):
        return float(text)
    sign, rest = (text[0], text[1:]) if text[:1] in ("+", "-") else ("", text)
    parts = _PART.findall(rest)
    if not parts or "".join(map("".join, parts)) != rest:
        return None
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    return -seconds if sign == "-" else seconds


def number(value: str) -> int | None:
    """A count; None where it is none (strconv.ParseUint), and so the default is taken."""
    text = word(value)
    return int(text) if re.fullmatch(r"[0-9]{1,19}", text) else None


def listen(value: str) -> Listen:
    """Where `ollama serve` listens for a value of OLLAMA_HOST (Host)."""
    scheme, separator, rest = word(value).partition("://")
    if not separator:
        scheme, rest = "", word(value)
    default = _SCHEMES.get(scheme, DEFAULT_PORT)
    rest = rest.partition("/")[0]
    host, port = _split(rest) or (rest.strip("[]") or _LOOPBACK, str(default))
    good = re.fullmatch(r"[0-9]{1,9}", port) is not None and int(port) <= 65535
    return Listen(
        host=host or "0.0.0.0",  # noqa: S104 - reads what another unit binds
        port=int(port) if good else default,
        scheme=scheme,
        bad_port="" if good else port or "(nothing after the colon)",
    )


def listen_address(value: str) -> tuple[str, int]:
    """The same as a pair, with the loopback's address for its name."""
    at = listen(value)
    return _LOOPBACK if at.host == "localhost" else at.host, at.port


def is_loopback(host: str) -> bool:
    """Whether a literal address, or its name, is reached from its own host alone."""
    return host == "localhost" or (is_address(host) and ipaddress.ip_address(host).is_loopback)


def is_address(host: str) -> bool:
    """Whether it is a literal IP address, and not a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _split(text: str) -> tuple[str, str] | None:
    """Go's net.SplitHostPort; None where that is an error, as it is without a port."""
    if text.startswith("["):
        host, bracket, port = text[1:].partition("]")
        if not bracket or not port.startswith(":") or {"[", "]"} & {*host, *port} or ":" in port[1:]:
            return None
        return host, port[1:]
    host, colon, port = text.rpartition(":")
    if not colon or {":", "[", "]"} & {*host} or {"[", "]"} & {*port}:
        return None
    return host, port
