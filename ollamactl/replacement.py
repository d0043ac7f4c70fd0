"""One machine has one fleet: whether a plan removes what another spec describes. Pure."""

import shlex
from collections.abc import Sequence

from ollamactl.errors import Problem, Severity, listed
from ollamactl.model import Fleet
from ollamactl.plan import Plan


def leaving(fleet: Fleet, plan: Plan) -> tuple[str, ...]:
    """The instances that a plan takes from the host, because the spec lacks them."""
    named = {instance.name for instance in fleet.instances}
    return tuple(sorted({step.instance for step in plan.steps if step.instance} - named))


def problem(names: Sequence[str], *, old: str, new: str, there: bool, wanted: bool, command: str) -> Problem:
    """An error where instances leave because another spec is applied than the one that they came from, else a note.

    `old` and `new` are the specs' paths, empty for standard input. `there` says that the old one still is, `wanted`
    that all this was asked for (--replace). `command` is what one types to apply.
    """
    what, origin = listed(names), old or "standard input"
    if there and not wanted:
        typed = f"{command} --replace {shlex.quote(new or '-')}"
        return Problem(
            message=f"the installed fleet comes from {origin}; applying {new or 'this one'} would remove {what}",
            hint=f"one machine has one fleet: put the instances into that file, or replace it with: {typed}",
        )
    gone = ", which is gone" if old and not there else ""
    return Problem(message=f"this removes {what}: the installed fleet came from {origin}{gone}", severity=Severity.NOTE)
