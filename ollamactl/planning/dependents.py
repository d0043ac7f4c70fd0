"""Who goes along with a server that it requires: systemd stops and restarts both (Requires= in systemd.unit(5)).

A plan that did not say so would prove them while they are on their way down, or leave them stopped. Pure.
"""

from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import replace

from ollamactl.model import Fleet, Instance, State
from ollamactl.observed import UP, UnitState
from ollamactl.planning.plan import Step, StepKind, proof_of, wait_for

Servers = Mapping[str, Instance]
"""By unit."""

_DOWN = (StepKind.STOP, StepKind.RESTART)


def with_dependents(
    steps: Iterable[Step], units: Mapping[str, UnitState], *, then: Servers, now: Servers
) -> list[Step]:
    """The steps, and those that systemd adds to them: whoever goes along is waited for and proved as well.

    `then` are the servers as the manager knows them when it stops units, `now` when it starts them. Where an apply was
    killed before systemd read its files, it still goes by what it had read.
    """
    read = {unit: state.requires for unit, state in units.items() if state.requires is not None}
    then = {unit: replace(server, requires=read.get(unit, server.requires)) for unit, server in then.items()}
    todo = {(step.kind, step.subject): step for step in steps}
    up = {unit for unit, state in units.items() if state.active in UP}
    _stop(todo, up, then, now)
    _restart(todo, up, now)
    _start(todo, up, now)
    return _together(todo, {**then, **now})


def required(unit: str, servers: Servers) -> Set[str]:
    """All that a unit requires, and what that requires in turn."""
    found: set[str] = set()
    left = [unit]
    while left:
        server = servers.get(left.pop())
        new = set(server.requires if server else ()) - found
        found |= new
        left += new
    return found


def needed(fleet: Fleet) -> Set[str]:
    """Units without which those that are to run cannot: stopping one would stop them, and starting them start it."""
    servers = {instance.unit: instance for instance in fleet.instances}
    running = [i for i in fleet.instances if i.requires and i.state is State.RUNNING]
    return set().union(*(required(instance.unit, servers) for instance in running))


def to_run(fleet: Fleet) -> Collection[Instance]:
    """The instances that want their ports: those meant to run, and stopped ones that are started along with them."""
    units = needed(fleet)
    return [each for each in fleet.instances if each.state is State.RUNNING or each.unit in units]


_Todo = dict[tuple[StepKind, str], Step]


def _stop(todo: _Todo, up: Set[str], then: Servers, now: Servers) -> None:
    """Who goes down with another comes up with it again, unless that stays down."""
    for_good = _of(todo, StepKind.STOP) - _of(todo, StepKind.START)
    for unit, cause in _along(_of(todo, StepKind.STOP), then).items():
        if unit not in up:
            continue
        todo[StepKind.STOP, unit] = _step(StepKind.STOP, then[unit], f"requires {cause}, which stops")
        if restart := todo.pop((StepKind.RESTART, unit), None):
            todo[StepKind.START, unit] = replace(restart, kind=StepKind.START)
        elif unit in now and not required(unit, now) & for_good:
            still = cause in required(unit, now)
            _add(
                todo, StepKind.START, now[unit], f"requires {cause}, which restarts" if still else f"stops with {cause}"
            )


def _restart(todo: _Todo, up: Set[str], now: Servers) -> None:
    able = {unit: server for unit, server in now.items() if unit in up and (StepKind.STOP, unit) not in todo}
    for unit, cause in _along(_of(todo, StepKind.RESTART), able).items():
        _add(todo, StepKind.RESTART, now[unit], f"requires {cause}, which restarts")


def _start(todo: _Todo, up: Set[str], now: Servers) -> None:
    """What a server requires is started with it, whoever that is."""
    down = now.keys() - up
    for unit in sorted(_of(todo, StepKind.START, StepKind.RESTART)):
        for other in sorted(required(unit, now) & down):
            if (StepKind.START, other) not in todo:
                _add(todo, StepKind.START, now[other], f"required by {unit}")


def _along(roots: Set[str], servers: Servers) -> Mapping[str, str]:
    """Who goes along with the roots, each with the unit on whose account."""
    found: dict[str, str] = {}
    reached = set(roots)
    while new := {
        unit: cause
        for unit, server in servers.items()
        if unit not in reached and (cause := next((each for each in server.requires if each in reached), ""))
    }:
        found |= new
        reached |= new.keys()
    return found


def _add(todo: _Todo, kind: StepKind, server: Instance, cause: str) -> None:
    todo[kind, server.unit] = _step(kind, server, cause)
    for step in (wait_for(server), proof_of(server)):
        todo.setdefault((step.kind, step.subject), step)


def _step(kind: StepKind, server: Instance, cause: str) -> Step:
    return Step(kind=kind, subject=server.unit, cause=cause, instance=server.name)


def _of(todo: _Todo, *kinds: StepKind) -> set[str]:
    return {unit for kind, unit in todo if kind in kinds}


def _together(todo: _Todo, servers: Servers) -> list[Step]:
    """Marks who goes down together, and has them restarted side by side, the required first.

    So systemd, which has the restarts of all in its queue after the first, takes those asked for as the same ones.
    """
    place = {unit: number for number, (kind, unit) in enumerate(todo) if kind in _DOWN}
    below = {unit: required(unit, servers) & place.keys() for unit in place}
    groups: dict[str, set[str]] = {}
    for unit, others in below.items():
        if others:
            members = {unit}.union(*(groups.get(each, {each}) for each in (unit, *others)))
            groups |= dict.fromkeys(members, members)

    def order(step: Step) -> tuple[int, int]:
        if step.kind is not StepKind.RESTART:
            return -1, 0
        return min(place[each] for each in groups.get(step.subject, {step.subject})), len(below[step.subject])

    steps = [
        replace(step, group=min(groups[unit])) if kind in _DOWN and unit in groups else step
        for (kind, unit), step in todo.items()
    ]
    return sorted(steps, key=order)
