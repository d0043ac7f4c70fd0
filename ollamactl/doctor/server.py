"""A unit that runs `ollama serve`, as doctor saw it: its settings, variables and process. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ollamactl.doctor.environ import Environment, EnvironmentFile
from ollamactl.observed import Active, PortHolder, UnitState
from ollamactl.units import envconfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a unit says of how its server is run, as the manager has read it (org.freedesktop.systemd1(5))."""

    files: tuple[str, ...] = ()
    """The unit's own file and its drop-ins, in the order in which systemd reads them."""
    enabled: bool = False
    type: str = "simple"
    """Type= of the service."""
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
class Node:
    """A file, folder or device, and who may use it."""

    path: str
    uid: int
    gid: int
    mode: int
    """Permission bits."""
    group: str = ""
    acl: bool = False
    """It has an access list (acl(5)), so its mode does not say who may use it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A folder that a server needs, with the way to it."""

    path: str
    """As a real path."""
    way: tuple[Node, ...] = ()
    """What there is of it, from the root on."""

    @property
    def there(self) -> bool:
        """Whether the folder itself exists."""
        return bool(self.way) and self.way[-1].path == self.path


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """What the running main process tells; None where the caller may not look."""

    same_binary: bool | None = None
    version: str = ""
    """What it answers, where its program was replaced."""
    environment: Mapping[str, str] | None = field(default=None, repr=False)
    listens: tuple[tuple[str, int], ...] | None = None
    """The addresses on which it listens; none of one that has not got as far, or is gone."""


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
    seconds: float | None = None
    """How long it has been active."""
    journal: tuple[str, ...] = ()
    """Last lines, of one that is not well."""
    holder: PortHolder | None = None
    """Who listens where it is meant to, where that is not the server itself."""
    ours: bool = False
    """ollamactl's; what the spec may say of it on purpose is no trap."""
    user_manager: bool = False
    uid: int | None = None
    """None where systemd makes a user at the start, or where there is no such user."""
    gids: tuple[int, ...] = ()
    account_missing: bool = False
    groups_missing: tuple[str, ...] = ()
    home: str | None = None
    """Its HOME, as a real path; None where it has none, or where it is not known."""
    keys: Place | None = None
    """The folder in it where Ollama keeps its key pair."""
    models: Place | None = None
    """Its model store; None where it is not known."""
    program_lacks: str = ""
    """Why its program can't be run, in words."""
    libraries: tuple[str, ...] = ()
    """The names that OLLAMA_LLM_LIBRARY may have: folders with a library for computing, beside the program."""

    @property
    def unit(self) -> str:
        """The unit's name."""
        return self.state.name

    @property
    def store(self) -> str:
        """The real path of its model store; empty where it is not known."""
        return self.models.path if self.models else ""

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
        """A name for a folder of its own: `ollama-llama3-home`; just `ollama` may hold a store (StateDirectory=)."""
        return f"{self.unit.removesuffix('.service').replace('@', '-')}-home"
