"""Plans, proofs and diffs as text for a person and as JSON values. Pure."""

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

from ollamactl.errors import Problem, Severity
from ollamactl.facts import Gpu
from ollamactl.files import File, FileKind
from ollamactl.outcome import Outcome
from ollamactl.planning.plan import Plan, Step, StepKind
from ollamactl.proving.proof import Check, CheckKind, Proof
from ollamactl.units import secretfile

_SIGNS = {
    StepKind.PULL: "+", StepKind.CREATE: "+",
    StepKind.WRITE: "~", StepKind.REMOVE: "-", StepKind.ENABLE: "+", StepKind.DISABLE: "-", StepKind.START: "+",
    StepKind.STOP: "-", StepKind.RESTART: "~", StepKind.DISPLACE: "-", StepKind.RESTORE: "+",
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
    """`3 to start, 1 to restart, 2 to stop, 5 files to write, 1 file to remove`."""
    models = ((StepKind.PULL, "pull"), (StepKind.CREATE, "make"))
    servers = ((StepKind.START, "start"), (StepKind.RESTART, "restart"), (StepKind.STOP, "stop"))
    files = ((StepKind.WRITE, "write"), (StepKind.REMOVE, "remove"))
    others = ((StepKind.DISPLACE, "replace"), (StepKind.RESTORE, "bring back"))
    parts = [f"{plural(count, 'model')} to {what}" for kind, what in models if (count := len(plan.of(kind)))]
    parts += [f"{count} to {what}" for kind, what in servers if (count := _servers(plan, kind))]
    parts += [f"{plural(count, 'service')} to {what}" for kind, what in others if (count := len(plan.of(kind)))]
    parts += [f"{plural(count, 'file')} to {what}" for kind, what in files if (count := len(plan.of(kind)))]
    return ", ".join(parts) or "nothing to start or stop"


def refused(problems: Iterable[Problem], what: str) -> str:
    """`apply would refuse this: 2 errors above.`, for problems that are printed before it."""
    errors = sum(problem.severity is Severity.ERROR for problem in problems)
    return f"{what} {plural(errors, 'error')} above."


def diff_text(plan: Plan) -> str:
    """A unified diff of each file that the plan writes or removes; of secrets only a digest is shown."""
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
        # The salt of a file that is not there yet is not settled: its digest could be compared with nothing
        return _secrets(step.before), _secrets(after, known=bool(step.before))
    return (step.before or b"").decode(errors="replace"), after.decode(errors="replace")


def _secrets(data: bytes | None, *, known: bool = True) -> str:
    digest = secretfile.digest(data) if data and known else ""
    return f"(secrets, digest {digest})\n" if digest else "(secrets)\n" if data else ""


def plan_data(plan: Plan, *, diff: bool = False) -> list[dict[str, Any]]:
    """The steps as JSON, with before and after of each file when asked."""
    rows = []
    for step in plan.steps:
        row: dict[str, Any] = {
            "step": str(step.kind), "subject": step.subject, "cause": step.cause, "instance": step.instance
        }  # fmt: skip
        if step.kind in (StepKind.PULL, StepKind.CREATE):
            row["size"] = step.size
        if diff and step.kind in (StepKind.WRITE, StepKind.REMOVE):
            row["before"], row["after"] = _shown(step)
        rows.append(row)
    return rows


def proof_lines(proofs: Iterable[Proof], *, verbose: bool = False) -> list[str]:
    """A line an instance; for those that failed, what was found, what was expected and what to do."""
    lines = []
    rows = sorted(proofs, key=lambda proof: proof.instance)
    names = max((len(proof.instance) for proof in rows), default=0)
    listens = max((len(proof.listen) for proof in rows), default=0)
    for proof in rows:
        spilled = any(size.spilled for size in proof.evidence.answers.sizes.values())
        told = ", ".join(dict.fromkeys(c.kind for c in proof.checks if c.ok is proof.ok and not c.open))
        start = f"{'ok  ' if proof.ok else 'FAIL'}  {proof.instance:<{names}}  {proof.listen or '-':<{listens}}"
        lines.append(f"{start}  {told}")
        for check in proof.checks:
            if not check.ok:
                lines += _failure(check)
            elif verbose or check.pending or check.hidden or (spilled and check.kind is CheckKind.PLACEMENT):
                lines.append(f"      {check.kind}: {check.found}")
        if not proof.ok and proof.evidence.journal:
            lines.append(f"      last lines of {proof.unit}:")
            lines += [f"        | {line}" for line in proof.evidence.journal]
    return lines


def _failure(check: Check) -> list[str]:
    rows = (("found", check.found), ("expected", check.expected), ("hint", check.hint))
    heads = (f"{check.kind}:", *[" " * (len(check.kind) + 1)] * 2)
    return [f"      {head} {what:<8}  {text}" for head, (what, text) in zip(heads, rows, strict=True) if text]


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


_WHY = "What stands above says why"
_NOTHING = "nothing"


def outcome_text(outcome: Outcome, *, verbose: bool = False, look: str = "") -> str:
    """What a command that changes things says at its end; `look` is the command that shows how the servers are."""
    lines = proof_lines(outcome.proofs, verbose=verbose)
    proved = [_proved(outcome.proofs)] if outcome.proofs else []
    if outcome.ok:
        idle = f"Nothing to do: {outcome.idle}" if outcome.idle else "Nothing to do"
        done = f"Done: {_with(_counted(outcome.done), outcome.idle)}" if outcome.changed else idle
        lines.append(f"{'; '.join([done, *proved])}.")
    else:
        so_far = _counted(outcome.done) if outcome.changed else "nothing was changed"
        failed = sum(1 for step in outcome.failed if step.instance)
        if outcome.changed and not outcome.complete:
            so_far = f"broken off; done so far: {so_far}"
        elif failed and so_far == _NOTHING:
            so_far = ""
        so_far = _with(so_far, f"{failed} failed" if failed else "", outcome.idle)
        lines.append(f"FAILED: {'; '.join([*proved, so_far])}.")
        lines[-1] += f" {_WHY}; `{look}` shows the state now." if look else f" {_WHY}."
    return "\n".join(lines)


def _with(*parts: str) -> str:
    return ", ".join(filter(None, parts))


def undone_text(command: str, outcome: Outcome, *, verbose: bool = False) -> str:
    """The second story of a change that failed: how the old state was brought back; only apply has a spec for it."""
    lines = ["", *proof_lines(outcome.proofs, verbose=verbose)]
    if not outcome.ok:
        lines.append("FAILED to roll back. See how it is: ollamactl status; then apply a spec that works")
        return "\n".join(lines)
    proved = f"; {_proved(outcome.proofs)} again" if outcome.proofs else ""
    lines.append(f"Rolled back: everything is as it was before{proved}.")
    if command == "apply":
        lines[-1] += " (--keep-going leaves the new state.)"
        lines.append("The spec still says what failed: mend it before the next apply.")
    return "\n".join(lines)


def outcome_data(plan: Plan, outcome: Outcome) -> dict[str, Any]:
    """A whole outcome as JSON."""
    return {"ok": outcome.ok, "steps": plan_data(plan), "proofs": proof_data(outcome.proofs)}


def proofs_text(proofs: Sequence[Proof], *, verbose: bool = False, errors: int = 0) -> str:
    """What a command that only proves says; `errors` were found beside the proofs, and are printed before."""
    last = f"{_proved(proofs)}." if proofs else "Nothing to prove: no server is meant to run."
    if errors:
        last = f"{last[:-1]}, but with {plural(errors, 'error')} above."
    if errors or not all(proof.ok for proof in proofs):
        last = f"FAILED: {last} {_WHY}."
    return "\n".join([*proof_lines(proofs, verbose=verbose), last])


def _proved(proofs: Sequence[Proof]) -> str:
    said = "proved" if all(proof.whole for proof in proofs) else "answered as they should"
    hidden = sum(proof.ok for proof in proofs if proof.evidence.answers.hidden)
    unasked = f", {hidden} could not be asked" if hidden else ""
    return f"{sum(proof.ok for proof in proofs) - hidden} of {plural(len(proofs), 'server')} {said}{unasked}"


def _counted(done: Sequence[Step]) -> str:
    """`1 started, 2 files written`; nothing that was done none of."""
    plan = Plan(steps=tuple(done))
    counts = (
        (_servers(plan, StepKind.START), "started"),
        (_servers(plan, StepKind.RESTART), "restarted"),
        (_servers(plan, StepKind.STOP), "stopped"),
    )
    files = ((len(plan.of(StepKind.WRITE)), "written"), (len(plan.of(StepKind.REMOVE)), "removed"))
    others = ((len(plan.of(StepKind.DISPLACE)), "replaced"), (len(plan.of(StepKind.RESTORE)), "brought back"))
    came = ((len(plan.of(StepKind.PULL)), "pulled"), (len(plan.of(StepKind.CREATE)), "made"))
    parts = [f"{plural(count, 'model')} {how}" for count, how in came if count]
    parts += [f"{count} {how}" for count, how in counts if count]
    parts += [f"{plural(count, 'service')} {how}" for count, how in others if count]
    parts += [f"{plural(count, 'file')} {how}" for count, how in files if count]
    if parts:
        return ", ".join(parts)
    if links := len(plan.of(StepKind.ENABLE, StepKind.DISABLE)):
        return f"{plural(links, 'link')} changed"
    if plan.of(StepKind.RELOAD):
        return "systemd has read its files again"
    return ", ".join(f"{step.subject} started" for step in plan.of(StepKind.START)) or _NOTHING


def _servers(plan: Plan, kind: StepKind) -> int:
    """The target, which is no server, is not counted."""
    return sum(1 for step in plan.of(kind) if step.instance)


def plural(number: int, what: str) -> str:
    """`1 file`, `2 files`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


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
