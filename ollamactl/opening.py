"""Opening the ports that systemd holds, while the gate behind them is down: it opens none of a service that is active.

The gate's stop and the starts of sockets are asked for at once, so that systemd has them in order (systemd.unit(5),
Before=: what stops goes first): else a request to another port could bring the gate up in between.
"""

from collections.abc import Collection, Iterator

from ollamactl.model import GATE_SERVICE
from ollamactl.protocols import Job, JobDone, ServiceManager

_TRIES = 5
"""A request brings the gate up all the same where it comes between two batches."""
_AT_ONCE = 8
"""More would not all be in the queue before the gate has ended."""


def run(manager: ServiceManager, units: Collection[str], *, timeout: float) -> Iterator[JobDone]:
    """Opens these sockets, and restarts the gate where it is among the units; tells how each ended."""
    failed = [JobDone(unit, "") for unit in units if unit != GATE_SERVICE]
    for _ in range(_TRIES):
        sockets = [done.unit for done in failed]
        failed = []
        for at in range(0, len(sockets), _AT_ONCE):
            for done in _batch(manager, sockets[at : at + _AT_ONCE], timeout):
                if done.ok:
                    yield done
                else:
                    failed.append(done)
    yield from failed
    if GATE_SERVICE in units:
        yield from manager.run([Job("RestartUnit", GATE_SERVICE)], timeout=timeout)


def _batch(manager: ServiceManager, sockets: Collection[str], timeout: float) -> Iterator[JobDone]:
    wanted = [("StopUnit", GATE_SERVICE), *(("StartUnit", unit) for unit in sockets)]
    jobs = [Job(method, unit, GATE_SERVICE, at_once=True) for method, unit in wanted]
    return (done for done in manager.run(jobs, timeout=timeout) if done.unit != GATE_SERVICE)
