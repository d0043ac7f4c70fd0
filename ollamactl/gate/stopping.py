"""A unit on its way down."""

import asyncio
from typing import Protocol

from ollamactl.errors import HostError
from ollamactl.gate import waking
from ollamactl.gate.limits import Limits

DOWN = ("inactive", "failed")
"""systemd's words for a unit that holds nothing."""


class Units(waking.Units, Protocol):
    """The service manager; raises HostError or NotPermitted."""

    async def stop(self, unit: str) -> None:
        """Asks for a stop."""

    async def note(self, unit: str, priority: int, event: str, text: str) -> None:
        """An entry of the journal, among the unit's own."""


async def until_down(units: Units, unit: str, limits: Limits) -> None:
    """Waits until the unit is down. Raises HostError where it runs on: somebody has started it again."""
    loop = asyncio.get_running_loop()
    active_since = loop.time()
    while (active := await units.active(unit)) not in DOWN:
        if active != "active":
            active_since = loop.time()
        elif loop.time() - active_since > limits.obeys_seconds:
            raise HostError("it runs on; somebody has started it meanwhile")
        await asyncio.sleep(limits.idle_look_seconds)
