"""`ollamactl check` in this process, with a limit on its time."""

from __future__ import annotations

import io
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from ollamactl.cli import main

LIMIT = 2.0
"""Seconds of CPU; the slowest of all takes a fraction of one."""


@dataclass(frozen=True)
class Checked:
    """How a check ended."""

    code: object
    said: str
    seconds: float
    """Of CPU."""


def check(data: bytes, folder: Path, *options: str) -> Checked:
    """Check a spec as the command does. What it raises is raised; TimeoutError where it takes too long."""
    path = folder / "fleet.yaml"
    path.write_bytes(data)
    stdout, stderr = (
        io.TextIOWrapper(io.BytesIO(), "utf-8"),
        io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace"),
    )
    begun = time.process_time()
    code: object = None
    with _limited(), redirect_stdout(stdout), redirect_stderr(stderr):
        try:
            main(["check", str(path), *options])
        except SystemExit as end:
            code = end.code
    seconds = time.process_time() - begun
    for stream in (stdout, stderr):
        stream.seek(0)
    return Checked(code=code, said=stdout.read() + stderr.read(), seconds=seconds)


@contextmanager
def _limited() -> Iterator[None]:
    def late(_: int, __: FrameType | None) -> None:
        raise TimeoutError(f"it took more than {LIMIT} s of CPU")

    before = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, LIMIT)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
