"""Servers of ours that nothing on disk describes any more: somebody removed their drop-in, and they run on. Pure."""

import shlex
from collections.abc import Iterable

from ollamactl.model import Instance, unit_name
from ollamactl.observed import Active, Observed
from ollamactl.proving.proof import Check, CheckKind, Evidence, Proof
from ollamactl.units import record


def proofs(observed: Observed, described: Iterable[Instance]) -> tuple[Proof, ...]:
    """What is wrong with each that runs, has failed or starts at boot; `described` are those with a drop-in.

    A unit of the template's name that is none of ours, by its files, links and process, is nobody's business.
    """
    names = sorted(observed.ours - {instance.name for instance in described})
    return tuple(_proof(name, observed) for name in names if _matters(unit_name(name), observed))


def _matters(unit: str, observed: Observed) -> bool:
    return unit in observed.wanted or observed.unit(unit).active is not Active.INACTIVE


def _proof(name: str, observed: Observed) -> Proof:
    layout, unit = observed.facts.layout, unit_name(name)
    path = f"{layout.unit_dir}/{unit}.d/10-ollamactl.conf"
    seen, state = observed.files.get(path), observed.unit(unit)
    what = "is gone" if seen is None else "does not say what it is" if seen.ours else "is somebody else's"
    source = shlex.quote(record.installed_source(observed.files) or "fleet.yaml")
    check = Check(
        kind=CheckKind.DROP_IN,
        ok=False,
        found=f"it is {state.words}, and its drop-in {path} {what}",
        expected="the drop-in that ollamactl wrote",
        hint="put it back, or have it removed if the spec has it no more: "
        f"{'ollamactl --user' if layout.user else 'sudo ollamactl'} apply {source}",
    )
    return Proof(instance=name, unit=unit, listen="", checks=(check,), evidence=Evidence(unit=state))
