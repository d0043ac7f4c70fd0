"""Finding servers that hang, and restarting just those: looked at without the lock, acted on with it."""

# ruff: noqa: PTH108
import os
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from ollamactl import interrupt
from ollamactl.access import locked
from ollamactl.errors import OllamactlError, Problem
from ollamactl.healing import memory, metrics, pulse, tell
from ollamactl.healing.judge import Memory, Verdict, hold, judge
from ollamactl.healing.signs import Signs
from ollamactl.host import atomic, journalwriter
from ollamactl.host.lock import TakenError
from ollamactl.host.observe import PATTERN, Host
from ollamactl.model import Fleet, Health
from ollamactl.observed import UnitState
from ollamactl.planning.dependents import with_dependents
from ollamactl.planning.plan import Plan, Step, StepKind
from ollamactl.protocols import Job, Tell
from ollamactl.units.record import installed_fleet
from ollamactl.workflow import nothing_installed

_RESTART_SECONDS = 300.0
"""For all restarts of a run: a server that ignores SIGTERM is killed after 90 s (TimeoutStopSec=)."""
_ERROR, _WARNING, _NOTICE = 3, 4, 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Healed:
    """What a run came to."""

    verdicts: tuple[Verdict, ...] = ()
    restarted: frozenset[str] = frozenset()
    """Units."""
    problems: tuple[Problem, ...] = ()
    skipped: str = ""
    """Who is at work on the fleet, so that nothing was looked at."""


def heal(host: Host, *, failures: int | None, dry_run: bool, told: Tell) -> Healed:
    """Looks once at every installed server, and restarts those that have failed often enough.

    `failures` in a row, in place of the spec's. Skips its turn where another ollamactl is at work, for then servers
    come and go. Raises UsageError where there is no fleet.
    """
    fleet = _installed(host)
    if not fleet.instances:
        raise nothing_installed(host)
    limit = failures or (fleet.health or Health()).failures
    place = memory.path(host.layout)
    if dry_run:
        return Healed(verdicts=_judged(fleet, _look(host, fleet), memory.read(place), limit))
    try:
        with locked(host, told, wait=False):
            pass  # it is free: but whoever comes while servers hang shall not have to wait
        signs = _look(host, fleet)
        with interrupt.heard(), locked(host, told, wait=False):
            if _installed(host) != fleet:
                return Healed(skipped="the fleet was changed meanwhile")
            return _act(host, fleet, signs, place, limit, told)
    except TakenError as error:
        return Healed(skipped=str(error))


def _installed(host: Host) -> Fleet:
    return installed_fleet(host.files.managed(host.layout))


def _look(host: Host, fleet: Fleet, only: Collection[str] | None = None) -> tuple[Signs, ...]:
    units = _units(host)
    chosen = [instance for instance in fleet.instances if only is None or instance.unit in only]
    return pulse.look((each, units.get(each.unit) or UnitState(name=each.unit)) for each in chosen)


def _units(host: Host) -> Mapping[str, UnitState]:
    return {state.name: state for state in host.manager.units([PATTERN], restarts=False)}


def _judged(fleet: Fleet, signs: Iterable[Signs], known: Mapping[str, Memory], limit: int) -> tuple[Verdict, ...]:
    verdicts = [judge(each, known.get(each.instance.name, Memory()), limit=limit) for each in signs]
    return hold(verdicts, _along(fleet, verdicts))


def _along(fleet: Fleet, verdicts: Iterable[Verdict]) -> Mapping[str, tuple[str, ...]]:
    """By unit that is due: whom systemd restarts with it."""
    verdicts = tuple(verdicts)
    return {
        verdict.unit: tuple(step.subject for step in _restarts(fleet, verdicts, [verdict.unit]))
        for verdict in verdicts
        if verdict.due
    }


def _restarts(fleet: Fleet, verdicts: Iterable[Verdict], wanted: Collection[str]) -> Sequence[Step]:
    """The restarts of some units, and of those that systemd restarts with them."""
    units = {verdict.unit: verdict.signs.unit for verdict in verdicts}
    servers = {instance.unit: instance for instance in fleet.instances}
    steps = [Step(kind=StepKind.RESTART, subject=unit, instance=servers[unit].name) for unit in wanted]
    return Plan(steps=tuple(with_dependents(steps, units, then=servers, now=servers))).of(StepKind.RESTART)


def _act(host: Host, fleet: Fleet, signs: Sequence[Signs], place: str, limit: int, told: Tell) -> Healed:
    """With the lock held, so that nobody else starts or stops a server meanwhile."""
    known, now = memory.read(place), _units(host)
    verdicts = _judged(fleet, signs, known, limit)
    # Who was restarted since the look; and whoever is to be, once more: somebody's request may have come meanwhile
    again = {each.unit.name for each in signs if now.get(each.unit.name) != each.unit}
    again |= {unit for along in _along(fleet, verdicts).values() for unit in along}
    if again:
        fresh = {each.unit.name: each for each in _look(host, fleet, again)}
        verdicts = _judged(fleet, (fresh.get(each.unit.name, each) for each in signs), known, limit)
    for verdict in verdicts:
        if verdict.finding:
            _note(verdict, tell.entry(verdict), _WARNING)
    restarted, problems = _restart(host, fleet, verdicts, told)
    verdicts = tuple(_counted(verdict) if verdict.unit in restarted else verdict for verdict in verdicts)
    try:
        memory.write(place, {verdict.instance: verdict.memory for verdict in verdicts})
        if fleet.health:
            _publish(host, verdicts)
    except OllamactlError as error:
        problems += error.problems
    return Healed(verdicts=verdicts, restarted=frozenset(restarted), problems=tuple(problems))


def _restart(host: Host, fleet: Fleet, verdicts: Sequence[Verdict], told: Tell) -> tuple[set[str], list[Problem]]:
    """Restarts those that are due, and tells the units that were."""
    due = {verdict.unit: verdict for verdict in verdicts if verdict.due}
    restarted: set[str] = set()
    problems: list[Problem] = []
    for verdict in due.values():
        told(verdict.instance, f"{verdict.words}: restarting it")
    jobs = [Job("RestartUnit", step.subject, step.group) for step in _restarts(fleet, verdicts, due)]
    for done in host.manager.run(jobs, timeout=_RESTART_SECONDS) if jobs else ():
        hung = due.get(done.unit)
        if hung and done.ok:
            restarted.add(done.unit)
            _note(hung, f"{hung.instance}: heal has restarted {done.unit}", _NOTICE)
        elif hung:
            words = f"it hangs, and was not restarted: {done.result}"
            hint = f"systemctl status {done.unit}"
            problems.append(Problem(message=words, hint=hint, path=done.unit, instance=hung.instance))
            _note(hung, f"{hung.instance}: {words}", _ERROR)
    return restarted, problems


def _counted(verdict: Verdict) -> Verdict:
    return replace(verdict, memory=replace(verdict.memory, restarts=verdict.memory.restarts + 1))


def _note(verdict: Verdict, message: str, priority: int) -> None:
    journalwriter.write(message, priority=priority, fields=tell.fields(verdict))


def _publish(host: Host, verdicts: Sequence[Verdict]) -> None:
    """Puts the figures in place of the old ones, and clears away what a killed run left."""
    layout = host.layout
    with suppress(OSError):
        for entry in os.scandir(layout.metrics):
            if atomic.is_temporary(entry.path):
                os.unlink(entry.path)
    text = metrics.text(verdicts, now=time.time())
    atomic.write([atomic.Write(layout.figures, text.encode(), 0o644)])
