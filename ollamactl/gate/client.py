"""Connections of clients: requests are read one at a time, each is answered before the next begins."""

import asyncio
import socket
import struct
from contextlib import suppress
from typing import cast

from ollamactl.gate import forward
from ollamactl.gate.body import NOTHING, Body, Chunked, Counted
from ollamactl.gate.clock import NEVER, date
from ollamactl.gate.decide import Refuse, Wake, decide
from ollamactl.gate.door import Door
from ollamactl.gate.exchange import Exchange
from ollamactl.gate.kernel import unread
from ollamactl.gate.message import Malformed, RequestHead, head_end, read_request
from ollamactl.gate.poll import Poll
from ollamactl.gate.uses import polls

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER on, for no time (socket(7))."""


class Client(asyncio.Protocol):
    """One connection of a client."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._limits = door.pool.limits
        self._clock = door.clock
        self._buffer = b""  # not read yet
        self._body: Body | None = None  # of the request at hand, while it is not whole
        self._exchange: Exchange | None = None
        self._polled = False  # it needs no model
        self._poll: Poll | None = None  # and its answer may be known
        self._full = False  # it does not take what we have for it
        self._half_closed = False  # it sends no more, and still listens, or is gone
        self._lingering = False
        self._served = False  # it has had an answer
        self.last = False  # no other request is taken
        self.deadline = NEVER

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """By asyncio."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(self._limits.unsent_bytes)
        self.write = self._transport.write
        sock = self._transport.get_extra_info("socket")
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._clock.add(self)
        self.deadline = self._clock.now + self._limits.idle_seconds

    def data_received(self, data: bytes) -> None:
        """By asyncio."""
        if self._lingering:
            return
        if self._body is not None:
            self._take_body(data)
        elif self._exchange is not None or self._full:
            self._buffer += data
            if len(self._buffer) > self._limits.held_bytes:
                self._transport.pause_reading()
        else:
            if not self._buffer:
                self.deadline = self._clock.now + self._limits.head_seconds
            self._buffer += data
            self._next()

    def _next(self) -> None:
        """Begins with the next request, if it is there."""
        if not self._buffer or self._exchange or self._lingering or self._full or self._transport.is_closing():
            return
        data = self._buffer.removeprefix(b"\r\n")  # as some clients end a body (RFC 9112, 2.2)
        try:
            end = head_end(data, self._limits)
            if end:
                self._buffer = data[end:]
                self._begin(read_request(data[:end], self._limits))
        except Malformed as error:
            self.refuse(error.status, error.text)

    def _has_next(self) -> bool:
        """Whether something in the buffer is still to be answered."""
        try:
            return head_end(self._buffer.removeprefix(b"\r\n"), self._limits) > 0
        except Malformed:
            return True

    def _begin(self, head: RequestHead) -> None:
        waker = self._door.waker
        decision = decide(head, self._door.listener, awake=waker is None or waker.is_awake)
        if isinstance(decision, Refuse):
            self._answer(decision.status, decision.text, head, close=not head.keep or head.length != 0)
            return
        content = b""
        body: Body = NOTHING
        if head.length != 0:
            body = Chunked() if head.length is None else Counted(head.length)
            data, self._buffer = self._buffer, b""
            content = body.feed(data)
        if body.done:
            self._buffer = self._buffer or body.rest
            self.deadline = NEVER
        else:
            self._body = body
            self.deadline = self._clock.now + self._limits.body_seconds
        asleep = isinstance(decision, Wake)
        exchange = Exchange(self, head, self._door.pool, waker)
        if server := self._door.server:
            polled = polls(head)
            self._poll = Poll(server, head, content) if polled and body.done else None
            if self._poll:
                if asleep and self._repeat(self._poll, head):
                    return
                if self._poll.wanted(self._clock.now):
                    exchange.keep = self._poll.keep
            self._polled = polled
            server.began(polled=polled)
        self._exchange = exchange
        exchange.start(content, done=body.done, wake=asleep)

    def _repeat(self, poll: Poll, head: RequestHead) -> bool:
        """Says what the server has said before, if it has."""
        close = self.last or not head.keep
        if data := poll.known(date(), close=close):
            self.write(data)
            self.ended(close=close)
        return bool(data)

    def recall(self) -> bool:
        """By the exchange."""
        return bool(self._exchange and self._poll and self._repeat(self._poll, self._exchange.head))

    def _over(self) -> None:
        """The exchange at hand is none any more."""
        if exchange := self._exchange:
            self._exchange = None
            if server := self._door.server:
                server.over(exchange.head, polled=self._polled)

    def _take_body(self, data: bytes) -> None:
        body, exchange = self._body, self._exchange
        if body is None or exchange is None:
            return
        try:
            content = body.feed(data)
        except Malformed as error:
            self._give_up(error.status, error.text)
            return
        if body.done:
            self._buffer, self._body = body.rest, None
        if not self._full:
            self.deadline = NEVER if body.done else self._clock.now + self._limits.body_seconds
        if content or body.done:
            exchange.body(content, done=body.done)

    def drain(self) -> None:
        """Ends the connection, after the answer that it waits for; who has just connected is about to ask for one."""
        self.last = True
        if self._served and not (self._exchange or self._lingering or self._buffer or unread(self._transport)):
            self._transport.close()

    def ended(self, *, close: bool) -> None:
        """The answer has been sent, and the next request's turn has come."""
        self._served = True
        self._over()
        if close or self.last or (self._half_closed and not self._has_next()):
            self._linger()
            return
        self.server_full(full=False)
        if not self._full:
            self._wait()
        if self._buffer:  # in its turn: others have waited longer
            asyncio.get_running_loop().call_soon(self._next)

    def _wait(self) -> None:
        seconds = self._limits.head_seconds if self._buffer else self._limits.idle_seconds
        self.deadline = self._clock.now + seconds

    def refuse(self, status: int, text: str, *, close: bool = True, retry_after: int = 0) -> None:
        """Says why there is no answer."""
        head = self._exchange.head if self._exchange else None
        self._answer(status, text, head, close=close, retry_after=retry_after)

    def _answer(self, status: int, text: str, head: RequestHead | None, *, close: bool, retry_after: int = 0) -> None:
        self.write(forward.refusal(status, text, date=date(), to=head, close=close, retry_after=retry_after))
        self.ended(close=close)

    def _linger(self) -> None:
        """Says that nothing follows, and reads on for a while, so that no reset destroys the last answer on its way."""
        self._lingering, self._buffer, self._body = True, b"", None
        if self._half_closed or self._transport.is_closing():
            self._transport.close()
            return
        self._transport.resume_reading()
        with suppress(OSError):  # the client has reset the connection, and the loop is about to hear of it
            self._transport.write_eof()
        if not self._full:
            self.deadline = self._clock.now + self._limits.linger_seconds

    def cut(self) -> None:
        """Ends the connection with a reset: an answer without a length would look whole after a plain end."""
        self._over()
        sock = self._transport.get_extra_info("socket")
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()

    def _give_up(self, status: int, text: str) -> None:
        """Ends a request that will never be whole."""
        if exchange := self._exchange:
            exchange.abandon()
        if exchange and exchange.begun:
            self.cut()
        else:
            self.refuse(status, text)

    def eof_received(self) -> bool:
        """By asyncio: the client sends no more. It may wait for its answer all the same, or be gone.

        Nobody can tell before something is sent: a client that is gone answers it with a reset. So one that waits
        gets a `100 Continue`, which every client has to read over (RFC 9110, 15.2), and is looked at from then on.
        """
        self._half_closed = True
        if self._exchange is None or self._body is not None:
            if self._exchange:
                self._exchange.abandon()
                self._over()
            return not self._lingering and self._body is None and self._has_next()
        if not self._exchange.begun and self._exchange.head.minor:
            self.write(forward.CONTINUE)
        self.deadline = self._clock.now
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """By asyncio."""
        self._buffer = b""  # what was to be the next request's turn is nobody's
        self._clock.discard(self)
        self._door.left(self)
        if self._exchange:
            self._exchange.abandon()
            self._over()

    def pause_writing(self) -> None:
        """By asyncio: the client does not read what it asked for."""
        self._full = True
        self.deadline = self._clock.now + self._limits.stall_seconds
        if self._exchange:
            self._exchange.client_full(full=True)

    def resume_writing(self) -> None:
        """By asyncio."""
        self._full = False
        self.deadline = NEVER
        if self._lingering:
            self.deadline = self._clock.now + self._limits.linger_seconds
        elif self._exchange:
            if self._body is not None:
                self.deadline = self._clock.now + self._limits.body_seconds
            elif self._half_closed:
                self.deadline = self._clock.now
            self._exchange.client_full(full=False)
        else:
            self._wait()
            self._next()

    def server_full(self, *, full: bool) -> None:
        """Reads no more of a request than the server takes."""
        if full:
            self._transport.pause_reading()
            if not self._full:
                self.deadline = NEVER  # it is not the client who is late
        elif not self._half_closed and len(self._buffer) <= self._limits.held_bytes:
            self._transport.resume_reading()
            if self._body is not None and not self._full:
                self.deadline = self._clock.now + self._limits.body_seconds

    def expire(self) -> None:
        """By the clock: the client is late."""
        if self._half_closed and self._exchange and not self._full:
            if self._transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self._transport.abort()
        elif self._full or self._lingering:
            self._transport.abort()
        elif self._body is not None:
            self._give_up(408, "the rest of the request's body did not come in time")
        elif self._buffer:
            self.refuse(408, "the rest of the request's head did not come in time")
        else:
            self._transport.close()
