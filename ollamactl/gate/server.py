"""One server behind the gate: who needs it, what it said of itself, and how long it may be idle."""

import asyncio
import os
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from ollamactl.errors import HostError, NotPermitted
from ollamactl.gate import asking, record
from ollamactl.gate.backend import Pool
from ollamactl.gate.clock import Clock
from ollamactl.gate.config import Behind
from ollamactl.gate.counts import Counts, Now
from ollamactl.gate.dialing import Dialer
from ollamactl.gate.limits import Limits
from ollamactl.gate.message import AnswerHead, RequestHead
from ollamactl.gate.record import Recorded, Records
from ollamactl.gate.stopping import DOWN, Units, until_down
from ollamactl.gate.tenant import Tenant
from ollamactl.gate.uses import asks_what_is_loaded, changes_models
from ollamactl.gate.waking import Waker
from ollamactl.quantity import format_duration

_NOTICE, _WARNING = 5, 4
_PRELOAD_SECONDS = 1800.0
"""So long a server may be without the models that its unit loads at its start before it counts as idle all the same."""


def _nobody() -> bool:
    return False


class Server:
    """Starts at the first request that needs it, unloads its models and stops when it was idle for long enough."""

    def __init__(
        self,
        behind: Behind,
        dialer: Dialer,
        units: Units,
        clock: Clock,
        limits: Limits,
        *,
        elsewhere: Callable[[], bool] = _nobody,
    ) -> None:
        """`elsewhere` says whether a gate of before still brings answers of this server to their end."""
        self.behind = behind
        self.counts = Counts()
        self.pool = Pool(dialer, clock, limits)
        self.waker = Waker(behind.unit, dialer, units, behind.max_wait, told=self._woken)
        self.records = Records(self._fingerprint())
        self.in_flight = 0
        self._using = 0  # of them those that need it
        self.dialer = dialer
        self.units = units
        self._limits = limits
        self.elsewhere = elsewhere
        self._loop = asyncio.get_running_loop()
        self.used = self._loop.time()
        self._used_at: float | None = None
        self._ready = self.used
        self._since = time.time()
        self._unloaded = False
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self.tenant: Tenant | None = None
        """Who it is to those that share its cards; None where nobody does."""
        self.watched = True
        """Whether it is ours to stop; a gate that only brings answers to their end stops nobody."""

    def began(self, *, polled: bool) -> None:
        """A request goes to it."""
        self.in_flight += 1
        self.counts.requests += 1
        if polled:
            self.counts.polls += 1
        else:
            self._using += 1

    def over(self, head: RequestHead, *, polled: bool) -> None:
        """It has ended, one way or another."""
        self.in_flight -= 1
        if not polled:
            if changes_models(head):
                self.records.clear()
            self._using -= 1
            self.used = self._loop.time()
            self._used_at = time.time()
            if self._unloaded:
                self._unloaded = False
                self._watch_anew()
        if self.tenant:
            self.tenant.served()

    def recorded(self, head: RequestHead, body: bytes) -> Recorded | None:
        """What it would answer, were it awake."""
        if asks_what_is_loaded(head):
            found: Recorded | None = record.NOTHING_LOADED
        else:
            self._hold_to()
            found = self.records.get(record.key(head, body))
        if found:
            self.counts.requests += 1
            self.counts.polls += 1
            self.counts.recorded += 1
        return found

    def keep(self, head: RequestHead, body: bytes, answer: AnswerHead, content: bytes) -> None:
        """It has answered a question about itself."""
        if not asks_what_is_loaded(head):
            self._hold_to()
            self.records.put(record.key(head, body), answer, content, to_head=head.method == b"HEAD")

    def _hold_to(self) -> None:
        """Forgets what was said by another program or with other settings."""
        if self.records.fingerprint != (now := self._fingerprint()):
            self.records = Records(now)

    def _fingerprint(self) -> str:
        try:
            about = os.stat(self.behind.binary)  # noqa: PTH116
        except OSError:
            return self.behind.fingerprint
        return f"{self.behind.fingerprint} {about.st_ino} {about.st_mtime_ns} {about.st_size}"

    async def look(self) -> bool:
        """Whether it runs, whoever started or stopped it; watched from now on. Raises HostError or NotPermitted."""
        if self.waker.busy or self.waker.stays():
            return True
        active = await self.units.active(self.behind.unit)
        if self.waker.busy or self.waker.stays():
            return True
        if self.waker.is_awake and active in DOWN:
            self._since = time.time()
            self.waker.slept()
        elif not self.waker.is_awake and active == "active":
            self._came_up()
            self.waker.is_awake = True
            if self.waker.seat:
                self.waker.seat.up(found=True)
        return self.waker.is_awake

    @property
    def asleep(self) -> bool:
        """Whether nothing is to be done for it."""
        return not (self.waker.is_awake or self.waker.busy or self._tasks)

    def _woken(self, seconds: float) -> None:
        self.counts.woken(seconds)
        self._came_up()
        self.do(self._note(_NOTICE, "start", f"started for {self.waker.why}, and answers after {seconds:.1f} s"))

    def _came_up(self) -> None:
        self._ready = self.used = self._loop.time()
        self._since = time.time()
        self._unloaded = False
        self._watch()

    def _watch(self) -> None:
        if self.watched and self._timer is None:
            times = [self.behind.stop_after] if self._unloaded else [self.behind.stop_after, self.behind.unload_after]
            due = self.used + min(times) - self._loop.time()
            if due < float("inf"):
                self._timer = self._loop.call_later(max(due, self._limits.idle_look_seconds), self._idle)

    def _watch_anew(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        self._watch()

    def _idle(self) -> None:
        """The time has come to see whether it is idle."""
        self._timer = None
        if not self.waker.is_awake or not self.watched:
            return
        for_seconds = self._loop.time() - self.used
        if self._using or self.elsewhere():
            self.used = self._loop.time()
        elif for_seconds >= self.behind.stop_after:
            self.do(self._stop_idle())
            return
        elif for_seconds >= self.behind.unload_after and not self._unloaded:
            self._unloaded = True
            self.do(self._unload())
        self._watch()

    def do(self, work: Coroutine[Any, Any, Any]) -> None:
        """Does it beside all else."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _unload(self) -> None:
        try:
            models = await asking.loaded(self.dialer)
            for model in models:
                if self._using:
                    return
                await asking.unload(self.dialer, model)
        except OSError:
            return  # it ends, or hangs: whoever asks it next will see
        if models:
            self.counts.unloads += 1
            words = f"{', '.join(models)} left memory: no request for {format_duration(self.behind.unload_after)}"
            await self._note(_NOTICE, "unload", words)

    async def preloads(self) -> bool:
        """Whether its unit still loads what is to be there from the start."""
        if not self.behind.preload or self._loop.time() - self._ready >= _PRELOAD_SECONDS:
            return False
        try:
            there = await asking.loaded(self.dialer)
        except OSError:
            there = ()
        return not {*self.behind.preload} <= {*there}

    async def _stop_idle(self) -> None:
        if await self.preloads():
            self.used = self._loop.time()
            self._watch()
            return
        if self._using:
            self._watch()
            return
        await self.stop(f"no request for {format_duration(self.behind.stop_after)}")

    async def stop(self, why: str, event: str = "stop") -> bool:
        """Stops it when its answers have ended, and tells whether; whoever comes meanwhile waits for its next start."""
        down = self._loop.create_future()
        self.waker.stops(down)
        seat = self.waker.seat
        if seat:
            seat.stopping()
        self._since = time.time()
        try:
            while self.in_flight > len(self.waker):
                await asyncio.sleep(self._limits.idle_look_seconds)
            await self._note(_NOTICE, event, f"stopped: {why}")
            await self.units.stop(self.behind.unit)
            await until_down(self.units, self.behind.unit, self._limits)
        except (HostError, NotPermitted) as error:
            self.waker.is_awake = True
            await self._note(_WARNING, event, f"was not stopped: {error}")
            self.used = self._loop.time()
            self._watch()
            if seat:
                seat.up()
            return False
        finally:
            self.waker.stopping = None
            down.set_result(None)
        self.counts.stops += event == "stop"
        self._since = time.time()
        self.waker.slept(stopped=True)
        return True

    async def _note(self, priority: int, event: str, text: str) -> None:
        try:
            await self.units.note(self.behind.unit, priority, event, text)
        except (HostError, NotPermitted):
            return  # the journal is not what it is for

    async def now(self) -> Now:
        """How it is."""
        with suppress(HostError, NotPermitted):
            await self.look()
        state = self._state()
        if state == "busy":
            with suppress(OSError):
                state = "busy" if await asking.loaded(self.dialer) else "loading"
        return Now(
            name=self.behind.name,
            state=state,
            since=self._since,
            in_flight=self.in_flight,
            waiting=len(self.waker),
            used=self._used_at,
        )

    def _state(self) -> str:
        if self.waker.stays():
            return "draining"
        if self.waker.is_awake:
            return "busy" if self._using else "ready"
        return "waking" if self.waker.busy else "asleep"

    def leave_alone(self) -> None:
        """From now on it is somebody else's to start and stop."""
        self.watched = False
        self._watch_anew()
