"""What becomes of a request: the one decision of the gate, taken from its head and what is known of the server."""

from dataclasses import dataclass

from ollamactl.gate.hostcheck import allowed
from ollamactl.gate.message import RequestHead


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """A socket that clients reach."""

    loopback: bool = False
    """Whether only this machine does. Then Host is asked for, as Ollama does on such an address."""
    own: frozenset[str] = frozenset()
    """This machine's name and addresses, in small letters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """The gate answers itself."""

    status: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """The server answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wake:
    """The server answers, once it is awake."""


FORWARD, WAKE = Forward(), Wake()
Decision = Forward | Wake | Refuse

_NOT_PASSED = frozenset((b"CONNECT", b"TRACE"))
"""A tunnel would leave HTTP; an echo is for those who test proxies (RFC 9110, 9.3.6 and 9.3.8)."""


def decide(head: RequestHead, listener: Listener, *, awake: bool) -> Decision:
    """What to do with the request; `awake` as far as is known of the server."""
    if head.method in _NOT_PASSED:
        return Refuse(status=405, text=f"{head.method.decode()} is not passed on")
    if listener.loopback and not allowed(head.host, listener.own):
        return Refuse(status=403, text=f"{head.host.decode()!r} is no name of this machine, as all below .local are")
    return FORWARD if awake else WAKE
