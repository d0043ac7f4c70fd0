"""Two servers whose memory a card has for one only: units without systemd, that say when both were up at once."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from ollamactl.gate.admission import Admission
from ollamactl.gate.budget import Terms
from ollamactl.gate.clock import Clock
from ollamactl.gate.config import Behind, GateConfig
from ollamactl.gate.decide import Listener
from ollamactl.gate.dialing import Direct
from ollamactl.gate.gate import Door
from ollamactl.gate.limits import Limits
from ollamactl.gate.measured import Measured
from ollamactl.gate.server import Server
from ollamactl.gate.tenant import Tenant
from tests.gate.world import Served

TERMS = Terms(turn=0.5, pause=0.1)


@dataclass(eq=False)
class Unit:
    """One server's program; it answers each request after a while, with its own name."""

    name: str
    takes: float = 0.02
    ps: bytes = b'{"models":[]}'
    starts: int = 0
    cut: int = 0
    """Requests that it was stopped under."""
    answering: int = 0
    starting: float = 0.05
    server: asyncio.Server | None = None
    address: tuple[str, int] = ("", 0)
    open: set[Served] = field(default_factory=set)

    def place(self) -> None:
        """Keeps an address."""
        with socket.create_server(("127.0.0.1", 0)) as kept:
            host, port = kept.getsockname()
        self.address = (str(host), int(port))

    async def run(self) -> None:
        await asyncio.sleep(self.starting)
        self.server = await asyncio.start_server(self._accept, *self.address)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served = Served(reader, writer)
        self.open.add(served)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head, _ = await served.request()
                if b"/api/ps" in head:
                    await served.answer(self.ps)
                    served.close()  # it was asked by HTTP/1.0
                    return
                needed = head.startswith(b"POST")
                self.answering += needed
                try:
                    await asyncio.sleep(self.takes if needed else 0)
                    await served.answer(b"" if head.startswith(b"HEAD") else self.name.encode())
                finally:
                    self.answering -= needed

    def end(self) -> None:
        if self.server:
            self.cut += self.answering
            self.server.close()
            self.server = None
        while self.open:
            self.open.pop().writer.transport.abort()


class Manager:
    """server.Units, of such programs."""

    def __init__(self, *units: Unit, together: int = 1) -> None:
        self.units = {f"ollama@{unit.name}.service": unit for unit in units}
        self.together = together
        self.notes: list[tuple[str, str, str]] = []
        self.overflows = 0
        self._up: dict[str, asyncio.Task[None]] = {}

    async def start(self, unit: str) -> None:
        if unit not in self._up:
            self.units[unit].starts += 1
            self._up[unit] = asyncio.create_task(self.units[unit].run())
            self.overflows += len(self._up) > self.together

    async def stop(self, unit: str) -> None:
        if task := self._up.get(unit):
            await task
            self.units[unit].end()
            del self._up[unit]

    async def hopeless(self, unit: str) -> str:
        return ""

    async def active(self, unit: str) -> str:
        return "active" if unit in self._up else "inactive"

    async def note(self, unit: str, priority: int, event: str, text: str) -> None:
        self.notes.append((unit, event, text))


@dataclass
class Shared:
    """Doors before all of them."""

    manager: Manager
    servers: Mapping[str, Server]
    ports: Mapping[str, int]
    admission: Admission

    async def chat(self, name: str) -> bytes:
        """Everything that comes back, on a connection of its own."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.ports[name])
        writer.write(b"POST /api/chat HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
        try:
            return await reader.read()
        finally:
            writer.close()


@asynccontextmanager
async def shared(*units: Unit, measured: Measured | None = None, **behind: float) -> AsyncIterator[Shared]:
    """A card for one of them at a time; `behind` are further settings of each."""
    manager, clock, limits = Manager(*units), Clock(asyncio.get_running_loop(), 0.05), Limits(idle_look_seconds=0.01)
    told = GateConfig(
        cards={"0": 10},
        servers=tuple(
            Behind(name=unit.name, unit=f"ollama@{unit.name}.service", port=1, cards=("0",), vram=6, **behind)  # type: ignore[arg-type]
            for unit in units
        ),
    )
    admission, sizes = Admission(told, terms=TERMS), measured or Measured(None)
    servers, ports, doors = {}, {}, []
    for unit, each in zip(units, told.servers, strict=True):
        unit.place()
        server = servers[unit.name] = Server(each, Direct(unit.address), manager, clock, limits)
        tenant = Tenant(server, sizes)
        server.tenant, server.waker.seat = tenant, admission.seat(unit.name, tenant)
        doors.append(Door(server.pool, clock, Listener(), server.waker, server))
        sock = socket.create_server(("127.0.0.1", 0))
        ports[unit.name] = sock.getsockname()[1]
        await doors[-1].open(sock)
    failed = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failed.append(context))
    try:
        yield Shared(manager, servers, ports, admission)
    finally:
        admission.close()
        for door in doors:
            await door.shut()
        for unit in units:
            unit.end()
    assert not failed, failed
