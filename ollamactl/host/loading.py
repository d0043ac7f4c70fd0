"""How far a runner is with reading its model, as the kernel shows it: nobody else tells (/api/ps is empty meanwhile).

A runner maps its model's file, and the kernel counts the pages that it has touched (Rss of /proc/PID/smaps), or reads
it (rchar of /proc/PID/io), to which bytes of other files count, too: a few, beside a model's. What it does after that,
for instance with a card's memory, shows nowhere.
"""

# ruff: noqa: PTH116, PTH123
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ollamactl.host import processes, runners
from ollamactl.protocols import Tell
from ollamactl.quantity import shown_share

_FIRST_SECONDS, _SECONDS = 1.0, 5.0
"""When it is told how far a load is, and how often."""
_PROC = Path("/proc")
_MAPPING = re.compile(r"[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \S+ +(/.*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Bytes of a model's file."""

    done: int
    total: int


class Loads:
    """Loads that are going on, by instance, and when each is to be told of again."""

    def __init__(self) -> None:
        self._going: dict[str, tuple[str, float]] = {}

    def began(self, instance: str, words: str) -> None:
        """A model is being loaded, and that was told."""
        self._going[instance] = words, time.monotonic() + _FIRST_SECONDS

    def due(self, instance: str) -> bool:
        """Whether it is time to look."""
        return instance in self._going and self._going[instance][1] <= time.monotonic()

    def tell(self, instance: str, server: int, tell: Tell) -> None:
        """Tells how far the server's process is, where that shows."""
        words, _ = self._going[instance]
        self._going[instance] = words, time.monotonic() + _SECONDS
        if reading := read(server):
            tell(instance, f"{words}: {shown_share(reading.done, reading.total)} read")


def read(server: int, proc: Path = _PROC) -> Reading | None:
    """Of the youngest runner of a server's process; None where there is none, or nothing that shows."""
    pids = [runner.pid for runner in runners.of(server, proc)]
    started = {pid: processes.started_at(pid, proc) or 0.0 for pid in pids}
    return _of(max(pids, key=lambda pid: started[pid]), proc) if pids else None


def _of(pid: int, proc: Path) -> Reading | None:
    words = processes.arguments(pid, proc)
    if "--model" not in words[:-1]:
        return None
    path = words[words.index("--model") + 1]
    try:
        total = os.stat(f"{proc}/{pid}/root{path}").st_size
        mapped = sum(_mapped(f"{proc}/{pid}/smaps", path))
        taken = int(Path(f"{proc}/{pid}/io").read_text().split()[1])  # rchar comes first (proc_pid_io(5))
    except OSError:
        return None  # it has gone, or is another user's
    return Reading(done=min(max(mapped, taken), total), total=total) if total else None


def _mapped(smaps: str, path: str) -> Iterator[int]:
    """Bytes of each mapping of a file that are in memory for it."""
    with open(smaps) as rows:
        ours = False
        for row in rows:
            if match := _MAPPING.match(row):
                ours = match[1] == path
            elif ours and row.startswith("Rss:"):
                yield int(row.split()[1]) << 10
