"""The way back of a change that failed: what it changed is undone, and what was before is proved again."""

from dataclasses import replace

from ollamactl import readiness
from ollamactl.compiled import Compiled, manifests_of
from ollamactl.errors import OllamactlError, Problem
from ollamactl.host.observe import Host, observe
from ollamactl.outcome import Outcome
from ollamactl.planning import undo
from ollamactl.planning.plan import Plan
from ollamactl.protocols import Tell
from ollamactl.room import Room
from ollamactl.workflow import Applied, Planned, carry_out


def worth_it(applied: Applied) -> bool:
    """Whether what failed may be the doing of this change: a server that it never touched is not."""
    outcome = applied.outcome
    touched = {step.instance for step in applied.planned.plan.changes}
    broken = any(not proof.ok and proof.instance in touched for proof in outcome.proofs)
    failed = broken or bool(outcome.problems) or not outcome.complete
    return outcome.changed and failed and not outcome.interrupted


def taken_back(
    host: Host, planned: Planned, failed: Applied, making: Room, *, good: int, timeout: float, tell: Tell
) -> Applied:
    """Brings back what was before `failed`, and proves it, in `timeout` seconds; `good` is a generation to go to else.

    It raises nothing of ours: whatever ends the way back is a second story, and must not take the first one's place.
    """
    try:
        tell("", "it failed: going back to what was before")
        undone = _undo(host, planned, failed, making, timeout, tell)
    except OllamactlError as error:
        nowhere = replace(planned, plan=Plan())
        undone = Applied(planned=nowhere, outcome=Outcome(complete=False, problems=list(error.problems)))
    outcome = undone.outcome
    if outcome.complete:
        return undone
    rollback = f"{'ollamactl --user' if host.user else 'sudo ollamactl'} rollback {good}"
    told = [_told(problem, rollback) for problem in outcome.problems]
    return replace(undone, outcome=replace(outcome, problems=told))


def _undo(host: Host, planned: Planned, failed: Applied, making: Room, timeout: float, tell: Tell) -> Applied:
    before = planned.observed
    fleet, files = undo.former(before), undo.former_files(before)
    compiled = Compiled(
        fleet=fleet,
        facts=replace(before.facts, manifests={**before.facts.manifests, **manifests_of(files, host.layout, fleet)}),
        files=files,
        there=host.files.managed(host.layout),
    )
    services = making.undone(failed.planned.plan, fleet)
    found = observe(host, fleet, compiled.facts, compiled.there, besides=services)
    back = Planned(
        compiled=compiled,
        observed=found,
        plan=undo.undo(failed.planned.plan, before, found, services),
        versions=readiness.versions(host, compiled),
    )
    undone = carry_out(host, back, load=False, timeout=timeout, tell=tell)
    if undone.outcome.ok and not fleet.instances:
        host.files.clear()
    return undone


def _told(problem: Problem, rollback: str) -> Problem:
    return replace(
        problem,
        message=f"what was changed could not be taken back: {problem.message}",
        hint=f"{problem.hint or 'the same command again'}; or to the last generation that held: {rollback}",
    )
