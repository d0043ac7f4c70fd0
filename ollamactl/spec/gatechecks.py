"""Whether an instance can be what it is behind the gate. Pure."""

import math
from collections.abc import Iterator, Mapping

from ollamactl.errors import Problem, Severity
from ollamactl.model import Egress, Fleet, Instance, Network
from ollamactl.quantity import format_duration
from ollamactl.spec.specplace import Place


def door(instance: Instance, place: Place) -> Iterator[Problem]:
    """Its network is its own: there is a way in, and no way out."""
    name = instance.name
    if not instance.gated:
        return
    if instance.network is Network.HOST:
        yield place.problem(
            place.of(name, "network"),
            "host cannot be combined with on_demand: the gate would not be the only way to the server",
            "remove it, or write network: private",
        )
    if instance.egress is Egress.OPEN:
        key = "on_demand" if place.written(name, "on_demand") else "network"
        yield place.problem(
            place.of(name, "egress"),
            f"open cannot be combined with {key}: the server's network is its own, and has no way out",
            "egress: closed",
        )


def times(instance: Instance, place: Place) -> Iterator[Problem]:
    """What is stopped has nothing left to unload."""
    asked = instance.on_demand
    if asked and asked.unload_after is not None and asked.stop_after <= asked.unload_after < math.inf:
        yield place.problem(
            place.of(instance.name, "on_demand", "unload_after"),
            f"{format_duration(asked.unload_after)} has no effect: the server is stopped after"
            f" {format_duration(asked.stop_after)}",
            "write less than stop_after, or remove it",
            Severity.WARNING,
        )


def needed(fleet: Fleet, place: Place) -> Iterator[Problem]:
    """systemd stops who requires a unit that is stopped (systemd.unit(5), Requires=)."""
    sleeping: Mapping[str, str] = {each.unit: each.name for each in fleet.instances if each.sleeps}
    for instance in fleet.instances:
        for at, unit in enumerate(instance.requires):
            if unit in sleeping:
                yield place.problem(
                    place.of(instance.name, "requires", at),
                    f"{sleeping[unit]} is stopped when it is idle, and would take {instance.name} down with it",
                    f"remove it, or give {sleeping[unit]} on_demand: {{stop_after: never}}",
                )
