"""The steps for the ports that systemd holds, and for the gate behind them. Pure.

systemd starts no socket of a service that is active, and one that is stopped stays open in a gate that runs
(systemd.socket(5), and tried): so whatever changes among the sockets has the gate restarted with it.
"""

from collections.abc import Collection, Iterable

from ollamactl.model import (
    BROKER_SOCKET,
    GATE_SERVICE,
    GATE_UNITS,
    Fleet,
    Instance,
    State,
    gate_socket,
    socket_instance,
)
from ollamactl.observed import UP, Active, Observed
from ollamactl.planning.disksteps import EMPTY, Scope
from ollamactl.planning.plan import Step, StepKind

NOBODY = "no server is behind the gate any more"


def steps(fleet: Fleet, observed: Observed, scope: Scope, on_disk: Iterable[Step]) -> Iterable[Step]:
    """Sockets that open and close; then the gate, which has to know."""
    written = {step.subject: step for step in on_disk if step.kind is StepKind.WRITE}
    gated = [instance for instance in fleet.instances if instance.gated]
    changed = [*_closing(gated, observed, scope)]
    for instance in gated:
        if scope.holds(instance.name):
            changed += _door(instance, observed, written)
    yield from changed
    up = observed.unit(GATE_SERVICE).active in UP
    broker_changed = _place(BROKER_SOCKET, observed) in written
    if observed.unit(BROKER_SOCKET).active in UP and (broker_changed or not (gated or scope.only)):
        yield Step(kind=StepKind.STOP, subject=BROKER_SOCKET, cause="it changes" if gated else _nobody(fleet))
    held = any(holder.unit == GATE_SERVICE for holder in observed.holders.values())
    if up and gated and (changed or held or any(_place(unit, observed) in written for unit in GATE_UNITS)):
        yield Step(kind=StepKind.RESTART, subject=GATE_SERVICE, cause=_cause(changed))
    if up and not gated and not scope.only:
        yield Step(kind=StepKind.STOP, subject=GATE_SERVICE, cause=_nobody(fleet))


def _nobody(fleet: Fleet) -> str:
    return NOBODY if fleet.instances else EMPTY


def opens(step: Step) -> bool:
    """Whether a step is for a socket or the gate, which come before the servers."""
    return step.subject == GATE_SERVICE or socket_instance(step.subject) is not None


def asked(verb: str, instances: Iterable[Instance], observed: Observed) -> Iterable[Step]:
    """What `start`, `stop` and `restart` mean for ports that systemd holds: who is stopped is not to be woken."""
    changed = []
    for instance in instances:
        unit = gate_socket(instance.name)
        state = observed.unit(unit).active
        kind = StepKind.STOP if verb == "stop" else StepKind.START
        if instance.gated and state is not (Active.INACTIVE if verb == "stop" else Active.ACTIVE):
            changed.append(Step(kind=kind, subject=unit, cause="asked for", instance=instance.name))
    yield from changed
    if changed and observed.unit(GATE_SERVICE).active in UP:
        yield Step(kind=StepKind.RESTART, subject=GATE_SERVICE, cause=_cause(changed))


def boot(fleet: Fleet) -> dict[str, Instance]:
    """The sockets that the fleet's target pulls in."""
    return {gate_socket(i.name): i for i in fleet.instances if i.gated and i.enabled and i.state is State.RUNNING}


def _place(unit: str, observed: Observed) -> str:
    return f"{observed.facts.layout.unit_dir}/{unit}"


def _closing(gated: Collection[Instance], observed: Observed, scope: Scope) -> Iterable[Step]:
    """The sockets of those that leave, or hold their port themselves from now on."""
    kept = {instance.name for instance in gated}
    for unit, state in sorted(observed.units.items()):
        name = socket_instance(unit)
        if not name or name in kept or state.active is Active.INACTIVE or not _ours(unit, observed):
            continue
        if name in scope.leaving or (name in scope.named and scope.holds(name)):
            cause = "no longer in the spec" if name in scope.leaving else f"{name} holds its port itself"
            yield Step(kind=StepKind.STOP, subject=unit, cause=cause, instance=name)


def _ours(unit: str, observed: Observed) -> bool:
    file = observed.files.get(_place(unit, observed))
    return file is None or file.ours


def _door(instance: Instance, observed: Observed, written: dict[str, Step]) -> Iterable[Step]:
    unit, name = gate_socket(instance.name), instance.name
    up = observed.unit(unit).active is Active.ACTIVE
    write = written.get(_place(unit, observed))
    if instance.state is State.STOPPED:
        if up:
            yield Step(kind=StepKind.STOP, subject=unit, cause="state: stopped", instance=name)
        return
    shut = instance.name in observed.shut
    if up and write is None and not shut:
        return
    failed = observed.unit(unit).active is Active.FAILED
    why = "systemd does not listen there" if shut else "it has failed" if failed else "not open"
    cause = write.cause if write else why
    if up:
        yield Step(kind=StepKind.STOP, subject=unit, cause=cause, instance=name)
    yield Step(kind=StepKind.START, subject=unit, cause=cause, instance=name)


def _cause(changed: Collection[Step]) -> str:
    if not changed:
        return "it is told something new of its servers"
    opening = sum(step.kind is StepKind.START for step in changed)
    closing = len(changed) - opening
    parts = [
        f"{count} port{'s' if count > 1 else ''} {what}"
        for count, what in ((opening, "open"), (closing, "close"))
        if count
    ]
    return ", ".join(parts)
