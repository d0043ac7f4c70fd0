"""What the gate counts of each server, and how Prometheus reads it (text exposition format 0.0.4). Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field

WAKE_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""The upper ends of the histogram's buckets."""


@dataclass(slots=True, kw_only=True)
class Counts:
    """Since the gate was started."""

    requests: int = 0
    polls: int = 0
    """Of which those that only ask how things are."""
    recorded: int = 0
    """Of which those that were answered without the server."""
    wakes: int = 0
    wake_seconds: float = 0.0
    wake_buckets: list[int] = field(default_factory=lambda: [0] * len(WAKE_SECONDS))
    stops: int = 0
    unloads: int = 0
    evictions: int = 0

    def woken(self, seconds: float) -> None:
        """A server answers, so long after it was asked for."""
        self.wakes += 1
        self.wake_seconds += seconds
        for at, end in enumerate(WAKE_SECONDS):
            self.wake_buckets[at] += seconds <= end


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """One server at this moment."""

    name: str
    state: str
    """asleep, waking, loading, ready, busy or draining."""
    since: float
    """Seconds since the epoch."""
    in_flight: int
    """Requests that are being answered."""
    waiting: int
    """Requests that wait for the server."""
    used: float | None
    """When a request needed it last, in seconds since the epoch."""


_FIGURES = (
    ("requests_total", "counter", "Requests that have come.", lambda _, counts: counts.requests),
    ("polls_total", "counter", "Of them, in need of no model.", lambda _, counts: counts.polls),
    ("recorded_answers_total", "counter", "Of them, answered asleep.", lambda _, counts: counts.recorded),
    ("wakes_total", "counter", "Starts for a request.", lambda _, counts: counts.wakes),
    ("stops_total", "counter", "Stops of idle servers.", lambda _, counts: counts.stops),
    ("unloads_total", "counter", "Times that idle models left memory.", lambda _, counts: counts.unloads),
    ("evictions_total", "counter", "Stops to make room for another server.", lambda _, counts: counts.evictions),
    ("in_flight", "gauge", "Requests that are being answered.", lambda now, _: now.in_flight),
    ("waiting", "gauge", "Requests that wait for the server.", lambda now, _: now.waiting),
    ("awake", "gauge", "Whether the server is up.", lambda now, _: int(now.state != "asleep")),
)  # fmt: skip


def text(rows: Iterable[tuple[Now, Counts]]) -> str:
    """All figures of all servers."""
    servers = list(rows)
    lines: list[str] = []
    for name, kind, says, read in _FIGURES:
        lines += _about(name, kind, says)
        lines += [f'ollama_gate_{name}{{instance="{now.name}"}} {read(now, counts)}' for now, counts in servers]
    lines += _about("wake_seconds", "histogram", "From the first request that waits to the server's first answer.")
    for now, counts in servers:
        for end, count in zip((*WAKE_SECONDS, "+Inf"), (*counts.wake_buckets, counts.wakes), strict=True):
            lines.append(f'ollama_gate_wake_seconds_bucket{{instance="{now.name}",le="{end}"}} {count}')
        lines.append(f'ollama_gate_wake_seconds_sum{{instance="{now.name}"}} {counts.wake_seconds:.6f}')
        lines.append(f'ollama_gate_wake_seconds_count{{instance="{now.name}"}} {counts.wakes}')
    return "\n".join([*lines, ""])


def _about(name: str, kind: str, says: str) -> list[str]:
    return [f"# HELP ollama_gate_{name} {says}", f"# TYPE ollama_gate_{name} {kind}"]
