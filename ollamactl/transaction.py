"""Changing the fleet as a whole or not at all: recorded before, proved after, undone where the proof fails."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from ollamactl import __version__, generation, interrupt, room, wayback
from ollamactl.access import locked, require_root
from ollamactl.compiled import compile_files, forget, remember
from ollamactl.errors import HostError, Interrupted, OllamactlError, Problem, Severity, UsageError
from ollamactl.files import File, FileKind
from ollamactl.generation import Ending, Generation
from ollamactl.history import History, now, who
from ollamactl.host.observe import Host
from ollamactl.outcome import Outcome
from ollamactl.planning.onlycheck import not_installed
from ollamactl.planning.plan import Plan, Step, StepKind
from ollamactl.protocols import Tell
from ollamactl.pull import fetch, with_pulled
from ollamactl.pulling.moment import Watch, ignore
from ollamactl.report import plan_data, proof_data
from ollamactl.room import Room
from ollamactl.spec.source import Source
from ollamactl.units import secretfile
from ollamactl.workflow import (
    Applied,
    NotReadyError,
    Planned,
    carry_out,
    cut_off,
    limit,
    make_plan,
    plan,
    plan_destroy,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a change is made."""

    only: tuple[str, ...] = ()
    replacing: bool = False
    """Another spec's fleet may go for it."""
    load: bool = False
    timeout: float = 300.0
    """Seconds for all starts and answers of one stage."""
    keep_going: bool = False
    """Leave the new state though its proof failed."""
    canary: str = ""
    """The instance that is changed and proved before the others."""
    when_idle: float | None = None
    """Seconds to wait until a server is idle before it is stopped or restarted; None cuts off what is in flight."""
    wait: bool = True
    """Wait for another ollamactl that is at work."""
    pull: bool = True
    """Pull what is declared and missing."""


def apply(host: Host, source: Source, options: Options, tell: Tell, watch: Watch = ignore) -> Applied:
    """Makes the host match, and proves it. Raises OllamactlError before anything is changed where it must not be.

    What is missing is pulled first, without the lock: that may take hours, in which servers are to be looked after.
    """
    require_root(host, "apply")
    pulled: tuple[Step, ...] = ()
    with interrupt.heard():
        while True:
            with locked(host, tell, wait=options.wait):
                planned = plan(
                    host, source, only=options.only, replacing=options.replacing, pulling=options.pull and not pulled
                )
                missing = planned.plan.of(StepKind.PULL, StepKind.CREATE)
                if planned.errors or not missing:
                    return with_pulled(_apply(host, source, planned, options, tell), pulled)
            fetch(host, planned.fleet, [step.subject for step in missing], watch=watch, tell=tell)
            pulled = missing


def _apply(host: Host, source: Source, planned: Planned, options: Options, tell: Tell) -> Applied:
    applied = _change(host, planned, "apply", source.data, options, tell)
    if applied.outcome.ok and not options.only and not host.offline:
        applied = _noting(applied, lambda: remember(host, source, planned.compiled))
    return applied


def rollback(host: Host, number: int | None, options: Options, tell: Tell) -> Applied:
    """Brings back the files of an older generation as they were, the same way as any apply."""
    require_root(host, "rollback")
    with interrupt.heard(), locked(host, tell, wait=options.wait):
        target, planned = plan_rollback(host, number)
        spec = History(host.layout).spec(target.number) if target.number else b""
        applied = _change(host, planned, "rollback", spec, options, tell, to=target)
        if applied.outcome.ok and not planned.fleet.instances:
            host.files.clear()
        return applied


def plan_rollback(host: Host, number: int | None) -> tuple[Generation, Planned]:
    """The generation to go back to, and the plan.

    0 is the time before the first. Without a number it comes last, and only where something served then that has made
    room: to be left without any server is to be asked for. Raises UsageError where there is none, HostError where it is
    damaged.
    """
    history = History(host.layout)
    past = history.sound()
    latest = generation.current(past)
    if number:
        target = history.read(number)
    else:
        older = generation.before(past, latest) if latest and number is None else None
        first = latest and latest.origin and (number == 0 or room.owed(past, generation.BEGINNING))
        if not older and not first:
            zero = "; before the first: sudo ollamactl rollback 0" if latest and latest.origin else ""
            hint = f"to another one: sudo ollamactl rollback N; which there are: sudo ollamactl history{zero}"
            raise UsageError("there is no earlier generation to go back to", hint=hint)
        target = older or generation.BEGINNING
    compiled = compile_files(host, history.files(target) if target.number else ())
    return target, make_plan(host, compiled, back=room.owed(past, target))


def destroy(host: Host, options: Options, tell: Tell) -> Applied:
    """Stops and removes the whole fleet, with the servers' homes; its generations stay."""
    with interrupt.heard(), locked(host, tell, wait=options.wait):
        forget(host)
        applied = _change(host, plan_destroy(host), "destroy", b"", replace(options, keep_going=True), tell)
        if applied.outcome.ok:
            host.files.clear()
        return applied


def _change(
    host: Host,
    planned: Planned,
    command: str,
    spec: bytes,
    options: Options,
    tell: Tell,
    to: Generation | None = None,
) -> Applied:
    if planned.errors:
        raise NotReadyError(planned.problems)
    if host.offline or not planned.plan.changes:
        return carry_out(
            host, planned, load=options.load, timeout=options.timeout, tell=tell, patience=options.when_idle
        )
    if options.canary:
        limit(planned.fleet, [options.canary])
    if options.when_idle is None:
        for warning in cut_off(planned):
            tell(warning.instance, f"{warning.severity}: {warning.message}")
    history = History(host.layout)
    past = history.sound()
    making, good = Room(past, planned.plan, planned.observed), generation.good(past)
    made = replace(_generation(host, planned, command, to), displaced=making.taken)
    started = history.begin(made, spec, _wanted(host, planned, options))
    try:
        applied = replace(_in_stages(host, planned, options, tell), generation=started.number)
        if wayback.worth_it(applied) and not options.keep_going:
            undone = wayback.taken_back(host, planned, applied, making, good=good, timeout=options.timeout, tell=tell)
            applied = replace(applied, undone=undone)
    except OllamactlError as error:
        with interrupt.unbroken(), suppress(HostError):
            history.finish(replace(started, ending=Ending.FAILED, problems=(str(error),)))
        raise
    with interrupt.unbroken():
        ended = _ended(started, applied)
        ended = replace(ended, displaced=making.after(ended.ending, to))
        applied = _noting(applied, lambda: history.finish(ended))
        if command == "apply":
            applied = _noting(applied, lambda: history.trim(planned.fleet.keep_generations))
    return applied


def _noting(applied: Applied, note: Callable[[], None]) -> Applied:
    """Writes down what has come of a change: where the disk does not let it, that is no reason to call it failed."""
    try:
        note()
    except HostError as error:
        told = [
            replace(each, severity=Severity.WARNING, message=f"{each.message}; the change itself stands")
            for each in error.problems
        ]
        return replace(applied, planned=replace(applied.planned, problems=(*applied.planned.problems, *told)))
    return applied


def _ended(started: Generation, applied: Applied) -> Generation:
    outcome, undone = applied.outcome, applied.undone
    if outcome.ok:
        ending = Ending.DONE
    elif outcome.interrupted:
        ending = Ending.INTERRUPTED
    else:
        ending = Ending.UNDONE if undone and undone.outcome.ok else Ending.FAILED
    return replace(
        started,
        ending=ending,
        problems=tuple(map(str, (*outcome.problems, *(undone.outcome.problems if undone else ())))),
        proofs=tuple(proof_data(outcome.proofs)),
    )


def _generation(host: Host, planned: Planned, command: str, to: Generation | None) -> Generation:
    facts = planned.compiled.facts
    known = {path: version or "unknown" for path, version in planned.versions.items()}
    return Generation(
        number=0,
        command=command,
        of=to.origin if to else 0,
        when=now(),
        who=who(),
        source=planned.fleet.source,
        versions={"ollamactl": __version__, "systemd": str(facts.systemd), **known},
        instances=tuple(instance.name for instance in planned.fleet.instances),
        secrets={
            file.instance: secretfile.digest(file.data)
            for file in planned.compiled.files
            if file.kind is FileKind.SECRETS
        },
        steps=tuple(plan_data(planned.plan)),
    )


def _wanted(host: Host, planned: Planned, options: Options) -> tuple[File, ...]:
    compiled = planned.compiled
    return generation.wanted_files(compiled.files, compiled.there, host.layout, frozenset(options.only))


def _in_stages(host: Host, planned: Planned, options: Options, tell: Tell) -> Applied:
    """The canary first, where there is one; the rest only when it holds."""
    if not options.canary:
        return carry_out(
            host, planned, load=options.load, timeout=options.timeout, tell=tell, patience=options.when_idle
        )
    needed = not_installed(planned.fleet, planned.observed, options.canary)
    alone = make_plan(host, planned.compiled, only=[options.canary, *needed])
    first = carry_out(host, alone, load=options.load, timeout=options.timeout, tell=tell, patience=options.when_idle)
    if not first.outcome.ok:
        left = Problem(
            message=f"the canary {options.canary} did not hold, so nothing else was changed",
            severity=Severity.WARNING,
            instance=options.canary,
        )
        return replace(first, outcome=replace(first.outcome, problems=[*first.outcome.problems, left]))
    try:
        there = host.files.managed(host.layout)
        rest = make_plan(host, replace(planned.compiled, there=there), only=options.only)
    except OllamactlError as error:  # what the canary has changed is told, and taken back
        stopped = isinstance(error, Interrupted)
        broken = replace(first.outcome, complete=False, interrupted=stopped, problems=[*error.problems])
        return replace(first, outcome=broken)
    second = carry_out(host, rest, load=options.load, timeout=options.timeout, tell=tell, patience=options.when_idle)
    done = Plan(steps=(*first.planned.plan.steps, *rest.plan.steps))
    return Applied(planned=replace(planned, plan=done), outcome=_both(first.outcome, second.outcome))


def _both(first: Outcome, second: Outcome) -> Outcome:
    return replace(
        second,
        done=[*first.done, *second.done],
        failed=[*first.failed, *second.failed],
        problems=[*first.problems, *second.problems],
    )
