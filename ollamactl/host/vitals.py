"""Whether a process does anything, from /proc/PID/stat (proc_pid_stat(5))."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

_STATES = {"T": "stopped by a signal", "t": "held by a debugger", "D": "waiting for a disk or a device", "Z": "dead"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """A process at one moment; times in seconds."""

    pid: int
    started: float
    """After the boot."""
    age: float
    cpu: float
    """What all its threads have had of processors so far."""
    faults: int
    """How often it had to wait until a page of its memory was read from disk."""
    state: str
    """In words, where that tells something; else empty."""

    @property
    def identity(self) -> str:
        """The same for the same process only, until the next boot."""
        return f"{self.pid}@{self.started:.2f}"


def read(pid: int, proc: Path = Path("/proc")) -> Vitals | None:
    """The process by its number; None where there is none."""
    try:
        # The name before the last bracket may hold anything
        fields = (proc / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    tick = os.sysconf("SC_CLK_TCK")
    started = int(fields[19]) / tick
    return Vitals(
        pid=pid,
        started=started,
        age=time.clock_gettime(time.CLOCK_BOOTTIME) - started,
        cpu=(int(fields[11]) + int(fields[12])) / tick,
        faults=int(fields[9]),
        state=_STATES.get(fields[0].decode(), ""),
    )
