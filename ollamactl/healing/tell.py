"""What a run of heal found and did, in words, as JSON, and as entries of the journal. Pure."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from ollamactl.healing.judge import CURABLE, State, Verdict


def text(verdicts: Sequence[Verdict], restarted: Collection[str], *, dry: bool, verbose: bool, restart: str) -> str:
    """For people; `restarted` are units, `restart` is the command that restarts a server, without its name."""
    lines: list[str] = []
    for verdict in verdicts:
        if verdict.finding:
            lines += _lines(verdict, verdict.unit in restarted, dry=dry, restart=restart)
        elif verbose or verdict.state is State.HIDDEN:
            lines.append(f"{verdict.instance}: {verdict.state}: {verdict.words}")
    if not lines or verbose:
        lines.append(_sum(verdicts))
    return "\n".join(lines)


def _lines(verdict: Verdict, restarted: bool, *, dry: bool, restart: str) -> Iterator[str]:
    yield f"{verdict.instance}: {message(verdict)}"
    if restarted:
        yield f"  {verdict.unit} was restarted"
    elif verdict.due and dry:
        yield f"  {verdict.unit} would be restarted now"
    elif verdict.held:
        yield f"  not restarted yet: {verdict.held}"
    elif verdict.finding in CURABLE and not verdict.due:
        yield f"  restarted at {verdict.limit} in a row; now: {restart} {verdict.instance}"
    elif not verdict.due:
        yield f"  a restart may mend it or not, so heal does not: journalctl -u {verdict.unit} -n 50"


def _sum(verdicts: Sequence[Verdict]) -> str:
    up = [verdict for verdict in verdicts if verdict.state not in (State.DOWN, State.HIDDEN)]
    failing = sum(verdict.state is State.FAILING for verdict in up)
    servers = f"{len(up)} server{'s' if len(up) != 1 else ''}"
    return f"Looked at {servers}: " + (f"{failing} failing." if failing else "none hangs.")


def message(verdict: Verdict) -> str:
    """What is wrong with a server, and how often it was so."""
    times = verdict.memory.failures
    return f"{verdict.words} ({times} {'time' if times == 1 else 'times'} in a row)"


def entry(verdict: Verdict) -> str:
    """The same for the journal, with what comes of it."""
    then = ""
    if verdict.due:
        then = ": heal restarts it"
    elif verdict.held:
        then = f": not restarted, for {verdict.held}"
    return f"{verdict.instance}: {message(verdict)}{then}"


def fields(verdict: Verdict) -> Mapping[str, str]:
    """The fields of the journal; by OBJECT_PID= the entry is shown among those of the unit itself, too."""
    return {
        "INSTANCE": verdict.instance,
        "UNIT": verdict.unit,
        "FINDING": str(verdict.finding or ""),
        "FAILURES": str(verdict.memory.failures),
        "OBJECT_PID": str(verdict.signs.unit.main_pid),
    }


def data(verdict: Verdict, restarted: Collection[str]) -> dict[str, Any]:
    """The verdict as JSON."""
    return {
        "instance": verdict.instance,
        "unit": verdict.unit,
        "state": str(verdict.state),
        "finding": str(verdict.finding) if verdict.finding else None,
        "words": verdict.words,
        "failures": verdict.memory.failures,
        "limit": verdict.limit,
        "due": verdict.due,
        "held": verdict.held or None,
        "restarted": verdict.unit in restarted,
        "restarts": verdict.memory.restarts,
    }
