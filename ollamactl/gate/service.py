"""ollama-gate.service: the sockets that systemd passes, each before the server that has its name."""

import asyncio
import signal
import socket
import sys

from ollamactl.errors import HostError, NotPermitted
from ollamactl.facts import Layout
from ollamactl.gate import descriptors
from ollamactl.gate.backend import Pool
from ollamactl.gate.broker import configured
from ollamactl.gate.brokered import Broker
from ollamactl.gate.clock import Clock
from ollamactl.gate.decide import Listener
from ollamactl.gate.gate import Door
from ollamactl.gate.limits import Limits
from ollamactl.gate.waking import Waker
from ollamactl.model import GATE_SERVICE, LOOPBACK, unit_name

_TICK = 1.0
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
    """Serves until SIGTERM or SIGINT; raises HostError where nothing was passed or a server's address is unknown."""
    passed = descriptors.passed()
    if not passed:
        raise HostError("no sockets were passed: ollama-gate.service is started by its socket units")
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    limits, broker = Limits(), Broker()
    clock = Clock(loop, _TICK)
    servers = configured(f"{Layout().unit_dir}/{GATE_SERVICE}")
    own = frozenset((socket.gethostname().lower(), *await broker.addresses()))
    doors = []
    for name, sockets in passed.items():
        server = servers.get(unit_name(name))
        if server is None:  # its socket was stopped, and is still open in a gate that goes on
            continue
        way = broker.way(server.unit, (LOOPBACK, server.port))
        pool, waker = Pool(way, clock, limits), Waker(server.unit, way, broker, server.max_wait)
        for sock in sockets:
            listener = Listener(loopback=_is_loopback(sock), own=own)
            doors.append(Door(pool, clock, listener, waker))
            await doors[-1].open(sock)
    await ended.wait()
    await asyncio.gather(*(door.close() for door in doors))


def _is_loopback(sock: socket.socket) -> bool:
    return sock.family == socket.AF_UNIX or sock.getsockname()[0].startswith(("127.", "::1"))
