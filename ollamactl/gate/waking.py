"""Wakes one server for all who wait for it: once, and for nobody longer than they were promised."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from ollamactl.errors import HostError, NotPermitted
from ollamactl.gate.admission import Seat
from ollamactl.gate.budget import NEVER
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

    async def active(self, unit: str) -> str:
        """systemd's word for how it is."""


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
        self.seat: Seat | None = None
        """Its place on the cards, where that is reckoned with: it starts when it has one."""
        self._held = False
        """It is up, but others wait for its place, and it takes no new request."""
        self._queued = False
        """It waits for its place, and has not been started."""

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def __bool__(self) -> bool:
        return True

    @property
    def busy(self) -> bool:
        """Whether it is being started."""
        return self._task is not None

    @property
    def waits_since(self) -> float:
        """When the first of those came who wait now."""
        first = next(iter(self._waiting.values()), None)
        return first.when() - self._max_wait if first else NEVER

    def stays(self) -> bool:
        """Whether it is up, and takes no new request: it is being stopped, or others wait for its place."""
        return self._held or self.stopping is not None

    def wait(self, waiter: Waiter, why: str = "") -> None:
        """Tells the waiter when the server answers; starts it if nobody does so already."""
        loop = asyncio.get_running_loop()
        self._waiting[waiter] = loop.call_later(self._max_wait, self._late, waiter)
        if self._task is None and not self._held:
            self.why = why
            self._task = loop.create_task(self._wake())
        elif self.seat and len(self._waiting) == 1:
            self.seat.changed()

    def leave(self, waiter: Waiter) -> None:
        """The waiter is gone. The start goes on, if it has begun: whoever comes next will be glad of it."""
        if timer := self._waiting.pop(waiter, None):
            timer.cancel()
            self._nobody_waits()

    def hold(self, *, on: bool) -> None:
        """Of a server that is up: new requests wait, or go on, and with them those that have waited."""
        self._held = on
        self.is_awake = not on
        if not on:
            self._go_on("")

    def stops(self, down: asyncio.Future[None]) -> None:
        """It is being stopped until then; who waits does so for its next start."""
        self.is_awake = self._held = False
        self.stopping = down
        if self._waiting and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._wake())

    def slept(self, *, stopped: bool = False) -> None:
        """The server was found not to listen, by whoever comes next, or was `stopped`."""
        self.is_awake = False
        self._dialer.forget()
        if self.seat and (stopped or self._task is None):
            self.seat.down()
        if self._held:
            self._held = False
            if self._waiting and self._task is None:
                self._task = asyncio.get_running_loop().create_task(self._wake())

    def disband(self) -> None:
        """Another gate gives places from now on: who waits for one is sent there, who may go on does."""
        self.seat = None
        if self._queued and self._task:
            self._task.cancel()
            self._task = None
            self._go_on(f"{self.unit} waits for memory, and the gate was restarted: ask again")
        elif self._held:
            self.hold(on=False)

    def _nobody_waits(self) -> None:
        """A place that nobody waits for any more is left to others."""
        if self.seat and not self._waiting:
            if self._queued and self._task:
                self._task.cancel()
                self._task = None
            self.seat.changed()

    def _late(self, waiter: Waiter) -> None:
        lacking = self.seat.lacking() if self.seat else ""
        why = lacking or f"{self.unit} does not answer"
        del self._waiting[waiter]
        waiter.asleep(f"{why} after {self._max_wait:g} s; see journalctl -u {self.unit}")
        self._nobody_waits()

    async def _place(self) -> None:
        """Returns when it may start."""
        if self.stopping:
            await asyncio.shield(self.stopping)
        if self.seat and await self._units.active(self.unit) == "active":
            self.seat.up(found=True)  # it has its memory, whoever has started it
        elif self.seat:
            self._queued = True
            try:
                await self.seat.enter()
            finally:
                self._queued = False

    async def _wake(self) -> None:
        began = asyncio.get_running_loop().time()
        try:
            await self._place()
            await self._units.start(self.unit)
            reason = await self._answers()
        except (HostError, NotPermitted) as error:
            reason = str(error)
        finally:
            if self._task is asyncio.current_task():
                self._task = None
        self.is_awake = not reason
        if not reason and self._told:
            self._told(asyncio.get_running_loop().time() - began)
        self._go_on(reason)
        if self.seat:
            if reason:
                self.seat.down()
            else:
                self.seat.up()

    def _go_on(self, reason: str) -> None:
        """Tells all who wait that the server is up, or why it is not."""
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
