"""The figures of a run, at its end."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """One line for each kind of thing that was tried."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    slowest: defaultdict[str, float] = defaultdict(float)
    for report in terminalreporter.stats.get("passed", ()):
        for key, told in report.user_properties:
            if key == "soak":
                counts[told["what"]].update(told["counts"])
                slowest[told["what"]] = max(slowest[told["what"]], told["slowest"])
    for what, found in sorted(counts.items()):
        each = ", ".join(f"{count} {how}" for how, count in sorted(found.items()))
        terminalreporter.write_line(f"{what}: {found.total()} ({each}), the slowest took {slowest[what]:.2f} s")
