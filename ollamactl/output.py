"""The only writer to stdout and stderr: results, problems, and progress while a command waits."""

import io
import json
import os
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ollamactl.errors import Severity
from ollamactl.result import Result

if TYPE_CHECKING:
    from rich.live import Live
    from rich.progress import Progress as Bars

    from ollamactl.pulling.moment import Moment


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

    def __init__(self, *, enabled: bool, events: bool = False) -> None:
        """`events`: how pulls go is told to a program."""
        self._enabled, self._events = enabled, events
        self._transfer: Transfer | None = None
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
        if self._transfer:
            self._transfer.close()

    def watch(self, moment: "Moment") -> None:
        """Tells how a pull goes: bars on a terminal, lines in a log, a line of JSON each for programs."""
        if self._transfer is None:
            self._transfer = Transfer(enabled=self._enabled, events=self._events, terminal=self._terminal)
        if self._live:
            self._live.stop()
            self._live = None
        self._states.clear()
        self._transfer(moment)

    def __call__(self, instance: str, words: str) -> None:
        """Tells one thing; `instance` is empty for the fleet as a whole."""
        if not self._enabled:
            return
        if not self._terminal:
            sys.stderr.write(f"{instance}: {words}\n" if instance else f"{words}\n")
            return
        if self._transfer:
            self._transfer.close()
            self._transfer = None
        self._states[instance or "fleet"] = words
        if self._live is None:
            self._live = _live(self._table)
        self._live.refresh()

    def _table(self) -> Any:
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        for instance, words in sorted({**self._states}.items()):  # a copy: the clock draws from a thread of its own
            table.add_row(Text(instance), Text(words))  # as it stands: brackets would be markup
        table.caption = f"{time.monotonic() - self._started:.0f} s"
        return table


class Transfer:
    """Shows what a pull tells, in one of three ways."""

    _EVENT_SECONDS = 0.5

    def __init__(self, *, enabled: bool, events: bool, terminal: bool) -> None:
        from ollamactl.pulling.meter import Meter

        self._enabled, self._events, self._terminal = enabled, events, terminal
        self._meter = Meter()
        self._bars: Bars | None = None
        self._rows: dict[tuple[str, str], Any] = {}
        self._last: tuple[Any, ...] = ()
        self._told = 0.0

    def __call__(self, moment: "Moment") -> None:
        """Tells one moment, where it is worth it."""
        if self._events:
            self._event(moment)
        elif self._enabled and self._terminal:
            self._bar(moment)
        elif self._enabled and (line := self._meter.line(moment, time.monotonic())):
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()

    def close(self) -> None:
        """Leaves the terminal as it is."""
        if self._bars:
            self._bars.stop()

    def _event(self, moment: "Moment") -> None:
        here, now = (moment.model, moment.phase, moment.digest), time.monotonic()
        whole = moment.total and moment.completed >= moment.total
        if here == self._last and now - self._told < self._EVENT_SECONDS and not whole:
            return
        self._last, self._told = here, now
        row = {
            "model": moment.model,
            "phase": str(moment.phase),
            "digest": moment.digest,
            "total": moment.total,
            "completed": moment.completed,
        }
        sys.stderr.write(json.dumps(row) + "\n")
        sys.stderr.flush()

    def _bar(self, moment: "Moment") -> None:
        from rich.markup import escape

        from ollamactl.pulling.meter import short
        from ollamactl.pulling.moment import Phase

        if self._bars is None:
            self._bars = _bars()
        if moment.phase is Phase.PULLING:
            key, words = (moment.model, moment.digest), f"{moment.model}  {short(moment.digest)}"
        else:
            key, words = (moment.model, ""), self._meter.line(moment, 0.0)
        if key not in self._rows:
            if key[1] and moment.completed >= moment.total:
                return  # it was there
            self._rows[key] = self._bars.add_task(escape(words), total=moment.total or None, visible=bool(key[1]))
        if key[1]:
            self._bars.update(self._rows[key], completed=moment.completed, total=moment.total)
        elif words:
            self._bars.console.print(escape(words), highlight=False)


def _bars() -> "Bars":
    from rich import progress
    from rich.console import Console

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
    )
    bars = progress.Progress(
        *columns, console=Console(stderr=True), refresh_per_second=4, redirect_stdout=False, redirect_stderr=False
    )
    bars.start()
    return bars


def _live(table: Callable[[], Any]) -> "Live":
    """Drawn anew each second: whoever waits for a model to load sees the time go by."""
    from rich.console import Console
    from rich.live import Live

    live = Live(
        get_renderable=table,
        console=Console(stderr=True),
        transient=True,
        refresh_per_second=1,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    live.start()
    return live
