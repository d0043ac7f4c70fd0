"""Services of somebody else's that make room for servers of the fleet, because the spec says so, and come back. Pure.

Only what `replaces` names is touched: it is stopped right before its successor starts, and the links that start it are
taken away; its files stay as they are. What it was is kept with the generation (`Displaced`).
"""

from collections.abc import Collection, Iterable, Mapping
from typing import TypeGuard

from ollamactl.errors import Problem, Severity, listed
from ollamactl.model import Fleet, Instance, State
from ollamactl.observed import Displaced, Observed, Replaced
from ollamactl.planning.plan import Plan, Step, StepKind
from ollamactl.units.record import installed_fleet

Ledger = Mapping[str, Displaced]
"""What has made room, by unit."""


def takers(fleet: Fleet, only: Collection[str] = ()) -> Iterable[tuple[str, Instance]]:
    """Each service that is to make room now, with its successor; a server that stays stopped needs no room."""
    for instance in fleet.instances:
        if instance.state is State.RUNNING and (not only or instance.name in only):
            yield from ((unit, instance) for unit in instance.replaces)


def steps(fleet: Fleet, observed: Observed, only: Collection[str] = ()) -> Iterable[Step]:
    """What takes the services away; nothing of those that are gone already."""
    for unit, instance in takers(fleet, only):
        seen = observed.replaced.get(unit)
        if not _may_go(seen, unit):
            continue
        if seen.links:
            yield Step(
                kind=StepKind.DISABLE,
                subject=unit,
                cause=f"{instance.unit} takes its place",
                instance=instance.name,
                links=seen.links,
            )
        if seen.up:
            yield Step(
                kind=StepKind.DISPLACE,
                subject=unit,
                cause=f"port {instance.port} goes to {instance.unit}",
                instance=instance.name,
            )


def back(ledger: Ledger, now: Mapping[str, Replaced], *, cause: str = "as before it made room") -> Iterable[Step]:
    """What makes services again what they were."""
    for unit, was in sorted(ledger.items()):
        seen = now.get(unit)
        missing = {path: target for path, target in was.links.items() if not seen or path not in seen.links}
        if missing:
            yield Step(kind=StepKind.ENABLE, subject=unit, cause=cause, links=missing)
        if was.active and not (seen and seen.up):
            yield Step(kind=StepKind.RESTORE, subject=unit, cause=cause)


def displaced(plan: Plan) -> frozenset[str]:
    """The services that a plan takes away."""
    return frozenset(
        step.subject
        for step in plan.steps
        if step.kind is StepKind.DISPLACE or (step.kind is StepKind.DISABLE and step.links)
    )


def ledger(plan: Plan, observed: Observed, earlier: Ledger) -> Ledger:
    """What will have made room: with each unit all that it had, also where an apply was killed half-way before."""
    found = dict(earlier)
    for unit in displaced(plan):
        found[unit] = merged(observed.replaced[unit], earlier.get(unit))
    return found


def undone(failed: Plan, before: Observed, former: Fleet, earlier: Ledger, settled: Ledger) -> Ledger:
    """What is to be again as it was, when a plan that failed is undone.

    `earlier` had made room by the newest change, `settled` by the newest that ended well: what lies between is the work
    of one that was killed. A service whose successor was up before stays away.
    """
    kept = {unit for unit, _ in takers(former)}
    units = (displaced(failed) | (earlier.keys() - settled.keys())) - kept
    return {unit: merged(before.replaced.get(unit), None if unit in settled else earlier.get(unit)) for unit in units}


def merged(seen: Replaced | None, earlier: Displaced | None) -> Displaced:
    """A service as it is, and as it is known to have been."""
    known, links = earlier or Displaced(active=False), seen.links if seen else {}
    return Displaced(active=known.active or (seen is not None and seen.up), links={**known.links, **links})


def makes_room(unit: str, instance: Instance, observed: Observed) -> bool:
    """Whether the holder of an instance's port is to be stopped for it; whoever is not root may not see its name."""
    for name in [unit] if unit else instance.replaces:
        seen = observed.replaced.get(name)
        if name in instance.replaces and _may_go(seen, name) and seen.up:
            return True
    return False


def _may_go(seen: Replaced | None, unit: str) -> TypeGuard[Replaced]:
    """Whether it is an Ollama server, and known by its own name."""
    return seen is not None and seen.serves and seen.state.name == unit


def problems(fleet: Fleet, observed: Observed) -> Iterable[Problem]:
    """Why a service cannot make room, and what else goes with it."""
    for unit, instance in takers(fleet):
        place = f"instances.{instance.name}.replaces"
        for message, hint, severity in _faults(unit, instance, fleet, observed):
            yield Problem(path=place, instance=instance.name, message=message, hint=hint, severity=severity)


def _faults(unit: str, instance: Instance, fleet: Fleet, observed: Observed) -> Iterable[tuple[str, str, Severity]]:
    systemctl = "systemctl --user" if observed.facts.layout.user else "sudo systemctl"
    if observed.offline:
        hint = f"where the image has it: systemctl --root=DIR disable {unit}"
        yield f"an image has no manager to ask, so {unit} is left as it is", hint, Severity.WARNING
        return
    seen = observed.replaced.get(unit)
    if not seen or not (seen.up or seen.links or (seen.pulled_in and seen.state.load_state == "loaded")):
        return
    if seen.state.name != unit:
        yield f"{unit} is another name of {seen.state.name}", f"write {seen.state.name}", Severity.ERROR
    elif not seen.serves:
        message = f"{unit} does not run Ollama, as far as its command and its processes show, so it is not replaced"
        hint = f"look at it: systemctl cat {unit}; if it may go: {systemctl} disable --now {unit}"
        yield message, hint, Severity.ERROR
    elif seen.carried:
        message = f"{listed(seen.carried)} would be stopped with {unit}, which the spec does not name"
        hint = f"have it require {instance.unit} instead: {systemctl} edit {seen.carried[0]}; or stop it yourself"
        yield message, hint, Severity.ERROR
    elif seen.pulled_in:
        message = f"{listed(seen.pulled_in)} starts {unit}, and no link of an administrator's"
        yield message, f"{systemctl} mask {unit}, then the same command again", Severity.ERROR
    else:
        yield from _orphaned(unit, fleet, observed)


def _orphaned(unit: str, fleet: Fleet, observed: Observed) -> Iterable[tuple[str, str, Severity]]:
    ports = {instance.port for instance in fleet.instances}
    for rival in observed.rivals:
        if rival.unit == unit and rival.port not in ports:
            message = f"{unit} listens on port {rival.port}, where nobody will answer any more"
            yield message, f"write port: {rival.port}, unless its clients are told", Severity.WARNING


def dropped(fleet: Fleet, observed: Observed, only: Collection[str] = ()) -> Mapping[str, Instance]:
    """Services that the installed fleet replaces, and this one does not, with who has their place."""
    named = {unit for instance in fleet.instances for unit in instance.replaces}
    there = [i for i in installed_fleet(observed.files).instances if not only or i.name in only]
    return {unit: instance for instance in there for unit in instance.replaces if unit not in named}


def left_behind(units: Mapping[str, Instance], now: Mapping[str, Replaced], *, user: bool) -> Iterable[Problem]:
    """A note for each of them that nobody starts any more: one that there never was is missed by nobody."""
    systemctl = "systemctl --user" if user else "sudo systemctl"
    for unit, instance in units.items():
        seen = now.get(unit)
        if seen and seen.state.load_state == "loaded" and not seen.up and not seen.links:
            yield Problem(
                path=unit,
                message=f"{unit}, which made room for {instance.unit}, stays stopped and disabled",
                hint=f"to have it again: {systemctl} enable --now {unit}",
                severity=Severity.NOTE,
            )
