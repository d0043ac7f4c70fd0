"""Carries out a plan, step by step as it stands, and proves the outcome. It decides nothing."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from ollamactl import interrupt
from ollamactl.drain import Drain
from ollamactl.errors import HostError, Interrupted, OllamactlError
from ollamactl.host import runners
from ollamactl.observed import UnitState
from ollamactl.outcome import Outcome
from ollamactl.planning import doors
from ollamactl.planning.plan import ON_DISK, Plan, StepKind
from ollamactl.protocols import FileStore, Job, ServiceManager, Tell
from ollamactl.proving.interview import Interviewer
from ollamactl.proving.proof import Expected
from ollamactl.starting import LATE_HINT, Starter


def execute(
    plan: Plan,
    *,
    files: FileStore,
    manager: ServiceManager,
    units: Mapping[str, UnitState],
    expected: Mapping[str, Expected],
    timeout: float,
    tell: Tell,
    patience: float | None = None,
) -> Outcome:
    """Does every step in order; a step that fails ends what would build on it, and is told with the rest.

    `units` is the state as observed, `timeout` in seconds is for all starts and answers together, `patience` for
    servers to become idle before they are stopped or restarted: None cuts off what is in flight.
    """
    outcome = Outcome()
    drain = Drain(units=units, at_work=runners.at_work, patience=patience, tell=tell)
    with _broken_off(outcome):
        _lay_out(plan, files, manager, outcome, timeout, tell, drain)
    if not outcome.complete:
        return outcome
    interviewer = Interviewer()
    try:
        with _broken_off(outcome):
            Starter(plan, manager, units, expected, interviewer, timeout, tell, drain).run(outcome)
    finally:
        interviewer.close()
    return outcome


def lay_out_offline(plan: Plan, *, files: FileStore) -> Outcome:
    """The steps that need no manager: files and enablement links below a --root."""
    outcome = Outcome()
    with _broken_off(outcome):
        for step in plan.of(*ON_DISK):
            if step.kind is StepKind.WRITE and step.file:
                files.write_all([step.file])
            elif step.kind is StepKind.REMOVE:
                files.remove(step.subject)
            elif step.kind is StepKind.ENABLE:
                files.enable(step.subject)
            else:
                files.disable(step.subject)
            outcome.done.append(step)
    return outcome


@contextmanager
def _broken_off(outcome: Outcome) -> Iterator[None]:
    """A failure ends the block and is told; who may do nothing at all, and has done nothing, gets the exception."""
    try:
        yield
    except OllamactlError as error:
        if not isinstance(error, HostError) and not outcome.changed:
            raise
        outcome.problems += error.problems
        outcome.complete = False
        outcome.interrupted = isinstance(error, Interrupted)


def _lay_out(
    plan: Plan,
    files: FileStore,
    manager: ServiceManager,
    outcome: Outcome,
    timeout: float,
    tell: Tell,
    drain: Drain,
) -> None:
    """Everything up to the reload: files, stops, links. Raises HostError at the first that fails."""
    writes = plan.of(StepKind.WRITE)
    if writes:
        tell("", f"writing {len(writes)} file{'s' if len(writes) > 1 else ''}")
    try:
        if writes:
            with interrupt.unbroken():
                files.write_all([step.file for step in writes if step.file])
                outcome.done += writes
        _stop(plan, manager, outcome, timeout, tell, drain)
        with interrupt.unbroken():
            _link(plan, files, manager, outcome, tell)
    except Interrupted:
        done = {step.kind for step in outcome.done}
        if StepKind.WRITE in done and StepKind.RELOAD not in done:
            with interrupt.unbroken():
                manager.reload()
        raise


def _link(plan: Plan, files: FileStore, manager: ServiceManager, outcome: Outcome, tell: Tell) -> None:
    """Links, removals and the reload, which must not be left between two of them."""
    for kind, change in ((StepKind.DISABLE, manager.disable), (StepKind.ENABLE, manager.enable)):
        steps = plan.of(kind)
        for step in steps:
            if step.links:
                (files.unlink if kind is StepKind.DISABLE else files.relink)(step.links)
        if own := [step.subject for step in steps if not step.links]:
            change(own)
        outcome.done += steps
    for step in plan.of(StepKind.REMOVE):
        files.remove(step.subject)
        outcome.done.append(step)
    for step in plan.of(StepKind.RELOAD):
        tell("", "systemd reads its units again")
        manager.reload()
        outcome.done.append(step)


def _stop(plan: Plan, manager: ServiceManager, outcome: Outcome, timeout: float, tell: Tell, drain: Drain) -> None:
    for batch in drain.due(plan.of(StepKind.STOP)):
        steps = {step.subject: step for step in batch}
        for done in manager.run([Job("StopUnit", unit) for unit in steps], timeout=timeout):
            step = steps[done.unit]
            words = "its port is closed" if step.instance and doors.opens(step) else "stopped"
            words = words if done.ok else f"did not stop: {done.result}"
            tell(step.instance, words if step.instance else f"{done.unit} {words}")
            (outcome.done if done.ok else outcome.failed).append(step)
    if drain.late:
        unit, words = next(iter(drain.late.items()))
        raise HostError(f"{unit} was not stopped: {words}", hint=LATE_HINT)
    if failed := [step.subject for step in outcome.failed]:
        raise HostError(f"{', '.join(failed)} did not stop", hint=f"systemctl status {failed[0]}")
