"""A door, a server before it that does what a test says, and clients that speak bytes: all on loopback."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from ollamactl.gate.backend import Pool
from ollamactl.gate.clock import Clock
from ollamactl.gate.decide import Listener
from ollamactl.gate.dialing import Direct
from ollamactl.gate.gate import Door
from ollamactl.gate.limits import Limits
from ollamactl.gate.waking import Waker

Serve = Callable[["Served"], Awaitable[None]]
PATIENCE = 20.0
"""Seconds after which something that has not happened never will."""


@dataclass(eq=False)
class Wire:
    """One end of a connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def until(self, end: bytes) -> bytes:
        return await self.reader.readuntil(end)

    async def exactly(self, count: int) -> bytes:
        return await self.reader.readexactly(count)

    async def head(self) -> bytes:
        return await self.until(b"\r\n\r\n")

    async def all(self) -> bytes:
        """Up to the end of the connection."""
        return await self.reader.read()

    async def ends(self) -> None:
        """Waits until the other side has closed or reset it."""
        with suppress(ConnectionError):
            while await self.reader.read(65536):
                pass

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.writer.transport.abort()


class Served(Wire):
    """The server's end of one."""

    async def request(self) -> tuple[bytes, bytes]:
        """Head and body of the next request; only what the gate may send is understood."""
        head = await self.head()
        body = b""
        if b"\r\nTransfer-Encoding: chunked\r\n" in head:
            while size := int(await self.until(b"\r\n"), 16):
                body += (await self.exactly(size + 2))[:-2]
            await self.exactly(2)
        for line in head.split(b"\r\n"):
            if line.startswith(b"Content-Length: "):
                body = await self.exactly(int(line[16:]))
        return head, body

    async def answer(self, body: bytes = b"", status: str = "200 OK") -> None:
        await self.send(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)


@dataclass
class World:
    """A door and what lies behind it."""

    port: int
    door: Door
    accepted: list[Served] = field(default_factory=list)
    """The connections that the server has had."""

    async def connect(self, data: bytes = b"", *, buffers: int = 0) -> Wire:
        sock = socket.socket()
        if buffers:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffers)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.port))
        wire = Wire(*await asyncio.open_connection(sock=sock, limit=1024))
        if data:
            await wire.send(data)
        return wire

    async def ask(self, data: bytes) -> bytes:
        """Everything that comes back on a connection of its own, until it ends."""
        wire = await self.connect(data)
        with suppress(ConnectionError):
            return await wire.all()
        return b""


class Sleeping:
    """A unit, and the server that it starts once `may_listen` is set."""

    def __init__(self, max_wait: float = PATIENCE) -> None:
        self.max_wait = max_wait
        self.starts = 0
        self.may_listen = asyncio.Event()
        self.failure = ""
        self._server: asyncio.Server | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def place(self, accept: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> tuple[str, int]:
        """Keeps an address for it, on which nobody listens."""
        self._accept = accept
        with socket.create_server(("127.0.0.1", 0)) as kept:
            host, port = kept.getsockname()
        self._address = (str(host), int(port))
        return self._address

    async def start(self, unit: str) -> None:
        """By the waker."""
        self.starts += 1
        self._tasks.append(asyncio.create_task(self._listen()))

    async def _listen(self) -> None:
        await self.may_listen.wait()
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, *self._address)

    async def hopeless(self, unit: str) -> str:
        """By the waker."""
        return self.failure

    async def active(self, unit: str) -> str:
        """By the waker."""
        return "active" if self._server else "inactive"

    async def stop(self) -> None:
        """Listens no longer."""
        if self._server:
            self._server.close()
            self._server = None


async def echo(served: Served) -> None:
    """Answers each request with its first line and body."""
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head, body = await served.request()
            what = head.partition(b" HTTP")[0]
            await served.answer(b"" if what.startswith(b"HEAD") else what + b" " + body)


@asynccontextmanager
async def world(
    serve: Serve = echo, limits: Limits | None = None, *, sleeping: "Sleeping | None" = None
) -> AsyncIterator[World]:
    """All of it, taken down at the end; a server that sleeps listens when its unit is started."""
    tasks: list[asyncio.Future[None]] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served = Served(reader, writer)
        made.accepted.append(served)
        tasks.append(asyncio.ensure_future(serve(served)))

    clock = Clock(asyncio.get_running_loop(), 0.02 if limits else 1.0)
    waker = None
    if sleeping:
        address = sleeping.place(accept)
        waker = Waker("ollama@x.service", Direct(address), sleeping, sleeping.max_wait)
    else:
        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
    door = Door(Pool(Direct(address), clock, limits or Limits()), clock, Listener(), waker)
    listener = socket.create_server(("127.0.0.1", 0))
    made = World(port=listener.getsockname()[1], door=door)
    await door.open(listener)
    failed = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failed.append(context))
    try:
        yield made
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await sleeping.stop() if sleeping else server.close()
    assert not failed, failed


def run(scenario: Awaitable[None]) -> None:
    """Runs it in a loop of its own."""

    async def limited() -> None:
        async with asyncio.timeout(PATIENCE):
            await scenario

    asyncio.run(limited())
