"""The only writer to stdout and stderr: results, problems, and progress while a command waits."""

import io
import json
import os
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ollamactl.errors import Severity
from ollamactl.result import Result

if TYPE_CHECKING:
    from rich.live import Live


def show(result: Result, *, as_json: bool, quiet: bool = False) -> int:
    """Prints a result: data to stdout, problems to stderr, or one JSON document to stdout. Returns the exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A name that is no UTF-8, or a terminal that knows no umlauts, is no reason to fail; JSON is always UTF-8.
        sys.stdout.reconfigure(encoding="utf-8" if as_json else None, errors="backslashreplace")
    if as_json:
        json.dump(result.envelope(), sys.stdout, indent=2, ensure_ascii=False)
        sys.stdout.write("\n")
        return int(result.exit_code)
    for problem in result.problems:
        if not quiet or problem.severity is Severity.ERROR:
            print(problem, file=sys.stderr)  # noqa: T201 - here is where printing happens
    if result.text:
        print(result.text)  # noqa: T201
    return int(result.exit_code)


def flush() -> None:
    """Before another program takes over this process."""
    sys.stdout.flush()
    sys.stderr.flush()


def ask(question: str) -> bool | None:
    """A question to the person at the terminal; None where nobody is there to answer."""
    if not sys.stdin.isatty():
        return None
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):  # Ctrl-D
        sys.stderr.write("\n")
    return answer.strip().lower() in ("y", "yes")


class Progress:
    """Says what happens while a command waits: a live line an instance on a terminal, plain lines in a log."""

    def __init__(self, *, enabled: bool) -> None:
        self._enabled = enabled
        self._terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._states: dict[str, str] = {}
        self._started = time.monotonic()
        self._live: Live | None = None

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def __call__(self, instance: str, words: str) -> None:
        """Tells one thing; `instance` is empty for the fleet as a whole."""
        if not self._enabled:
            return
        if not self._terminal:
            sys.stderr.write(f"{instance}: {words}\n" if instance else f"{words}\n")
            return
        self._states[instance or "fleet"] = words
        if self._live is None:
            self._live = _live()
        self._live.update(self._table(), refresh=True)

    def _table(self) -> Any:
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        for instance, words in sorted(self._states.items()):
            table.add_row(Text(instance), Text(words))  # as it stands: brackets would be markup
        table.caption = f"{time.monotonic() - self._started:.0f} s"
        return table


def _live() -> "Live":
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)
    live = Live(console=console, transient=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
    live.start()
    return live
