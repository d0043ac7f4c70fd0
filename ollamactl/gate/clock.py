"""Time-outs of thousands of connections by one look a second: a timer for each request would cost a part of it."""

import asyncio
import time
from typing import Protocol

NEVER = float("inf")
_DATE = "%a, %d %b %Y %H:%M:%S GMT"
"""RFC 9110, 5.6.7; by email.utils it would cost 20 ms of the start that the first request waits for."""


def date() -> str:
    """Now, for a field of that name."""
    return time.strftime(_DATE, time.gmtime())


class Timed(Protocol):
    """What has a deadline."""

    deadline: float
    """By the clock's `now`."""

    def expire(self) -> None:
        """The deadline has passed; sets another, or ends it all."""


class Clock:
    """Calls what is late; ticks only while there is anything to look at."""

    def __init__(self, loop: asyncio.AbstractEventLoop, period: float) -> None:
        self._loop = loop
        self._period = period
        self._timed: set[Timed] = set()
        self._timer: asyncio.TimerHandle | None = None
        self.now = loop.time()
        """Seconds, at most a period old."""

    def add(self, timed: Timed) -> None:
        """Looks at it from now on."""
        self._timed.add(timed)
        if self._timer is None:
            self.now = self._loop.time()
            self._timer = self._loop.call_later(self._period, self._tick)

    def discard(self, timed: Timed) -> None:
        """Looks at it no longer."""
        self._timed.discard(timed)

    def _tick(self) -> None:
        now = self.now = self._loop.time()
        for timed in [each for each in self._timed if each.deadline <= now]:
            timed.expire()
        self._timer = self._loop.call_later(self._period, self._tick) if self._timed else None
