"""How a gate goes without cutting anybody off: a child of it stays until the last answer has ended.

The child is the same process to the kernel's connections, so it just goes on, while the parent ends at once and
systemd starts the next gate, whose clients wait for nobody. The unit has KillMode=process, as sshd's has, so that the
child is let live.
"""

import asyncio
import os
from collections.abc import Callable, Iterable

from ollamactl.gate.gate import Door

_LONGEST_SECONDS = 3600.0


def go(doors: Iterable[Door], *, in_child: Callable[[], None]) -> None:
    """Ends this process, or is its child from here on, which ends when nobody is left."""
    doors = list(doors)
    loop = asyncio.get_running_loop()
    for door in doors:
        door.shut()
    if not any(door.clients for door in doors):
        os._exit(0)
    if os.fork():
        os._exit(0)
    # asyncio takes a loop for its own process's alone, by the number of the process
    asyncio._set_running_loop(loop)
    in_child()
    loop.call_later(_LONGEST_SECONDS, os._exit, 0)
    _end_with([door for door in doors if door.clients], loop)


def _end_with(doors: list[Door], loop: asyncio.AbstractEventLoop) -> None:
    if not any(door.clients for door in doors):
        os._exit(0)
    loop.call_later(0.1, _end_with, doors, loop)
