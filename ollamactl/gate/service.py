"""ollama-gate.service: the sockets that systemd passes, each before the server that has its name."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from ollamactl.errors import HostError, NotPermitted
from ollamactl.gate import control, descriptors, leaving, told
from ollamactl.gate.admission import Admission
from ollamactl.gate.brokered import Broker
from ollamactl.gate.clock import Clock
from ollamactl.gate.config import GateConfig
from ollamactl.gate.decide import Listener
from ollamactl.gate.gate import Door
from ollamactl.gate.limits import Limits
from ollamactl.gate.measured import Measured
from ollamactl.gate.memory import Memory
from ollamactl.gate.server import Server
from ollamactl.gate.tenant import Tenant
from ollamactl.model import LOOPBACK

CONTROL = "control.sock"
_TICK = 1.0
_LOOK_SECONDS = 10.0
"""Between two looks: what is to be written down, has somebody started a server, is anybody there?"""
_NOTHING_TO_DO = 78
"""EX_CONFIG (sysexits.h): the unit is not started again (RestartPreventExitStatus=)."""


def main() -> int:
    """`ollamactl gate`, as ollama-gate.service runs it; returns the exit status."""
    try:
        asyncio.run(serve())
    except (HostError, NotPermitted) as error:
        print(f"ollama-gate: {error}", file=sys.stderr)  # noqa: T201
        return _NOTHING_TO_DO
    return 0


async def serve() -> None:
    """Serves until SIGTERM or SIGINT, or until nobody needs it; raises HostError where it was not told for whom."""
    passed = descriptors.passed()
    if not passed:
        raise HostError("no sockets were passed: ollama-gate.service is started by its socket units")
    gate = Gate(told.configuration(), Limits())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, gate.go)
    await gate.open(passed)
    await loop.create_future()


class Gate:
    """All servers, and the doors before them."""

    def __init__(self, config: GateConfig, limits: Limits) -> None:
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._broker = Broker()
        folder = Path(found) if (found := os.environ.get("STATE_DIRECTORY", "")) else None
        self._memory, measured = Memory(folder), Measured(folder)
        self._admission = admission = Admission(config, known=measured.needs(config.servers, config.cards))
        self._clock = Clock(self._loop, _TICK)
        self._doors: list[Door] = []
        self._empty_since = self._loop.time()
        self._going: asyncio.Task[None] | None = None
        self._servers: dict[str, Server] = {}
        for behind in config.servers:
            way = self._broker.way(behind.unit, (LOOPBACK, behind.port))
            elsewhere = partial(self._memory.held, behind.name)
            server = Server(behind, way, self._broker, self._clock, limits, elsewhere=elsewhere)
            self._memory.read(behind.name, server.records)
            tenant = Tenant(server, measured)
            if seat := admission.seat(behind.name, tenant):
                server.tenant, server.waker.seat = tenant, seat
            self._servers[behind.name] = server

    async def open(self, passed: Mapping[str, Sequence[socket.socket]]) -> None:
        """Takes clients from these sockets, whose names are those of servers."""
        own = frozenset((socket.gethostname().lower(), *await self._broker.addresses()))
        for name, sockets in passed.items():
            server = self._servers.get(name)
            if server is None:  # its socket is about to be closed
                continue
            for sock in sockets:
                listener = Listener(loopback=_is_loopback(sock), own=own)
                self._doors.append(Door(server.pool, self._clock, listener, server.waker, server))
                await self._doors[-1].open(sock)
        if runtime := os.environ.get("RUNTIME_DIRECTORY", ""):
            await control.open_at(Path(runtime) / CONTROL, self._servers.values())
        self._looking = self._loop.create_task(self._look_on())

    async def _look_on(self) -> None:
        """Takes those that run for awake, whoever started them; ends when all sleep and nobody is there."""
        while True:
            awake = False
            for server in self._servers.values():
                with suppress(HostError, NotPermitted):
                    awake |= await server.look()
            self._remember()
            now = self._loop.time()
            if awake or any(door.clients for door in self._doors):
                self._empty_since = now
            elif now - self._empty_since >= self._limits.empty_seconds:
                self.go()
            await asyncio.sleep(min(_LOOK_SECONDS, self._limits.empty_seconds / 3))

    def _remember(self) -> None:
        for name, server in self._servers.items():
            self._memory.write(name, server.records)

    def go(self) -> None:
        """Makes room for the next gate; answers that are under way end in a child."""
        if self._going is None:
            self._remember()
            self._going = self._loop.create_task(leaving.go(self._doors, in_child=self._stay_behind))

    def _stay_behind(self) -> None:
        self._looking.cancel()
        self._broker.close()
        self._memory.hold(name for name, server in self._servers.items() if server.in_flight)
        self._admission.close()
        for server in self._servers.values():
            server.leave_alone()
            server.tenant = None
            server.waker.disband()


def _is_loopback(sock: socket.socket) -> bool:
    return sock.family == socket.AF_UNIX or sock.getsockname()[0].startswith(("127.", "::1"))
