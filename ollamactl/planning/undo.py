"""The way back from an apply that failed: the plan that undoes what it changed, and nothing else. Pure."""

from collections.abc import Iterable
from dataclasses import replace
from types import MappingProxyType

from ollamactl.files import File
from ollamactl.model import HEAL_TIMER, TARGET, Fleet, Instance, State, gate_socket
from ollamactl.observed import UP, Observed
from ollamactl.planning import displace
from ollamactl.planning.disksteps import Scope, reload_step
from ollamactl.planning.plan import ON_DISK, ORDER, Plan, Step, StepKind
from ollamactl.planning.reconcile import reconcile
from ollamactl.units.record import installed_fleet

_ANEW = (StepKind.ENABLE, StepKind.DISABLE, StepKind.RELOAD, StepKind.DISPLACE)
_CAUSE = "as before"
_SHARED = (TARGET, HEAL_TIMER)


def former(before: Observed) -> Fleet:
    """The fleet that was installed, each server as it was: running, or not."""
    fleet = installed_fleet({path: file for path, file in before.files.items() if file.ours})
    return replace(fleet, instances=tuple(_former(instance, before) for instance in fleet.instances))


def _former(instance: Instance, before: Observed) -> Instance:
    up = before.unit(gate_socket(instance.name) if instance.sleeps else instance.unit).active in UP
    return replace(instance, state=State.RUNNING if up else State.STOPPED)


def former_files(before: Observed) -> tuple[File, ...]:
    """The files of ours as they were."""
    layout = before.facts.layout
    return tuple(
        File(path=path, data=file.data, mode=file.mode, kind=layout.kind(path), instance=layout.owner(path))
        for path, file in sorted(before.files.items())
        if file.ours and not file.leftover
    )


def undo(failed: Plan, before: Observed, now: Observed, displaced: displace.Ledger = MappingProxyType({})) -> Plan:
    """The steps from `now` back to `before`, for the instances that the failed plan was to change.

    Whoever was up is started and proved again, with those that systemd takes along; whoever was down, or had failed, is
    left down. `displaced` are services of somebody else's that are to be what they were (displace.undone).
    """
    touched = frozenset(step.instance for step in failed.changes if step.instance)
    fleet = former(before)
    back = reconcile(fleet, former_files(before), now, only=touched).steps
    steps = [step for step in back if step.kind not in _ANEW and (touched or not step.instance)]
    steps = [s for s in steps if s.subject not in _SHARED or s.kind not in (StepKind.START, StepKind.STOP)]
    steps += [*_links(before, now), *_shared(before, now), *displace.back(displaced, now.replaced)]
    steps += reload_step(steps, fleet, now, Scope(fleet, now, touched))
    if now.offline:
        steps = [step for step in steps if step.kind in ON_DISK]
    steps = [replace(step, cause=_CAUSE) if step.changes else step for step in steps]
    return Plan(steps=tuple(sorted(steps, key=lambda step: ORDER[step.kind])))


def _links(before: Observed, now: Observed) -> Iterable[Step]:
    """Enablement, link by link: it may differ from what a spec says where somebody disabled a unit by hand."""
    then = before.wanted | ({TARGET} if before.target_enabled else set())
    there = now.wanted | ({TARGET} if now.target_enabled else set())
    for kind, units in ((StepKind.ENABLE, then - there), (StepKind.DISABLE, there - then)):
        for unit in sorted(units):
            yield Step(kind=kind, subject=unit)


def _shared(before: Observed, now: Observed) -> Iterable[Step]:
    for unit in _SHARED:
        up, was_up = (observed.unit(unit).active in UP for observed in (now, before))
        if up != was_up:
            yield Step(kind=StepKind.START if was_up else StepKind.STOP, subject=unit)
