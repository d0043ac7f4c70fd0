"""What was seen of a server and its runners at one look, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from ollamactl.model import Instance
from ollamactl.observed import UnitState
from ollamactl.proving.proof import ModelSize


class Life(StrEnum):
    """How a server or a runner is, as far as its answers tell."""

    ANSWERS = "answers"
    """A server HTTP, an idle runner one token."""
    BUSY = "busy"
    """A runner: it is answering somebody."""
    LOADING = "loading"
    """A runner: its model is not in memory yet."""
    COMPUTES = "computes"
    """A runner: it does not answer, but uses the processor or reads from disk: a long prompt looks the same."""
    SILENT = "silent"
    UNREACHABLE = "unreachable"
    """A server: it listens, and yet no connection reaches it: that is not its own doing."""
    HIDDEN = "hidden"
    """A server: its network is its own, and the caller may not enter it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerSigns:
    """One runner."""

    pid: int
    identity: str
    """The same for the same process only."""
    life: Life
    words: str = ""
    """What it does, or does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """One server."""

    instance: Instance
    unit: UnitState
    identity: str = ""
    """Of the main process."""
    age: float = 0.0
    """Seconds since that was started."""
    life: Life | None = None
    """None where there is no server to ask: its unit is down, or on the way up or down."""
    words: str = ""
    """What it failed at."""
    runners: tuple[RunnerSigns, ...] = ()
    loaded: Mapping[str, ModelSize] = field(default_factory=dict)

    @property
    def at_work(self) -> str:
        """What a restart would cut off, in words; empty where it would cut off nothing."""
        working = (Life.BUSY, Life.LOADING, Life.COMPUTES)
        return next((runner.words for runner in self.runners if runner.life in working), "")
