"""One machine has one fleet: whether an apply removes what another spec describes. Pure."""

import shlex
from collections.abc import Collection, Sequence

from ollamactl.errors import Problem, Severity, listed
from ollamactl.model import Fleet
from ollamactl.observed import Observed


def leaving(fleet: Fleet, observed: Observed, only: Collection[str]) -> tuple[str, ...]:
    """The instances that an apply takes from the host, because the spec lacks them; with --only none."""
    named = {instance.name for instance in fleet.instances}
    return () if only else tuple(sorted(observed.ours - named))


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
