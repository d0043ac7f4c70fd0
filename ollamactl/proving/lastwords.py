"""Which lines of a journal tell why a server ended: Go prints the cause first, and then pages of stacks. Pure."""

import re
from collections.abc import Sequence

READ = 400
"""How many lines to look back for the cause: a crash of Ollama prints some 200 of stacks and registers."""
_SHOWN = 10
_AFTER = 3
_CAUSE = re.compile(r"(panic: |fatal error: |SIG[A-Z]+: |runtime: |unexpected fault address|Error: )")
"""How the last message of a Go program begins (runtime/panic.go, runtime/signal_unix.go), or Ollama's own (main.go)."""


def telling(lines: Sequence[str]) -> tuple[str, ...]:
    """The last lines, or where a stack fills them the cause and what the manager said after it."""
    if len(lines) <= _SHOWN:
        return tuple(lines)
    run = _last_run(lines)
    causes = [at for at, line in enumerate(lines) if at >= run and _CAUSE.match(line)]
    if not causes or causes[-1] >= len(lines) - _SHOWN:
        return tuple(lines[-_SHOWN:])
    first = _first_of_one_crash(lines, causes)
    above = max(0, first - 1)
    until = above + _SHOWN - _AFTER - 1
    return (*lines[above:until], f"... {len(lines) - _AFTER - until} lines of stacks ...", *lines[-_AFTER:])


def _last_run(lines: Sequence[str]) -> int:
    """Where the last run began, or the one before, which systemd followed up by this one of its own accord."""
    starts = [at for at, line in enumerate(lines) if line.startswith("Starting ")] or [0]
    again = len(starts) > 1 and any("Scheduled restart job" in line for line in lines[starts[-2] : starts[-1]])
    return starts[-2] if again else starts[-1]


def _first_of_one_crash(lines: Sequence[str], causes: Sequence[int]) -> int:
    """A fault tells itself in several lines that follow each other: `fatal error:`, then `[signal SIGSEGV: ...`."""
    first = causes[-1]
    while first - 1 in causes:
        first -= 1
    return first
