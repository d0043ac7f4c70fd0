"""The proof that a port is answered by the right server with the right models, as values: `judge` makes it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from ollamactl.observed import PortHolder, UnitState


class CheckKind(StrEnum):
    """What is proved, in the order in which one failure explains the next."""

    DROP_IN = "drop-in"
    UNIT = "unit"
    DOOR = "door"
    """The port that systemd holds, and the way through the gate."""
    HTTP = "http"
    LISTENER = "listener"
    VERSION = "version"
    MODELS = "models"
    LOAD = "load"
    PLACEMENT = "placement"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was proved or disproved."""

    kind: CheckKind
    ok: bool
    found: str
    expected: str = ""
    hint: str = ""
    open: bool = False
    """Neither proved nor disproved: the caller may not look."""
    pending: bool = False
    """It is on its way."""

    @property
    def hidden(self) -> bool:
        """Whether the server could not be asked."""
        return self.open and self.kind is CheckKind.HTTP


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSize:
    """A loaded model's bytes, in all and in VRAM."""

    size: int
    size_vram: int

    @property
    def spilled(self) -> bool:
        """Whether it did not fit: a part computes on the GPU, the rest, slowly, on the CPU."""
        return 0 < self.size_vram < self.size

    def __str__(self) -> str:
        """Where it is; a spill is never rounded away."""
        if self.spilled:
            share = min(99, max(1, round(100 * self.size_vram / self.size)))
            return f"{share} % on the GPU, the rest on the CPU"
        return "on the GPU" if self.size_vram else "on the CPU"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a server said over HTTP; `failure` says in words why it said nothing more."""

    failure: str = ""
    hidden: str = ""
    """Why the caller could not ask at all; no failure of the server's."""
    version: str | None = None
    models: Mapping[str, str] = field(default_factory=dict)
    """Name -> digest, from /api/tags."""
    loaded: Mapping[str, ModelSize] = field(default_factory=dict)
    evicted: Mapping[str, ModelSize] = field(default_factory=dict)
    """Models that were loaded for the proof, and then had to make room for others; only with --load."""
    load_failures: Mapping[str, str] = field(default_factory=dict)
    """Model -> the server's own words; only with --load."""
    late: frozenset[str] = frozenset()
    """Those of them that were not loaded in time, and may be yet."""

    @property
    def sizes(self) -> Mapping[str, ModelSize]:
        """Every model that was seen in memory."""
        return {**self.evicted, **self.loaded}


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything that is known of one instance at the time of judging."""

    unit: UnitState
    answers: Answers = Answers()
    holder: PortHolder | None = None
    """Who listens on the address; None where nobody does."""
    holder_is_ours: bool | None = None
    """Whether that is a process of the unit; None where nobody listens, or where we may not look."""
    restarts_before: int = 0
    """NRestarts when the waiting began."""
    door: UnitState | None = None
    """The socket unit of one behind the gate; None for others, and where it was not looked at."""
    shut: str = ""
    """Why there is no way through the gate to the server, though that runs."""
    preloading: bool = False
    """The unit is still having models loaded."""
    journal: tuple[str, ...] = ()
    """The unit's last lines, when it is not well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What the server must say, from the spec and the host."""

    version: str | None = None
    """The binary's; None where it could not be asked."""
    models: Mapping[str, str] = field(default_factory=dict)
    """Name -> digest, of the planned manifests; an empty digest where the store lacks the model."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Another name -> the model that it stands for."""
    load: bool = False
    """--load: every declared model has been loaded."""
    preload: tuple[str, ...] = ()
    """What must be in memory all the time."""
    settles: bool = False
    """What of that is not in memory is loaded before it is judged."""
    gpu: bool | None = None
    """Whether models must land on a GPU (True), on the CPU (False), or anywhere (None)."""

    @property
    def to_load(self) -> tuple[str, ...]:
        """What is asked to be loaded, where it is not."""
        return tuple(self.models) if self.load else self.preload if self.settles else ()

    @property
    def listed(self) -> Mapping[str, str]:
        """Everything that it must list, with its digest."""
        return {**self.models, **{alias: self.models.get(model, "") for alias, model in self.aliases.items()}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """The outcome for one instance."""

    instance: str
    unit: str
    listen: str
    checks: tuple[Check, ...]
    evidence: Evidence

    @property
    def ok(self) -> bool:
        """Whether every check held."""
        return all(check.ok for check in self.checks)

    @property
    def whole(self) -> bool:
        """Whether nothing was left open."""
        return not any(check.open for check in self.checks)

    @property
    def failures(self) -> tuple[Check, ...]:
        """The checks that did not hold."""
        return tuple(check for check in self.checks if not check.ok)
