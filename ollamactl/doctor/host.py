"""The host as doctor saw it: every value that a judgement rests on, and what could not be seen. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ollamactl.doctor.server import Node, Server
from ollamactl.errors import Problem
from ollamactl.facts import Gpu

STOCK = "ollama.service"


@dataclass(frozen=True, slots=True, kw_only=True)
class Masked:
    """A unit that a mask keeps from being started."""

    unit: str
    wanted: bool
    """It has drop-ins of its own, or something is to start it: the mask contradicts that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A unit that systemd can't read, and so can't start."""

    unit: str
    evidence: tuple[str, ...]
    file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stray:
    """A process of Ollama's that no unit looks after."""

    pid: int
    command: str
    unit: str = ""
    """The unit or session that it was left in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """A model store."""

    path: str
    """As a real path."""
    models: Mapping[str, str] = field(default_factory=dict)
    """Digests of the manifests by the models' names."""
    partial: int = 0
    """Files of downloads that nobody goes on with."""
    partial_size: int = 0
    """Their bytes."""
    damage: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """All of it."""

    servers: tuple[Server, ...] = ()
    masked: tuple[Masked, ...] = ()
    broken: tuple[Broken, ...] = ()
    loose: tuple[Stray, ...] = ()
    """Servers that were started by hand."""
    orphans: tuple[Stray, ...] = ()
    """Runners whose server has gone."""
    cards: tuple[Gpu, ...] = ()
    card_problems: tuple[Problem, ...] = ()
    nodes: tuple[Node, ...] = ()
    """The cards' device nodes that there are."""
    addresses: tuple[str, ...] = ()
    """The host's own, without loopback."""
    stores: tuple[Store, ...] = ()
    programs: tuple[str, ...] = ()
    """Where there is an Ollama."""
    user_manager: bool = False
    unseen: tuple[str, ...] = ()
    """What could not be looked at, a sentence each."""

    @property
    def systemctl(self) -> str:
        """How the manager is spoken to."""
        return "systemctl --user" if self.user_manager else "sudo systemctl"

    @property
    def sudo(self) -> str:
        """What stands before a command that changes what is not one's own."""
        return "" if self.user_manager else "sudo "

    def on_store(self, path: str) -> tuple[Server, ...]:
        """The servers of one model store."""
        return tuple(server for server in self.servers if server.store == path)
