"""A server as those see it that share its cards: whether it is at work, how it goes, and what it took in truth."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol

from ollamactl.gate import asking
from ollamactl.gate.config import Behind
from ollamactl.gate.counts import Counts
from ollamactl.gate.dialing import Dialer
from ollamactl.gate.stopping import DOWN, Units
from ollamactl.gate.waking import Waker

_MEASURE_SECONDS = 60.0
"""Between two looks at what a server has in memory."""


class Housed(Protocol):
    """The server itself."""

    behind: Behind
    counts: Counts
    dialer: Dialer
    waker: Waker
    in_flight: int
    used: float

    @property
    def units(self) -> Units:
        """The service manager."""

    def elsewhere(self) -> bool:
        """Whether a gate of before still brings answers of it to their end."""

    async def preloads(self) -> bool:
        """Whether its unit still loads."""

    async def stop(self, why: str, event: str = "stop") -> bool:
        """Stops it; whether it is down."""

    def do(self, work: Coroutine[Any, Any, Any]) -> None:
        """Beside all else."""


class Sizes(Protocol):
    """Where it is written down what servers took."""

    def took(self, behind: Behind, models: int, size: int) -> None:
        """So many models at once, in bytes."""


class Tenant:
    """admission.Occupant, of a server."""

    def __init__(self, server: Housed, sizes: Sizes) -> None:
        self._server = server
        self._sizes = sizes
        self._measured = float("-inf")

    @property
    def busy(self) -> bool:
        """By the admission."""
        return self._server.in_flight > len(self._server.waker) or self._server.elsewhere()

    @property
    def used(self) -> float:
        """By the admission."""
        return self._server.used

    @property
    def waits_since(self) -> float:
        """By the admission."""
        return self._server.waker.waits_since

    def hold(self, *, on: bool) -> None:
        """By the admission."""
        self._server.waker.hold(on=on)

    async def check(self) -> None:
        """By the admission."""
        server = self._server
        if not self.busy and await server.units.active(server.behind.unit) in DOWN and server.waker.is_awake:
            server.waker.slept()

    async def evict(self, reason: str) -> bool:
        """By the admission."""
        server = self._server
        if await server.preloads() or self.busy or not await server.stop(reason, "evict"):
            return False
        server.counts.evictions += 1
        return True

    def served(self) -> None:
        """It has answered a request."""
        server = self._server
        if server.waker.seat:
            server.waker.seat.idle()
        now = asyncio.get_running_loop().time()
        if server.behind.loads and now - self._measured >= _MEASURE_SECONDS and server.waker.is_awake:
            self._measured = now
            server.do(self._measure())

    async def _measure(self) -> None:
        """What is on its cards now; what is on none, a card cannot tell the size of."""
        try:
            sizes = await asking.sizes(self._server.dialer)
        except OSError:
            return
        if sizes and all(on_cards for _, on_cards in sizes):
            self._sizes.took(self._server.behind, len(sizes), sum(size for size, _ in sizes))
