"""Servers without sockets, for an admission: all that an occupant has to be, and cards that say when they overflow."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ollamactl.errors import HostError
from ollamactl.gate.admission import Admission, Seat
from ollamactl.gate.budget import NEVER, Terms
from ollamactl.gate.config import Behind, GateConfig

TERMS = Terms(turn=10, pause=1)
STEP = 0.5
"""Seconds that a start takes, and a stop."""


def now() -> float:
    return asyncio.get_running_loop().time()


@dataclass
class Fake:
    """One server and its clients: all that an occupant has to be, and no socket."""

    name: str
    cards: dict[str, int]
    """What all servers that are up have taken."""
    needs: Mapping[str, int]
    in_flight: int = 0
    used: float = 0.0
    up: bool = False
    held: bool = False
    fails: bool = False
    stays: int = 0
    """So many times it is not to be stopped."""
    starts: list[float] = field(default_factory=list)
    evicted: list[str] = field(default_factory=list)
    waiting: dict[asyncio.Future[bool], float] = field(default_factory=dict)
    seat: Seat | None = None
    admission: Admission | None = None
    task: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        return self.in_flight > 0

    @property
    def waits_since(self) -> float:
        return next(iter(self.waiting.values()), NEVER)

    async def ask(self, takes: float, patience: float = NEVER) -> bool:
        """A client; whether it got its answer."""
        if not self.up or self.held:
            turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
            self.waiting[turn] = now()
            if self.up or self.task:
                self.changed()
            else:
                self.task = asyncio.create_task(self.wake())
            try:
                async with asyncio.timeout(None if patience == NEVER else patience):
                    if not await turn:
                        return False
            except TimeoutError:
                self.in_flight -= not turn.cancelled() and turn.result()
                self.waiting.pop(turn, None)
                self.changed()
                return False
        else:
            self.in_flight += 1
        await asyncio.sleep(takes)
        assert self.up, f"{self.name} was stopped under its client"
        self.in_flight -= 1
        self.used = now()
        if not self.in_flight:
            self.changed()
        return True

    def changed(self) -> None:
        if self.seat and self.admission and (self.admission.wanted or self.waiting):
            self.seat.changed()

    async def wake(self) -> None:
        try:
            if self.seat:
                await self.seat.enter()
            for card, size in self.needs.items():
                self.cards[card] -= size
                assert self.cards[card] >= 0, "more than the card has"
            self.starts.append(now())
            await asyncio.sleep(STEP)
            if self.fails:
                self.free()
        finally:
            self.task = None
        self.up = not self.fails
        self.used = now()
        self.serve(well=self.up)
        if self.seat and self.up:
            self.seat.up()
        elif self.seat:
            self.seat.down()

    async def give_up(self) -> None:
        """A start that nobody has waited for to the end."""
        if self.task:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)

    def serve(self, *, well: bool) -> None:
        waiting, self.waiting = self.waiting, {}
        for turn in waiting:
            if not turn.done():
                self.in_flight += well
                turn.set_result(well)

    def free(self) -> None:
        for card, size in self.needs.items():
            self.cards[card] += size

    def hold(self, *, on: bool) -> None:
        self.held = on
        if not on:
            self.serve(well=True)

    async def check(self) -> None:
        await asyncio.sleep(0)

    async def evict(self, reason: str) -> bool:
        assert not self.in_flight
        if self.stays:
            self.stays -= 1
            if self.stays % 2:
                raise HostError("the manager does not answer")
            return False
        self.evicted.append(reason)
        self.up = self.held = False
        await asyncio.sleep(STEP)
        self.free()
        if self.waiting and self.task is None:
            self.task = asyncio.create_task(self.wake())
        return True


def servers(cards: Mapping[str, int], needs: Mapping[str, Mapping[str, int]], **never: Any) -> dict[str, Fake]:
    config = GateConfig(
        cards=dict(cards),
        servers=tuple(
            Behind(name=name, unit=name, port=1, cards=tuple(need), vram=max(need.values(), default=0), **never)
            for name, need in needs.items()
        ),
    )
    admission, room = Admission(config, terms=TERMS), dict(cards)
    made = {name: Fake(name=name, cards=room, needs=need) for name, need in needs.items()}
    for fake in made.values():
        fake.seat, fake.admission = admission.seat(fake.name, fake), admission
    return made
