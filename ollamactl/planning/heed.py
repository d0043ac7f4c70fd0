"""When an administrator's drop-ins are heeded, in words: they win over ollamactl's, but not at once. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ollamactl.errors import Problem, Severity
from ollamactl.model import instance_name
from ollamactl.observed import DropIn, Heeded, Observed
from ollamactl.planning.plan import Plan, StepKind


def told(unit: str, drop_ins: Sequence[DropIn], *, user: bool = False) -> Iterable[Problem]:
    """A note for each way in which drop-ins of a unit are heeded."""
    name = instance_name(unit) or ""
    restart = f"{'ollamactl --user' if user else 'sudo ollamactl'} restart {name}"
    reload = f"{'systemctl --user' if user else 'sudo systemctl'} daemon-reload"
    for heeded, words, hint in (
        (Heeded.NOW, "an administrator's drop-in applies too", ""),
        (Heeded.AT_RESTART, "an administrator's drop-in takes effect at the next restart", restart),
        (Heeded.AT_RELOAD, "systemd has not read an administrator's drop-in as it is now", f"{reload} && {restart}"),
    ):
        if paths := [each.path for each in drop_ins if each.heeded is heeded]:
            yield Problem(
                path=unit,
                instance=name,
                severity=Severity.NOTE,
                message=f"{words}: {', '.join(paths)}",
                hint=hint,
            )


def problems(observed: Observed, plan: Plan) -> Iterable[Problem]:
    """The same for the whole fleet, as it is once the plan is carried out."""
    reloads = bool(plan.of(StepKind.RELOAD))
    starts = {step.subject for step in plan.of(StepKind.START, StepKind.RESTART)}
    for unit, drop_ins in observed.foreign_drop_ins.items():
        after = [replace(each, heeded=_after(each.heeded, reloads, unit in starts)) for each in drop_ins]
        yield from told(unit, after, user=observed.facts.layout.user)


def _after(heeded: Heeded, reloads: bool, starts: bool) -> Heeded:
    if heeded is Heeded.AT_RELOAD and reloads:
        heeded = Heeded.AT_RESTART
    return Heeded.NOW if heeded is Heeded.AT_RESTART and starts else heeded
