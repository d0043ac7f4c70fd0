"""ollama-gate.service: the sockets that systemd passes, each before the server that has its name."""

import asyncio
import signal
import socket
import sys
from contextlib import suppress

from ollamactl.errors import HostError, NotPermitted
from ollamactl.gate import descriptors
from ollamactl.gate.backend import Pool
from ollamactl.gate.clock import Clock
from ollamactl.gate.decide import Listener
from ollamactl.gate.dialing import Direct, Inside
from ollamactl.gate.gate import Door
from ollamactl.gate.limits import Limits
from ollamactl.gate.units import ManagerUnits
from ollamactl.gate.waking import Waker
from ollamactl.host import addresses
from ollamactl.model import unit_name

_MAX_WAIT = 300.0
"""Seconds that a request waits for its server; a key of the spec once there is one."""
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
    limits, units = Limits(), ManagerUnits()
    clock = Clock(loop, _TICK)
    own = frozenset((socket.gethostname().lower(), *addresses.own()))
    doors = []
    for name, sockets in passed.items():
        unit = unit_name(name)
        address = _address(unit, await units.server_host(unit))
        dialer = Inside(unit, address, units) if await units.private_network(unit) else Direct(address)
        pool, waker = Pool(dialer, clock, limits), Waker(unit, dialer, units, _MAX_WAIT)
        for sock in sockets:
            listener = Listener(loopback=_is_loopback(sock), own=own)
            doors.append(Door(pool, clock, listener, waker))
            await doors[-1].open(sock)
    await ended.wait()
    await asyncio.gather(*(door.close() for door in doors))


def _address(unit: str, host: str) -> tuple[str, int]:
    """Where the server listens, from the OLLAMA_HOST that its unit has."""
    address, _, port = host.rpartition(":")
    with suppress(ValueError):
        if address:
            return address.strip("[]"), int(port)
    raise HostError(f"{unit} is not installed, or says no address: its OLLAMA_HOST is {host!r}")


def _is_loopback(sock: socket.socket) -> bool:
    return sock.family == socket.AF_UNIX or sock.getsockname()[0].startswith(("127.", "::1"))
