"""What a client has come to, as its connection sees it; `gate` opens them."""

from typing import Protocol

from ollamactl.gate.backend import Pool
from ollamactl.gate.clock import Clock
from ollamactl.gate.decide import Listener
from ollamactl.gate.server import Server
from ollamactl.gate.waking import Waker


class Door(Protocol):
    """A listener, and what lies behind it."""

    pool: Pool
    clock: Clock
    listener: Listener
    waker: Waker | None
    server: Server | None

    def left(self, client: object) -> None:
        """One is gone."""
