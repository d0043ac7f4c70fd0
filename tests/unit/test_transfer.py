"""How a pull is shown: bars on a terminal, lines in a log, a line of JSON for each thing that a program cares for."""

import io
import json
import os
import pty
import re
import sys
from collections.abc import Iterator
from contextlib import suppress

import pytest

from ollamactl.output import Progress
from ollamactl.pulling.moment import Moment, Phase

LAYER = "sha256:" + "a" * 64
STORY = (
    Moment(model="m", phase=Phase.ASKING),
    *(Moment(model="m", phase=Phase.PULLING, digest=LAYER, total=100, completed=part) for part in (0, 10, 20, 100)),
    Moment(model="m", phase=Phase.PULLING, digest="sha256:b", total=5, completed=5),
    Moment(model="m", phase=Phase.DONE, total=105),
)


def told(monkeypatch: pytest.MonkeyPatch, *, enabled: bool, events: bool) -> list[str]:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with Progress(enabled=enabled, events=events) as tell:
        for moment in STORY:
            tell.watch(moment)
    return stream.getvalue().splitlines()


def test_a_log_gets_lines_and_nothing_where_nobody_wants_any(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(monkeypatch, enabled=True, events=False) == [
        "m: asking the registry", f"m: {'a' * 12}: 0% of 100 B", f"m: {'a' * 12}: all 100 B", "m: in the store, 105 B",
    ]  # fmt: skip
    assert told(monkeypatch, enabled=False, events=False) == []


def test_a_program_gets_an_event_for_each_beginning_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [json.loads(line) for line in told(monkeypatch, enabled=False, events=True)]

    assert [(row["phase"], row["completed"]) for row in rows] == [
        ("asking", 0), ("pulling", 0), ("pulling", 100), ("pulling", 5), ("done", 0),
    ]  # fmt: skip
    assert {tuple(row) for row in rows} == {("model", "phase", "digest", "total", "completed")}


def everything(terminal: int) -> Iterator[bytes]:
    """What was written to a terminal that nobody writes to any more: it comes in pieces, and ends with an error."""
    with suppress(OSError):
        while data := os.read(terminal, 1 << 16):
            yield data


def test_a_person_sees_a_bar_for_each_layer_that_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with Progress(enabled=True) as tell:
            tell("", "starting")
            for moment in STORY:
                tell.watch(moment)
            tell("a", "started")
    seen = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", b"".join(everything(ours)).decode())
    os.close(ours)
    assert "100/100 bytes" in seen
    assert "m: in the store, 105 B" in seen
    assert "bbbb" not in seen
    assert "starting" not in seen.partition("in the store")[2]
