"""Wakes one server for all who wait for it: once, and for nobody longer than they were promised."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from ollamactl.errors import HostError, NotPermitted
from ollamactl.gate.dialing import Dialer

_SHORTEST_PAUSE, _LONGEST_PAUSE, _LATE = 0.005, 0.1, 0.05
"""Seconds between two tries to reach it, and how much of the time it took they may add: a twentieth."""
_UNIT_EVERY = 0.5
"""Seconds between two looks at its unit, which may have failed."""
_QUESTION = b"HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
"""Ollama's `/` is answered as soon as anything is; what loads or generates does not delay it."""


class Units(Protocol):
    """The service manager; raises HostError or NotPermitted."""

    async def start(self, unit: str) -> None:
        """Asks for a start, which is none where the unit runs."""

    async def hopeless(self, unit: str) -> str:
        """Why the unit will not come up by itself; nothing while it may."""


class Waiter(Protocol):
    """Who needs the server."""

    def awake(self) -> None:
        """It answers."""

    def asleep(self, reason: str) -> None:
        """It does not, and the time is over, or the attempt."""


class Waker:
    """One server's way from asleep to awake."""

    def __init__(
        self, unit: str, dialer: Dialer, units: Units, max_wait: float, told: Callable[[float], None] | None = None
    ) -> None:
        """`max_wait` in seconds is for each waiter; the start itself has none, but for its unit's.

        `told` hears how long each start took.
        """
        self.unit = unit
        self.is_awake = False
        """As far as is known: nobody has found it otherwise since it answered."""
        self._dialer = dialer
        self._units = units
        self._max_wait = max_wait
        self._waiting: dict[Waiter, asyncio.TimerHandle] = {}
        self._task: asyncio.Task[None] | None = None
        self._told = told
        self.why = ""
        """What the first request was that needed the server."""
        self.stopping: asyncio.Future[None] | None = None
        """It is being stopped: nobody starts it before that has ended."""

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def __bool__(self) -> bool:
        return True

    @property
    def busy(self) -> bool:
        """Whether it is being started."""
        return self._task is not None

    def wait(self, waiter: Waiter, why: str = "") -> None:
        """Tells the waiter when the server answers; starts it if nobody does so already."""
        loop = asyncio.get_running_loop()
        self._waiting[waiter] = loop.call_later(self._max_wait, self._late, waiter)
        if self._task is None:
            self.why = why
            self._task = loop.create_task(self._wake())

    def leave(self, waiter: Waiter) -> None:
        """The waiter is gone. The start goes on: whoever comes next will be glad of it."""
        if timer := self._waiting.pop(waiter, None):
            timer.cancel()

    def slept(self) -> None:
        """The server was found not to listen."""
        self.is_awake = False
        self._dialer.forget()

    def _late(self, waiter: Waiter) -> None:
        del self._waiting[waiter]
        waiter.asleep(f"{self.unit} does not answer after {self._max_wait:g} s; see journalctl -u {self.unit}")

    async def _wake(self) -> None:
        began = asyncio.get_running_loop().time()
        try:
            if self.stopping:
                await asyncio.shield(self.stopping)
            await self._units.start(self.unit)
            reason = await self._answers()
        except (HostError, NotPermitted) as error:
            reason = str(error)
        finally:
            self._task = None
        self.is_awake = not reason
        if not reason and self._told:
            self._told(asyncio.get_running_loop().time() - began)
        waiting, self._waiting = self._waiting, {}
        for waiter, timer in waiting.items():
            timer.cancel()
            if reason:
                waiter.asleep(reason)
            else:
                waiter.awake()

    async def _answers(self) -> str:
        """Nothing, once the server answers; else why it never will."""
        loop = asyncio.get_running_loop()
        began = looked = loop.time()
        while not await self._asked():
            if loop.time() - looked >= _UNIT_EVERY:
                if reason := await self._units.hopeless(self.unit):
                    return reason
                looked = loop.time()
            await asyncio.sleep(min(max(_SHORTEST_PAUSE, _LATE * (loop.time() - began)), _LONGEST_PAUSE))
        return ""

    async def _asked(self) -> bool:
        """Whether it gives an answer, whichever. It may take its time once it listens: it looks for cards then."""
        try:
            reader, writer = await asyncio.open_connection(sock=await self._dialer.dial())
        except OSError:
            return False
        try:
            writer.write(_QUESTION)
            return (await reader.read(5)) == b"HTTP/"
        except OSError:
            return False
        finally:
            writer.close()
