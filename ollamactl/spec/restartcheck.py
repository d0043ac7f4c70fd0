"""Whether a restart policy ends a crash loop. Pure."""

import math
from collections.abc import Iterator

from ollamactl.errors import Problem
from ollamactl.model import Instance, Restart, RestartPolicy
from ollamactl.quantity import format_duration
from ollamactl.spec.specplace import Place


def waits(instance: Instance, place: Place) -> Iterator[Problem]:
    """Whether the wait can grow from the first to the longest."""
    restart, name = instance.restart, instance.name
    if restart.policy is not RestartPolicy.NEVER and restart.delay > restart.max_delay:
        key = "delay" if place.written(name, "restart", "delay") else "max_delay"
        yield place.problem(
            place.of(name, "restart", key),
            f"delay, {format_duration(restart.delay)}, is more than max_delay, {format_duration(restart.max_delay)}",
            f"write max_delay: {format_duration(restart.delay)} or more",
        )


def loops(instance: Instance, place: Place) -> Iterator[Problem]:
    """Whether the starts of a server that ends at once are ever too many."""
    restart, name = instance.restart, instance.name
    if restart.policy is RestartPolicy.NEVER or restart.delay > restart.max_delay:
        return
    span = loop(restart)
    if span >= restart.within:
        needed = format_duration(float(math.floor(span / 60 + 1) * 60) if span >= 60 else math.floor(span) + 1.0)
        yield place.problem(
            place.of(name, "restart", "tries"),
            f"a crash loop would never end: {restart.tries} starts and their waits take {_about(span)},"
            f" and are counted within {format_duration(restart.within)} only",
            f"write within: {needed}, fewer tries, or shorter waits",
        )


def loop(restart: Restart) -> float:
    """Seconds from the first start to the one too many, of a server that ends at once.

    The wait grows in as many steps as double it (RestartSteps= in systemd.service(5); service_restart_usec_next() in
    systemd's service.c). Managers before 254 do not let it grow: their loop is shorter.
    """
    if not 0 < restart.delay < restart.max_delay:
        return restart.tries * restart.delay
    ratio: float = restart.max_delay / restart.delay
    steps = max(1, math.ceil(math.log2(ratio)))
    growing = min(restart.tries, steps)
    waits = math.fsum(restart.delay * math.pow(ratio, step / steps) for step in range(growing))
    return waits + (restart.tries - growing) * restart.max_delay


def _about(seconds: float) -> str:
    return format_duration(float(math.ceil(seconds)) if seconds >= 10 else round(seconds, 1))
