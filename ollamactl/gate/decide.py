"""What becomes of a request: the one decision of the gate, taken from its head and what is known of the server."""

from dataclasses import dataclass

from ollamactl.gate.message import RequestHead


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """The gate answers itself."""

    status: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """The server answers."""


FORWARD = Forward()
Decision = Forward | Refuse

_NOT_PASSED = frozenset((b"CONNECT", b"TRACE"))
"""A tunnel would leave HTTP; an echo is for those who test proxies (RFC 9110, 9.3.6 and 9.3.8)."""


def decide(head: RequestHead) -> Decision:
    """What to do with the request."""
    if head.method in _NOT_PASSED:
        return Refuse(status=405, text=f"{head.method.decode()} is not passed on")
    return FORWARD
