"""The history of the fleet as text and as JSON values. Pure."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import PurePath
from typing import Any

from ollamactl.generation import Ending, Generation


def table(rows: Sequence[Any]) -> str:
    """The generations, the newest first; a row that is none is a damaged one."""
    if not rows:
        return "No change has been recorded yet."
    cells = [("GENERATION", "WHEN", "WHO", "COMMAND", "RESULT", "INSTANCES"), *(_cells(row) for row in reversed(rows))]
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells
    )


def _cells(row: Any) -> tuple[str, ...]:
    if not isinstance(row, Generation):
        return str(row.number), "-", "-", "-", "damaged", row.why
    return (str(row.number), row.when, row.who, _command(row), row.ending.value, ", ".join(row.instances) or "none")


def _command(row: Generation) -> str:
    return f"{row.command} to {row.of}" if row.command == "rollback" else row.command


def told(shown: Generation, folder: PurePath) -> str:
    """One generation: what, who, when, with which versions, its plan and how it ended."""
    versions = ", ".join(f"{name} {version}" for name, version in shown.versions.items())
    facts = (
        ("command", _command(shown)),
        ("spec", shown.source or ("standard input" if shown.command == "apply" else "none")),
        ("who", shown.who),
        ("when", shown.when + (f", until {shown.ended}" if shown.ended else "")),
        ("versions", versions),
        *([("secrets", _secrets(shown))] if shown.secrets else []),
        *([("displaced", ", ".join(shown.displaced))] if shown.displaced else []),
        ("result", _ending(shown)),
        ("files", str(folder)),
    )
    lines = [f"Generation {shown.number}", *(f"  {name:<9} {text}" for name, text in facts), ""]
    steps = [step for step in shown.steps if step["step"] not in ("wait", "verify")]
    width = max((len(step["subject"]) for step in steps), default=0)
    lines += [f"  {step['step']:<8} {step['subject']:<{width}}  {step['cause']}".rstrip() for step in steps]
    failed = [proof for proof in shown.proofs if not proof["ok"]]
    for proof in failed:
        lines += ["", f"  FAIL  {proof['instance']}  {proof['listen']}"]
        lines += [f"        {check['check']}: {check['found']}" for check in proof["checks"] if not check["ok"]]
        lines += [f"        | {line}" for line in proof["journal"]]
    lines += ["", *shown.problems] if shown.problems else []
    return "\n".join(lines)


def place(target: Generation) -> str:
    """Where a rollback goes, in words."""
    return f"generation {target.number}" if target.number else "the time before the first generation"


def _secrets(shown: Generation) -> str:
    return ", ".join(f"{name} {digest}" for name, digest in shown.secrets.items())


def _ending(shown: Generation) -> str:
    words = {
        Ending.UNFINISHED: "unfinished: it is at work now, or was killed; the next apply goes on from there",
        Ending.INTERRUPTED: "interrupted; the next apply goes on from there, or: ollamactl rollback",
        Ending.DONE: "done and proved",
        Ending.FAILED: "failed; what it had changed was left",
        Ending.UNDONE: "failed; what it had changed was rolled back",
    }
    return words[shown.ending]


def row_data(row: Any) -> dict[str, Any]:
    """A row of the list as JSON."""
    if not isinstance(row, Generation):
        return {"number": row.number, "result": "damaged", "why": row.why}
    return {
        "number": row.number, "command": row.command, "of": row.of if row.command == "rollback" else None,
        "when": row.when, "ended": row.ended or None, "who": row.who, "spec": row.source or None,
        "result": row.ending.value, "instances": list(row.instances), "versions": dict(row.versions),
    }  # fmt: skip


def data(shown: Generation, folder: PurePath) -> dict[str, Any]:
    """One generation as JSON."""
    return {
        **row_data(shown),
        "folder": str(folder),
        "secrets": dict(shown.secrets),
        "displaced": {unit: asdict(was) for unit, was in shown.displaced.items()},
        "steps": [dict(step) for step in shown.steps],
        "proofs": [dict(proof) for proof in shown.proofs],
        "problems": list(shown.problems),
    }
