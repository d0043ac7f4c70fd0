"""What the gate grants a connection, so that none can hold memory or time without bound."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bytes, counts and seconds; tests shorten the times."""

    head_bytes: int = 32 * 1024
    """A request's or an answer's head, as nginx's large_client_header_buffers; more is 431."""
    fields: int = 100
    """Header fields in one head; more is 431."""
    held_bytes: int = 256 * 1024
    """Read ahead of what can be passed on: a body while its server wakes, or requests that were pipelined."""
    unsent_bytes: int = 64 * 1024
    """Waiting for a reader, each way, before the writer is made to wait (asyncio's high-water mark)."""
    idle_connections: int = 64
    """Open connections kept to one server that has nothing to do on them."""

    head_seconds: float = 30.0
    """From a head's first byte to its last; then 408."""
    idle_seconds: float = 120.0
    """A client's connection between requests: longer than the 90 s of Go's clients, who then close it themselves."""
    body_seconds: float = 60.0
    """Between two pieces of a request's body; then 408."""
    stall_seconds: float = 300.0
    """A client that takes nothing of an answer that waits for it."""
    linger_seconds: float = 5.0
    """Reading on after a last answer, so that a reset does not destroy it on its way (RFC 9112, 9.6)."""
    idle_look_seconds: float = 0.05
    """Between two looks at what is about to end."""
    obeys_seconds: float = 5.0
    """From StopUnit until a unit that still runs counts as started anew."""
    empty_seconds: float = 30.0
    """Without a client and with all servers asleep, until the gate ends, too."""
    connect_seconds: float = 10.0
    """Until a server accepts a connection."""
    server_idle_seconds: float = 60.0
    """A connection to a server between requests. There is none for its answer: a load may take as long as it likes."""
