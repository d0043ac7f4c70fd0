"""The host as doctor saw it: every value that a judgement rests on, and what could not be seen. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ollamactl.doctor.environ import Environment, EnvironmentFile
from ollamactl.facts import Gpu
from ollamactl.model import instance_name
from ollamactl.observed import Active, PortHolder, UnitState
from ollamactl.units import envconfig

STOCK = "ollama.service"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a unit says of how its server is run, as the manager has read it (org.freedesktop.systemd1(5))."""

    files: tuple[str, ...] = ()
    """The unit's own file and its drop-ins, in the order in which systemd reads them."""
    enabled: bool = False
    type: str = "simple"
    argv: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    """The commands of ExecStartPre=, a line each."""
    user: str = ""
    dynamic_user: bool = False
    groups: tuple[str, ...] = ()
    """Group= and SupplementaryGroups=."""
    restart: str = "no"
    restart_delay: float = 0.1
    """Seconds."""
    limit_interval: float = 10.0
    """Seconds; 0 is no limit at all."""
    limit_burst: int = 5
    kill_mode: str = "control-group"
    no_new_privileges: bool = False
    private_devices: bool = False
    private_network: bool = False
    private_tmp: bool = False
    protect_home: str = "no"
    device_policy: str = "auto"
    devices: tuple[str, ...] = ()
    """DeviceAllow=."""
    binds: tuple[str, ...] = ()
    """Sources and targets of BindPaths= and BindReadOnlyPaths=."""
    fenced: bool = False
    """IPAddressDeny=any: who reaches the port is a list."""

    @property
    def binary(self) -> str:
        """The program's path; empty where a shell starts it."""
        return self.argv[0] if self.argv and not self.wrapped else ""

    @property
    def wrapped(self) -> bool:
        """A script or a shell starts the server: what it is given shows in the process at most."""
        return bool(self.argv) and not self.argv[0].rpartition("/")[2].startswith("ollama")


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """What the running main process tells; None where the caller may not look."""

    same_binary: bool | None = None
    environment: Mapping[str, str] | None = field(default=None, repr=False)
    listens: tuple[tuple[str, int], ...] | None = None
    """The addresses on which it listens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A unit that runs `ollama serve`, or is meant to."""

    state: UnitState
    settings: Settings = Settings()
    environment: Environment = field(default_factory=Environment)
    environment_files: tuple[EnvironmentFile, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What is in the unit's own file and its drop-ins, by path."""
    process: Process = Process()
    result: str = "success"
    """How its last run ended."""
    status: int = 0
    load_error: str = ""
    seconds: float | None = None
    """How long it has been active."""
    journal: tuple[str, ...] = ()
    """Last lines, of one that is not well."""
    holder: PortHolder | None = None
    """Who listens where it is meant to, where that is not the server itself."""
    ours: bool = False
    """ollamactl's; what the spec may say of it on purpose is no trap."""
    user_manager: bool = False
    home: str | None = None
    """Its HOME, as a real path; None where it has none, or where it is not known."""
    store: str = ""
    """Its models, as a real path; empty where it is not known."""

    @property
    def unit(self) -> str:
        """The unit's name."""
        return self.state.name

    @property
    def systemctl(self) -> str:
        """How its manager is spoken to."""
        return "systemctl --user" if self.user_manager else "sudo systemctl"

    @property
    def runs(self) -> bool:
        """Whether its process is up."""
        return self.state.active is Active.ACTIVE

    @property
    def address(self) -> tuple[str, int] | None:
        """Where it is meant to listen; None where that is not known."""
        value = self.environment.get("OLLAMA_HOST")
        return envconfig.listen_address(value) if value or self.environment.complete else None

    @property
    def label(self) -> str:
        """A short name, fit for a folder: `ollama-llama3`."""
        name = instance_name(self.unit)
        return f"ollama-{name}" if name else self.unit.removesuffix(".service")


@dataclass(frozen=True, slots=True, kw_only=True)
class Masked:
    """A unit that a mask keeps from being started."""

    unit: str
    wanted: bool
    """It has drop-ins of its own, or something is to start it: the mask contradicts that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """All of it."""

    servers: tuple[Server, ...] = ()
    masked: tuple[Masked, ...] = ()
    cards: tuple[Gpu, ...] = ()
    user_manager: bool = False
    unseen: tuple[str, ...] = ()
    """What could not be looked at, a sentence each."""

    def on_store(self, path: str) -> tuple[Server, ...]:
        """The servers of one model store."""
        return tuple(server for server in self.servers if server.store == path)
