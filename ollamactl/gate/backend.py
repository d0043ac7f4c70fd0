"""Connections to one server: taken by a request, used again, and never used again in doubt."""

import asyncio
import os
import socket
from contextlib import suppress
from typing import Protocol, cast

from ollamactl.gate import forward
from ollamactl.gate.body import Body, Chunked, Counted, Endless
from ollamactl.gate.clock import NEVER, Clock
from ollamactl.gate.dialing import Dialer
from ollamactl.gate.limits import Limits
from ollamactl.gate.message import AnswerHead, Malformed, RequestHead, head_end, read_answer

_SWITCHING = 101


class Taker(Protocol):
    """Who has sent a request on a connection, and takes its answer."""

    head: RequestHead

    def attach(self, backend: "Backend") -> None:
        """Here is the connection that was asked for."""

    def unreachable(self, reason: str) -> None:
        """There will be none."""

    def answered(self, head: AnswerHead, content: bytes, *, done: bool) -> None:
        """The answer begins."""

    def content(self, content: bytes, *, done: bool) -> None:
        """It goes on."""

    def lost(self, reason: str) -> None:
        """The connection has ended before the answer did, or what came is none."""

    def server_full(self, *, full: bool) -> None:
        """The server reads no further just now, or does again."""


class Backend(asyncio.Protocol):
    """One connection to the server."""

    def __init__(self, pool: "Pool", sock: socket.socket) -> None:
        self._pool = pool
        self._sock = sock
        self._buffer = b""
        self._body: Body | None = None
        self._keep = False
        self.taker: Taker | None = None
        self.reused = False
        self.deadline = NEVER

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """By asyncio."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(self._pool.limits.unsent_bytes)
        self.send = self._transport.write

    def alive(self) -> bool:
        """Whether the server has neither ended the connection nor said anything unasked: looked up in the kernel, since
        the loop may have the news in its queue behind the request that is about to be sent."""
        try:
            self._sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False

    def data_received(self, data: bytes) -> None:
        """By asyncio."""
        taker = self.taker
        if taker is None:  # nobody asked
            self.abort()
            return
        try:
            self._take(taker, data)
        except Malformed as error:
            self.abort()
            taker.lost(f"its answer is not HTTP: {error.text}")

    def _take(self, taker: Taker, data: bytes) -> None:
        body = self._body
        if body is not None:
            content = body.feed(data)
            taker.content(content, done=body.done)
            return
        data = self._buffer + data
        while end := head_end(data, self._pool.limits):
            head, data = read_answer(data[:end], self._pool.limits), data[end:]
            if head.status == _SWITCHING:
                raise Malformed(502, "it would switch protocols, which nobody asked for")
            if head.status < _SWITCHING - 1:
                raise Malformed(502, "no status")
            if head.status >= 200:
                self._buffer = b""
                body = self._body = _body(head, taker.head.method)
                self._keep = head.keep and not isinstance(body, Endless)
                content = body.feed(data)
                taker.answered(head, content, done=body.done)
                return
        self._buffer = data

    def connection_lost(self, exc: Exception | None) -> None:
        """By asyncio."""
        self._pool.forget(self)
        taker = self.taker
        if taker is None:
            return
        if exc and self._body is None:
            # It has answered, closed and reset while a body was on its way to it: the answer is still in the kernel.
            with suppress(OSError):
                if data := self._sock.recv(self._pool.limits.head_bytes):
                    self.data_received(data)
        if self.taker is None:
            return
        self.taker = None
        if isinstance(self._body, Endless) and exc is None:
            taker.content(b"", done=True)
        else:
            taker.lost(f"it ended the connection{f' ({exc})' if exc else ''}")

    def pause_writing(self) -> None:
        """By asyncio."""
        if self.taker:
            self.taker.server_full(full=True)

    def resume_writing(self) -> None:
        """By asyncio."""
        if self.taker:
            self.taker.server_full(full=False)

    def read(self, *, on: bool) -> None:
        """Reads on, or leaves the answer in the kernel for a while."""
        if on:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def release(self, *, sent: bool) -> None:
        """The answer has ended; `sent` whether the request had, without which nothing else may follow it."""
        body, self._body, self.taker = self._body, None, None
        if self._keep and sent and body and not body.rest and not self._transport.is_closing():
            self._transport.resume_reading()
            self._pool.give(self)
        else:
            self.abort()

    def abort(self) -> None:
        """Ends the connection at once, and tells nobody: an Ollama server then gives up what it works at."""
        self.taker = None
        self._transport.abort()

    def expire(self) -> None:
        """By the clock: unused for long."""
        self._pool.forget(self)
        self.abort()


class Left:
    """Takes the answer of one who has gone, as far as its first byte."""

    def __init__(self, backend: Backend, head: RequestHead, among: "set[Left]") -> None:
        self.head = head
        self._backend = backend
        self._among = among
        backend.taker = self

    def end(self) -> None:
        """Nobody waits for what it asked for."""
        self._among.discard(self)
        self._backend.abort()

    def attach(self, backend: Backend) -> None:
        """By the backend: it is attached."""

    def unreachable(self, reason: str) -> None:
        """By the backend: it is reached."""

    def answered(self, head: AnswerHead, content: bytes, *, done: bool) -> None:
        """By the backend: the model is there."""
        self.end()

    def content(self, content: bytes, *, done: bool) -> None:
        """By the backend: nothing follows an answer that was ended."""

    def lost(self, reason: str) -> None:
        """By the backend."""
        self._among.discard(self)

    def server_full(self, *, full: bool) -> None:
        """By the backend: nobody is told."""


def _body(head: AnswerHead, method: bytes) -> Body:
    if not forward.has_body(head, method):
        return Counted(0)
    if head.chunked:
        return Chunked()
    return Endless() if head.length is None else Counted(head.length)


class Pool:
    """The connections to one server."""

    def __init__(self, dialer: Dialer, clock: Clock, limits: Limits) -> None:
        self.limits = limits
        host, port = dialer.address
        self.host = (f"[{host}]:{port}" if ":" in host else f"{host}:{port}").encode()
        """What the server is told as Host."""
        self._dialer = dialer
        self._clock = clock
        self._idle: list[Backend] = []
        self.unanswered: set[Taker] = set()
        """Whose requests were sent, and whose answers have not begun."""
        self._left: set[Left] = set()

    def take(self, taker: Taker) -> Backend | None:
        """A connection that is open, for this request; the one used last, so that the others can grow old."""
        while self._idle:
            backend = self._idle.pop()
            self._clock.discard(backend)
            if backend.alive():
                backend.taker = taker
                backend.reused = True
                return backend
            backend.abort()
        return None

    def give(self, backend: Backend) -> None:
        """Keeps it for another request."""
        if len(self._idle) >= self.limits.idle_connections:
            backend.abort()
            return
        self._idle.append(backend)
        self._clock.add(backend)
        backend.deadline = self._clock.now + self.limits.server_idle_seconds

    def settle(self, taker: Taker) -> None:
        """Its answer has begun, or never will; nobody is left, perhaps, for whom a model is being loaded."""
        self.unanswered.discard(taker)
        if not self.unanswered and self._left:
            for left in [*self._left]:
                left.end()

    def leave(self, taker: Taker, backend: Backend, *, begun: bool) -> None:
        """Its client is gone. To end the connection would abort a load for which others wait, too (Ollama ends a load
        with the request that asked for it): so it goes on as long as there are any."""
        self.settle(taker)
        if begun or not self.unanswered:
            backend.abort()
        else:
            self._left.add(Left(backend, taker.head, self._left))

    def forget(self, backend: Backend) -> None:
        """It has ended."""
        self._clock.discard(backend)
        with suppress(ValueError):
            self._idle.remove(backend)

    def connect(self, taker: Taker) -> asyncio.Task[None]:
        """Opens one; the taker is told. Cancelled, it tells nobody."""
        return asyncio.get_running_loop().create_task(self._connect(taker))

    async def _connect(self, taker: Taker) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.limits.connect_seconds):
                sock = await self._dialer.dial()
            try:
                _, backend = await loop.create_connection(lambda: Backend(self, sock), sock=sock)
            except BaseException:
                sock.close()
                raise
        except TimeoutError:
            taker.unreachable(f"it accepts no connection within {self.limits.connect_seconds:g} s")
        except OSError as error:
            taker.unreachable(os.strerror(error.errno).lower() if error.errno else str(error))
        else:
            backend.taker = taker
            taker.attach(backend)
