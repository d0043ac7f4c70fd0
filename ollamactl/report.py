"""Plans, proofs and diffs as text for a person and as JSON values. Pure."""

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

from ollamactl.execute import Outcome
from ollamactl.facts import Gpu
from ollamactl.files import File, FileKind
from ollamactl.plan import Plan, Step, StepKind
from ollamactl.proof import Proof

_SIGNS = {
    StepKind.WRITE: "~", StepKind.REMOVE: "-", StepKind.ENABLE: "+", StepKind.DISABLE: "-", StepKind.START: "+",
    StepKind.STOP: "-", StepKind.RESTART: "~",
}  # fmt: skip


def plan_text(plan: Plan, *, diff: bool = False) -> str:
    """The plan as a table with a summary line, after each file's diff when asked."""
    if not plan.changes:
        return "No changes: the host matches the spec."
    parts = [diff_text(plan)] if diff else []
    steps = [step for step in plan.steps if step.kind is not StepKind.VERIFY]
    width = max(len(step.subject) for step in steps)
    for step in steps:
        sign = "+" if step.kind is StepKind.WRITE and step.before is None else _SIGNS.get(step.kind, " ")
        parts.append(f"{sign} {step.kind:<8} {step.subject:<{width}}  {step.cause}".rstrip())
    if proofs := plan.of(StepKind.VERIFY):
        parts.append(f"  {StepKind.VERIFY:<8} {', '.join(step.instance for step in proofs)}")
    parts.append(f"\nPlan: {summary(plan)}.")
    return "\n".join(part for part in parts if part)


def summary(plan: Plan) -> str:
    """`3 to start, 1 to restart, 2 to stop, 5 files to write, 1 to remove`."""
    counts = [
        (sum(1 for step in plan.of(StepKind.START) if step.instance), "to start"),
        (len(plan.of(StepKind.RESTART)), "to restart"),
        (sum(1 for step in plan.of(StepKind.STOP) if step.instance), "to stop"),
        (len(plan.of(StepKind.WRITE)), "files to write"),
        (len(plan.of(StepKind.REMOVE)), "files to remove"),
    ]
    return ", ".join(f"{count} {what}" for count, what in counts if count) or "nothing to start or stop"


def diff_text(plan: Plan) -> str:
    """A unified diff of each file that the plan writes or removes; secrets are never shown."""
    return "\n".join(filter(None, (_file_diff(step) for step in plan.of(StepKind.WRITE, StepKind.REMOVE))))


def _file_diff(step: Step) -> str:
    before, after = _shown(step)
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), f"a{step.subject}", f"b{step.subject}", lineterm="", n=2
    )
    return "\n".join(lines)


def _shown(step: Step) -> tuple[str, str]:
    """Before and after as text that may be printed."""
    after = step.file.data if step.file else b""
    if (step.file and step.file.kind is FileKind.SECRETS) or step.subject.endswith(".env"):
        return ("(secrets)\n" if step.before else "", "(other secrets)\n" if after and step.before else "(secrets)\n")
    return (step.before or b"").decode(errors="replace"), after.decode(errors="replace")


def plan_data(plan: Plan, *, diff: bool = False) -> list[dict[str, Any]]:
    """The steps as JSON, with before and after of each file when asked."""
    rows = []
    for step in plan.steps:
        row: dict[str, Any] = {
            "step": str(step.kind), "subject": step.subject, "cause": step.cause, "instance": step.instance
        }  # fmt: skip
        if diff and step.kind in (StepKind.WRITE, StepKind.REMOVE):
            row["before"], row["after"] = _shown(step)
        rows.append(row)
    return rows


def proof_lines(proofs: Iterable[Proof], *, verbose: bool = False) -> list[str]:
    """A line an instance; for those that failed, what was expected, what was found and what to do."""
    lines = []
    rows = sorted(proofs, key=lambda proof: proof.instance)
    width = max((len(proof.instance) for proof in rows), default=0)
    for proof in rows:
        good = " ".join(check.kind for check in proof.checks if check.ok)
        lines.append(f"{'ok  ' if proof.ok else 'FAIL'}  {proof.instance:<{width}}  {proof.listen}  {good}")
        for check in proof.checks:
            if check.ok and verbose:
                lines.append(f"        {check.kind}: {check.found}")
            elif not check.ok:
                lines += _failure(check.kind, check.found, check.expected, check.hint)
        if not proof.ok and proof.evidence.journal:
            lines.append(f"        the last lines of {proof.unit}:")
            lines += [f"          | {line}" for line in proof.evidence.journal]
    return lines


def _failure(kind: str, found: str, expected: str, hint: str) -> list[str]:
    lines = [f"        {kind}: found {found}"]
    if expected:
        lines.append(f"        {' ' * len(kind)}  expected {expected}")
    if hint:
        lines.append(f"        {' ' * len(kind)}  hint: {hint}")
    return lines


def proof_data(proofs: Iterable[Proof]) -> list[dict[str, Any]]:
    """The proofs as JSON."""
    return [
        {
            "instance": proof.instance,
            "unit": proof.unit,
            "listen": proof.listen,
            "ok": proof.ok,
            "version": proof.evidence.answers.version,
            "models": dict(proof.evidence.answers.models),
            "checks": [
                {"check": str(c.kind), "ok": c.ok, "expected": c.expected, "found": c.found, "hint": c.hint}
                for c in proof.checks
            ],
            "journal": list(proof.evidence.journal),
        }
        for proof in proofs
    ]


def outcome_text(outcome: Outcome, *, verbose: bool = False) -> str:
    """What apply says at its end."""
    lines = proof_lines(outcome.proofs, verbose=verbose)
    good = sum(1 for proof in outcome.proofs if proof.ok)
    changed = _changes(outcome.done)
    proved = f"; {good} of {len(outcome.proofs)} servers proved" if outcome.proofs else ""
    lines.append(f"{changed}{proved}.")
    return "\n".join(lines)


def _changes(done: Sequence[Step]) -> str:
    plan = Plan(steps=tuple(done))
    if not plan.changes:
        return "Nothing to do"
    counts = {
        "started": sum(1 for step in plan.of(StepKind.START) if step.instance),
        "restarted": len(plan.of(StepKind.RESTART)),
        "stopped": sum(1 for step in plan.of(StepKind.STOP) if step.instance),
        "files written": len(plan.of(StepKind.WRITE)),
        "files removed": len(plan.of(StepKind.REMOVE)),
    }
    return "Done: " + (", ".join(f"{count} {what}" for what, count in counts.items() if count) or "links changed")


def files_text(files: Iterable[File]) -> str:
    """Each file under a line with its path; secrets and manifests are only named."""
    parts = []
    for file in files:
        body = file.data.decode() if file.is_unit else f"({file.kind}, {len(file.data)} bytes, mode {file.mode:04o})\n"
        parts.append(f"==> {file.path} <==\n{body}")
    return "\n".join(parts).rstrip("\n")


def files_data(files: Iterable[File]) -> list[dict[str, Any]]:
    """The files as JSON; only units carry their text."""
    return [
        {
            "path": file.path,
            "kind": str(file.kind),
            "mode": f"{file.mode:04o}",
            "instance": file.instance,
            "text": file.data.decode() if file.is_unit else None,
        }
        for file in files
    ]


def cards_text(cards: Sequence[Gpu]) -> str:
    """A card a line, with what to write into the spec."""
    if not cards:
        return "No NVIDIA or AMD card found; servers compute on the CPU (gpus: none)."
    lines = []
    for card in cards:
        memory = f"{card.memory / 2**30:.0f} GiB" if card.memory else "unknown memory"
        lines.append(f"{card.vendor} {card.index}  {card.pci}  {card.name or 'unnamed'}  {memory}")
        lines.append(f"    gpus: [{card.uuid or card.pci}]")
    return "\n".join(lines)


def card_data(card: Gpu) -> dict[str, Any]:
    """A card as JSON; memory in bytes."""
    return {
        "vendor": str(card.vendor), "index": card.index, "uuid": card.uuid, "pci": card.pci, "name": card.name,
        "memory": card.memory, "minor": card.minor, "spec": f"gpus: [{card.uuid or card.pci}]",
    }  # fmt: skip
