"""The rules for `after`, `requires` and `replaces`: nobody waits for himself, or takes another's place twice. Pure."""

from collections.abc import Iterator

from ollamactl.errors import Problem
from ollamactl.model import TARGET, Fleet, State, instance_name, unit_name
from ollamactl.spec.specplace import Place


def check(fleet: Fleet, place: Place) -> Iterator[Problem]:
    """Every problem with what the instances wait for."""
    by_name = {instance.name: instance for instance in fleet.instances}
    edges: dict[str, list[str]] = {}
    for instance in fleet.instances:
        name = instance.name
        for key in ("after", "requires"):
            for at, unit in enumerate(getattr(instance, key)):
                path = place.of(name, key, at)
                other = instance_name(unit)
                if unit == TARGET:
                    message = f"{TARGET} itself waits for the instances"
                    yield place.problem(path, message, "remove it")
                elif other == name:
                    yield place.problem(path, f"{name} cannot wait for itself", "remove it")
                elif other in by_name:
                    edges.setdefault(name, []).append(other)
                    if key == "requires" and by_name[other].state is State.STOPPED and instance.state is State.RUNNING:
                        message = f"{other} has state: stopped, but starting {name} starts it"
                        hint = f"write state: running for {other}, or state: stopped for {name}"
                        yield place.problem(path, message, hint)
                elif other is not None and not place.written(other):
                    yield place.problem(path, f"this spec has no instance {other}", "remove it, or add the instance")
    yield from _replaced(fleet, place)
    for cycle in _cycles(edges):
        chain = " -> ".join([*cycle[:8], *(["..."] if len(cycle) > 8 else []), cycle[0]])
        key = "after" if unit_name(cycle[1]) in by_name[cycle[0]].after else "requires"
        yield place.problem(place.of(cycle[0], key), f"waits for itself: {chain}", "remove one of these")


def _replaced(fleet: Fleet, place: Place) -> Iterator[Problem]:
    """A service makes room for one server, and nobody waits for it then."""
    taker: dict[str, str] = {}
    for instance in fleet.instances:
        for at, unit in enumerate(instance.replaces):
            path = place.of(instance.name, "replaces", at)
            if unit in taker:
                yield place.problem(path, f"{unit} is replaced by {taker[unit]} already", "name it once")
            taker.setdefault(unit, instance.name)
    for instance in fleet.instances if taker else ():
        for key in ("after", "requires"):
            for at, unit in enumerate(getattr(instance, key)):
                if unit in taker:
                    message = f"{unit} makes room for {taker[unit]}, so nobody can wait for it"
                    yield place.problem(place.of(instance.name, key, at), message, f"write {taker[unit]}, or remove it")


def _cycles(edges: dict[str, list[str]]) -> Iterator[list[str]]:
    """One cycle for each group of names that wait for each other, without recursion."""
    done: set[str] = set()
    for root in edges:
        trail: list[str] = []
        at: dict[str, int] = {}
        todo = [(root, 0)]
        while todo:
            name, depth = todo.pop()
            for left in trail[depth:]:
                del at[left]
                done.add(left)
            del trail[depth:]
            if name in at:
                yield trail[at[name] :]
                done.update(trail)
                break
            if name not in done:
                at[name] = len(trail)
                trail.append(name)
                todo += [(other, depth + 1) for other in edges.get(name, ())]
        done.update(trail)
