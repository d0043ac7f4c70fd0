"""How a gate goes without cutting anybody off: a child of it stays until the last answer has ended.

The child is the same process to the kernel's connections, so it just goes on, while the parent ends at once and
systemd starts the next gate, whose clients wait for nobody. The unit has KillMode=process, as sshd's has, so that the
child is let live.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Iterable

from ollamactl.gate.gate import Door

_LONGEST_SECONDS = 3600.0
_SETTLES_SECONDS = 0.01
"""So that the loop hears of the connections that were closed."""


async def go(doors: Iterable[Door], *, in_child: Callable[[], None]) -> None:
    """Ends this process, or is its child from here on, which ends when nobody is left."""
    doors = list(doors)
    await asyncio.gather(*(door.shut() for door in doors))
    for door in doors:
        door.drain()
    await asyncio.sleep(_SETTLES_SECONDS)
    if not any(door.clients for door in doors):
        os._exit(0)
    loop = asyncio.get_running_loop()
    if os.fork():
        os._exit(0)
    # asyncio takes a loop for its own process's alone, by the number of the process
    asyncio._set_running_loop(loop)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.remove_signal_handler(number)  # who ends the child as well, means it
    in_child()
    loop.call_later(_LONGEST_SECONDS, os._exit, 0)
    while any(door.clients for door in doors):
        await asyncio.sleep(0.1)
    os._exit(0)
