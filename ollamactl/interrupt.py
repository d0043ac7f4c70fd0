"""SIGINT and SIGTERM end a change at the next safe point, never between steps that belong together."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from ollamactl.errors import Interrupted

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_shields: list[int] = []
"""One for each `unbroken` that is entered; holds the signal that came meanwhile, or 0."""


@contextmanager
def heard() -> Iterator[None]:
    """While the block runs, the signals raise Interrupted in it; the former handlers come back after it."""
    before = {number: signal.signal(number, _on_signal) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def unbroken() -> Iterator[None]:
    """While the block runs a signal waits; Interrupted is raised at the end of the outermost one."""
    _shields.append(0)
    try:
        yield
    finally:
        number = _shields.pop()
    if number and _shields:
        _shields[-1] = number
    elif number:
        raise Interrupted(signal.Signals(number).name)


def _on_signal(number: int, _: FrameType | None) -> None:
    if not _shields:
        raise Interrupted(signal.Signals(number).name)
    _shields[-1] = number
