"""What heal knows from one run to the next: a file below /run, which no boot keeps, for it is about processes."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ollamactl.facts import Layout
from ollamactl.healing.judge import Finding, Memory
from ollamactl.host import atomic


def path(layout: Layout) -> str:
    """Where the file is."""
    return f"{layout.run_dir}/heal.json"


def read(place: str) -> Mapping[str, Memory]:
    """By instance; nothing where there is no file, or none of ours: the counting then begins anew."""
    try:
        rows = json.loads(Path(place).read_bytes())
        return {name: _memory(row) for name, row in rows.items()}
    except (OSError, ValueError, TypeError, AttributeError, KeyError):
        return {}


def write(place: str, memories: Mapping[str, Memory]) -> None:
    """All of it, atomically. Raises NotPermitted or HostError."""
    text = json.dumps({name: asdict(memory) for name, memory in memories.items()}, indent=1)
    atomic.write([atomic.Write(place, text.encode(), 0o644)])


def _memory(row: Mapping[str, Any]) -> Memory:
    finding = row["finding"]
    return Memory(
        identity=str(row["identity"]),
        answered=row["answered"] is True,
        finding=Finding(finding) if finding else None,
        culprits=tuple(map(str, row["culprits"])),
        failures=int(row["failures"]),
        restarts=int(row["restarts"]),
    )
