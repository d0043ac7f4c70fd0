"""Whether a unit is still having its models loaded: its shell (templates/preload.sh) lives as long as it does."""

# ruff: noqa: PTH208
import os
from pathlib import Path

from ollamactl.host import processes


def at_work(unit: str, proc: Path = Path("/proc")) -> bool:
    """Looked for among all processes, for the server does not know it: it is systemd's child."""
    pids = (int(name) for name in os.listdir(proc) if name.isdecimal())
    return any(_preloads(processes.arguments(pid, proc)) and processes.unit_of(pid, proc) == unit for pid in pids)


def _preloads(words: tuple[str, ...]) -> bool:
    """`bash -c SCRIPT preload HOST PORT MODEL...`."""
    return words[1:2] == ("-c",) and words[3:4] == ("preload",)
