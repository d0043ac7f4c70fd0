"""Carries out what `budget` decides: lets servers start, has others stopped, keeps requests back where a turn is over.

Nothing is asked of it while a server is awake and nobody waits for its cards.
"""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Protocol

from ollamactl.errors import HostError, NotPermitted
from ollamactl.gate.budget import NEVER, Phase, Server, Terms, decide, fitting
from ollamactl.gate.config import GateConfig

_TRY_AGAIN = 1.0
"""Seconds after a server could not be stopped."""
_SPARED = 30.0
"""Seconds for a server that was started by somebody else, such as an apply that proves it."""
_GIB = 1 << 30


class Occupant(Protocol):
    """One server, as far as its memory matters."""

    @property
    def busy(self) -> bool:
        """Whether it has requests to answer."""

    @property
    def used(self) -> float:
        """When a request needed it last, by the loop's clock."""

    @property
    def waits_since(self) -> float:
        """When the first of those came who wait for it now; `NEVER` for nobody."""

    def hold(self, *, on: bool) -> None:
        """It is up, and new requests wait from now on; or they go on, and with them those that have waited."""

    async def check(self) -> None:
        """Says so (`Seat.down`) if somebody else has stopped it."""

    async def evict(self, reason: str) -> bool:
        """Stops it; says whether it is down. It may be at work after all, and stay up. Raises HostError."""


class Seat:
    """One server's place on its cards."""

    def __init__(self, admission: "Admission", name: str, needs: Mapping[str, int], occupant: Occupant) -> None:
        self.name = name
        self.needs = needs
        self.phase = Phase.ASLEEP
        self._admission = admission
        self._occupant = occupant
        self._ready = self._spared = 0.0
        self._held = False
        self._entering: asyncio.Event | None = None
        self._leaving: asyncio.Task[None] | None = None

    async def enter(self) -> None:
        """Returns once it may start, which may be never: who no longer wants to cancels it."""
        if self.phase in (Phase.STARTING, Phase.UP):
            return
        await self._admission.check(self)
        place = self._entering = asyncio.Event()
        try:
            self._admission.look()
            await place.wait()
        except asyncio.CancelledError:
            if place.is_set():
                self.down()
            raise
        finally:
            if self._entering is place:
                self._entering = None

    async def check(self) -> None:
        """By the admission: others need its place, if it still has one."""
        with suppress(HostError, NotPermitted):
            await self._occupant.check()

    def enters(self) -> None:
        """By the admission."""
        self.phase = Phase.STARTING
        if self._entering:
            self._entering.set()

    def up(self, *, found: bool = False) -> None:
        """It answers; `found` is one that somebody else has started, and may just be looking at."""
        if self.phase is not Phase.UP:
            self.phase = Phase.UP
            self._ready = asyncio.get_running_loop().time()
            self._spared = self._ready + _SPARED if found else 0.0
            self._admission.look()

    def stopping(self) -> None:
        """Its unit is being stopped, by somebody else than the admission."""
        if self.phase is Phase.UP:
            self.phase, self._held = Phase.STOPPING, False

    def down(self) -> None:
        """Its unit is down, or has failed, and its memory is free."""
        if self.phase is not Phase.ASLEEP:
            self.phase, self._held = Phase.ASLEEP, False
            self._admission.look()

    def changed(self) -> None:
        """The first has come who waits for it, or the last has gone."""
        self._admission.look()

    def idle(self) -> None:
        """It has answered its last request."""
        if self._admission.wanted:
            self._admission.look()

    def lacking(self) -> str:
        """What its start has waited for; nothing where that is not memory."""
        if self._held:
            return f"{self.name} makes room for others, and has not come up again"
        return "" if self.phase in (Phase.STARTING, Phase.UP) else self._admission.lacking(self)

    def hold(self, *, on: bool) -> None:
        """By the admission, of one that is up."""
        if on is not self._held:
            self._held = on
            self._occupant.hold(on=on)

    def leaves(self, reason: str) -> None:
        """By the admission: it makes room."""
        self.hold(on=True)
        self.phase = Phase.STOPPING
        self._leaving = asyncio.get_running_loop().create_task(self._leave(reason))

    async def _leave(self, reason: str) -> None:
        try:
            gone = await self._occupant.evict(reason)
        except (HostError, NotPermitted):
            gone = False
        if gone:
            self.down()
        elif self.phase is Phase.STOPPING:
            self.phase = Phase.UP
            self.hold(on=False)
            self._admission.later(_TRY_AGAIN)

    def now(self) -> Server:
        """As `budget` sees it; of those that are down, only who has asked waits."""
        asks = self.phase is not Phase.ASLEEP or self._entering is not None
        return Server(
            name=self.name,
            needs=self.needs,
            phase=self.phase,
            waits_since=self._occupant.waits_since if asks else NEVER,
            busy=self._occupant.busy,
            used=self._occupant.used,
            ready=self._ready,
            spared=self._spared,
        )


class Admission:
    """All cards, and who is on them."""

    def __init__(
        self, config: GateConfig, *, known: Mapping[str, int] | None = None, terms: Terms | None = None
    ) -> None:
        """`known` is what servers need by name, where that is known better than by the configuration."""
        needs = {
            each.name: dict.fromkeys(each.cards, (known or {}).get(each.name, each.vram)) for each in config.servers
        }
        stay = [each.name for each in config.servers if each.stop_after == NEVER]
        self._cards, self._needs = fitting(config.cards, needs, stay)
        self._terms = terms or Terms()
        self._seats: dict[str, Seat] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._looking = self._once_more = False
        self.wanted = False
        """Whether anybody waits for memory: only then does it matter who has become idle."""

    def seat(self, name: str, occupant: Occupant) -> Seat | None:
        """A server's place; None where no memory of cards is reckoned with for it, or it is never stopped."""
        needs = self._needs.get(name)
        return self._seats.setdefault(name, Seat(self, name, needs, occupant)) if needs else None

    def close(self) -> None:
        """Another gate decides from now on."""
        self._seats.clear()
        self.look()

    async def check(self, seat: Seat) -> None:
        """Whether those still run who have what a server needs."""
        for each in [*self._seats.values()]:
            if each is not seat and each.phase is Phase.UP and each.needs.keys() & seat.needs.keys():
                await each.check()

    def later(self, seconds: float) -> None:
        """Looks again then."""
        if self._timer:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self.look)

    def look(self) -> None:
        """Decides anew, and does what follows; what follows may change what there is to decide."""
        self._once_more = True
        if self._looking:
            return
        self._looking = True
        try:
            while self._once_more:
                self._once_more = False
                self._look()
        finally:
            self._looking = False

    def _look(self) -> None:
        now = asyncio.get_running_loop().time()
        servers = [seat.now() for seat in self._seats.values()]
        self.wanted = self._crowded() or any(
            each.waits_since < NEVER and each.phase in (Phase.ASLEEP, Phase.STOPPING) for each in servers
        )
        verdict = decide(self._cards, servers, now, self._terms)
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self.wanted:  # in good time even for what nobody tells us of: answers that a gate of before still brings
            self.later(min(verdict.again - now, _TRY_AGAIN))
        for name in verdict.start:
            self._seats[name].enters()
        for name in verdict.stop:
            self._seats[name].leaves(self._reason(servers, self._seats[name]))
        for name, seat in self._seats.items():
            if seat.phase is Phase.UP:
                seat.hold(on=name in verdict.held)

    def _crowded(self) -> bool:
        """Whether a card has more on it than it has room for."""
        there = [seat.needs for seat in self._seats.values() if seat.phase is not Phase.ASLEEP]
        return any(sum(needs.get(card, 0) for needs in there) > size for card, size in self._cards.items())

    @staticmethod
    def _reason(servers: Iterable[Server], seat: Seat) -> str:
        """Who has waited longest for one of its cards."""
        others = (each for each in servers if each.name != seat.name and each.needs.keys() & seat.needs.keys())
        waiting = [each for each in others if each.waits_since < NEVER]
        if waiting:
            return f"to make room for {min(waiting, key=lambda each: (each.waits_since, each.name)).name}"
        return "more servers run on its card than fit, and others are at work"

    def lacking(self, seat: Seat) -> str:
        """What a server waits for."""
        others = (each for each in self._seats.values() if each.phase is not Phase.ASLEEP and each is not seat)
        there = sorted(each.name for each in others if each.needs.keys() & seat.needs.keys())
        needs = " and ".join(f"{size / _GIB:.1f}G of card {card}" for card, size in seat.needs.items())
        held = f"held by {', '.join(there)}" if there else "promised to others"
        return f"{seat.name} needs {needs}, {held}: it has not had its turn"
