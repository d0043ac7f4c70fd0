"""One request and its answer, between a client's connection and a server's."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from ollamactl.gate import forward
from ollamactl.gate.backend import Backend, Pool
from ollamactl.gate.body import LAST_CHUNK, chunk
from ollamactl.gate.message import AnswerHead, RequestHead
from ollamactl.gate.waking import Waker

_SAFE = frozenset((b"GET", b"HEAD", b"OPTIONS"))
"""What may be asked twice (RFC 9110, 9.2.1)."""

_RETRY_SECONDS = 10
"""Retry-After of a server that did not wake up."""


class Asker(Protocol):
    """The client's connection."""

    last: bool
    """It takes no other request."""

    def write(self, data: bytes) -> None:
        """Sends it."""

    def ended(self, *, close: bool) -> None:
        """The answer has been sent as a whole."""

    def recall(self) -> bool:
        """Whether the server, which sleeps, need not be woken for this: its answer is known, and was given."""

    def refuse(self, status: int, text: str, *, close: bool, retry_after: int = 0) -> None:
        """There is none: the gate says why."""

    def cut(self) -> None:
        """The answer breaks off, and the client must not take it for whole."""

    def server_full(self, *, full: bool) -> None:
        """The server takes no more of the request just now, or does again."""


class Exchange:
    """Carries a request to a server, and its answer back; neither is kept for longer than the other side needs."""

    # What most requests never change stands in the class: they are made by the ten thousand a second.
    _backend: Backend | None = None
    _connecting: asyncio.Task[None] | None = None
    _kept = 0
    """Bytes that wait for the server."""
    _again: bytes | None = None
    """The whole request, while it may be sent once more."""
    _sent = False
    """The request is whole."""
    _begun = False
    """The answer has begun."""
    _chunked = False
    """The client gets it in chunks."""
    _close = False
    """It is the last of the client's connection."""
    _woken = False
    """It has waited for the server already."""
    keep: Callable[[AnswerHead, bytes], None] | None = None
    """Who remembers the answer, where somebody does."""
    _told: AnswerHead | None = None
    _heard: bytes = b""

    def __init__(self, client: Asker, head: RequestHead, pool: Pool, waker: Waker | None) -> None:
        self.head = head
        self._client = client
        self._pool = pool
        self._waker = waker
        self._held: list[bytes] = []

    def start(self, content: bytes, *, done: bool, wake: bool) -> None:
        """Sends the request, with what there is of its body; first waits for the server where it has to `wake`."""
        data = forward.request(self.head, self._pool.host) + self._framed(content, done=done)
        self._sent = done
        if done and self.head.length == 0 and self.head.method in _SAFE:
            self._again = data
        self._hold(data)
        if wake and self._waker:
            self._wait(self._waker)
        else:
            self.awake()

    def _wait(self, waker: Waker) -> None:
        self._woken = True
        waker.wait(self, f"{self.head.method.decode()} {self.head.target.partition(b'?')[0].decode(errors='replace')}")

    def awake(self) -> None:
        """The server listens, as far as is known."""
        if backend := self._pool.take(self):
            self.attach(backend)
        else:
            self._connecting = self._pool.connect(self)

    def asleep(self, reason: str) -> None:
        """It does not, and will not for this request."""
        self._refuse(503, reason, retry_after=_RETRY_SECONDS)

    def body(self, content: bytes, *, done: bool) -> None:
        """Sends more of the request's body."""
        data = self._framed(content, done=done)
        self._sent = done
        if self._backend:
            self._backend.send(data)
        else:
            self._hold(data)

    def _framed(self, content: bytes, *, done: bool) -> bytes:
        if self.head.length is not None:
            return content
        return (chunk(content) if content else b"") + (LAST_CHUNK if done else b"")

    def _hold(self, data: bytes) -> None:
        self._held.append(data)
        self._kept += len(data)
        if self._kept > self._pool.limits.held_bytes:
            self._client.server_full(full=True)

    def attach(self, backend: Backend) -> None:
        """Sends what waited for a connection."""
        self._connecting = None
        self._backend = backend
        if self.head.expects and not self._sent and not self._begun:
            self._client.write(forward.CONTINUE)
        if self._kept > self._pool.limits.held_bytes:
            self._client.server_full(full=False)
        self._pool.unanswered.add(self)
        held, self._held, self._kept = self._held, [], 0
        backend.send(held[0] if len(held) == 1 else b"".join(held))

    def unreachable(self, reason: str) -> None:
        """The server does not accept connections: where it can be woken, somebody has stopped it, or it has ended."""
        self._connecting = None
        if self._waker and not self._woken:
            self._waker.slept()
            if not self._client.recall():
                self._wait(self._waker)
        else:
            self._refuse(502, f"the server at {self._pool.host.decode()} cannot be reached: {reason}")

    def answered(self, head: AnswerHead, content: bytes, *, done: bool) -> None:
        """Passes the answer's beginning on.

        One that comes before the whole request has come is the connection's last: who knows where its next would begin.
        """
        self._again = None
        self._begun = True
        self._pool.settle(self)
        if self.keep:
            self._told = head
        self._close = self._client.last or not (
            self.head.keep and self._sent and forward.counts_itself(head, self.head)
        )
        data, self._chunked = forward.answer(head, self.head, close=self._close)
        self._pass(data, content, done=done)

    def content(self, content: bytes, *, done: bool) -> None:
        """Passes more of it on, at once."""
        self._pass(b"", content, done=done)

    def _pass(self, data: bytes, content: bytes, *, done: bool) -> None:
        if self._chunked:
            if content:
                data += chunk(content)
            if done:
                data += LAST_CHUNK
        else:
            data += content
        if data:
            self._client.write(data)
        if self._told:
            self._remember(content, done=done)
        if done:
            backend, self._backend = self._backend, None
            if backend:
                backend.release(sent=self._sent)
            self._client.ended(close=self._close)

    def _remember(self, content: bytes, *, done: bool) -> None:
        self._heard += content
        if done and self.keep and self._told:
            self.keep(self._told, self._heard)
        if done or len(self._heard) > self._pool.limits.held_bytes:
            self._told = None

    def lost(self, reason: str) -> None:
        """The server has ended the connection, or talks nonsense.

        An idle connection may end just when a request is sent on it: such a one is sent again if that is safe, once,
        on a new connection.
        """
        backend, self._backend = self._backend, None
        self._pool.settle(self)
        if self._begun:
            self._client.cut()
        elif self._again is not None and backend and backend.reused:
            self._hold(self._again)
            self._connecting = self._pool.connect(self)
        else:
            self._refuse(502, f"the server at {self._pool.host.decode()} gave no answer: {reason}")

    def _refuse(self, status: int, text: str, *, retry_after: int = 0) -> None:
        close = not (self.head.keep and self._sent)
        self._client.refuse(status, text, close=close, retry_after=retry_after)

    def server_full(self, *, full: bool) -> None:
        """The server reads no further just now: then nor do we."""
        self._client.server_full(full=full)

    def client_full(self, *, full: bool) -> None:
        """Likewise the client."""
        if self._backend:
            self._backend.read(on=not full)

    @property
    def begun(self) -> bool:
        """Whether the client has had some of the answer."""
        return self._begun

    def abandon(self) -> None:
        """The client is gone, or its request is nonsense: nobody wants the answer."""
        if self._waker and self._woken:
            self._waker.leave(self)
        if self._connecting:
            self._connecting.cancel()
            self._connecting = None
        if self._backend:
            self._pool.leave(self, self._backend, begun=self._begun)
            self._backend = None
