"""The host as it was found, as values: one reading that planning and printing share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from ollamactl.facts import Facts
from ollamactl.files import ObservedFile
from ollamactl.model import instance_name, socket_instance


class Active(StrEnum):
    """A unit's ActiveState (org.freedesktop.systemd1(5))."""

    ACTIVE = "active"
    RELOADING = "reloading"
    INACTIVE = "inactive"
    FAILED = "failed"
    ACTIVATING = "activating"
    DEACTIVATING = "deactivating"
    MAINTENANCE = "maintenance"

    @classmethod
    def _missing_(cls, value: object) -> "Active":
        """A state that came with a newer systemd, as `refreshing` did: the unit is up, or on the way to another one."""
        return cls.RELOADING


UP = (Active.ACTIVE, Active.ACTIVATING, Active.RELOADING)
"""It runs, or is on the way to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitState:
    """A unit as the manager tells it; what is not loaded is simply inactive."""

    name: str
    load_state: str = "not-found"
    active: Active = Active.INACTIVE
    sub_state: str = "dead"
    path: str = ""
    """Its D-Bus object path."""
    main_pid: int = 0
    restarts: int = 0
    """NRestarts: automatic restarts since the last start by hand."""
    need_reload: bool = False
    """A file changed on disk after the manager read it."""
    requires: tuple[str, ...] | None = None
    """Where that is so: the instances that the manager takes it to require, whatever the files say by now."""

    @property
    def words(self) -> str:
        """`active (running)`, as systemctl shows it; just `failed` where both are the same."""
        return str(self.active) if self.active == self.sub_state else f"{self.active} ({self.sub_state})"

    @property
    def crash_looping(self) -> bool:
        """Between two automatic restarts."""
        return self.sub_state in ("auto-restart", "auto-restart-queued")


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """What the process behind a unit says of how it was started; None where we may not look."""

    config: str | None = None
    """OLLAMACTL_CONFIG: the digest of the configuration that it was started with."""
    secrets: str | None = None
    """OLLAMACTL_SECRETS, likewise."""
    same_binary: bool | None = None
    """False when the file at the binary's path was replaced since the start."""
    stale_files: tuple[str, ...] = ()
    """Environment files of the operator that were changed since the start."""
    undated_files: tuple[str, ...] = ()
    """Those of which that cannot be told: they were changed at a time that is still to come."""
    age: float | None = None
    """Seconds since the process was started."""


class Heeded(StrEnum):
    """What it takes for a drop-in to be in force for a running server."""

    NOW = "now"
    AT_RESTART = "restart"
    AT_RELOAD = "reload"
    """A daemon-reload, and then a restart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DropIn:
    """A drop-in of an administrator, or of a package."""

    path: str
    heeded: Heeded = Heeded.NOW


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """A unit that is not of this fleet, and an address that it is set to listen on."""

    unit: str
    host: str
    port: int
    enabled: bool
    """Something pulls it in, at boot as a rule."""
    up: bool = False
    """It runs now."""
    stores: tuple[str, ...] = ()
    """The folder of its models, as it is written and as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced:
    """A service of somebody else's that is to make room for a server of the fleet."""

    state: UnitState
    """Under its own name, where the spec writes another one of it."""
    links: Mapping[str, str] = field(default_factory=dict)
    """Links of the administrator's that start it, at boot as a rule: path -> target."""
    pulled_in: tuple[str, ...] = ()
    """Other links that start it, and services that do."""
    carried: tuple[str, ...] = ()
    """Services that run and would be stopped with it (Requires=, BindsTo=)."""
    serves: bool = False
    """Its command or its processes are an Ollama server's."""

    @property
    def up(self) -> bool:
        """There is something to stop."""
        return self.state.active not in (Active.INACTIVE, Active.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Displaced:
    """How such a service was before it made room, so that it can be so again."""

    active: bool
    links: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PortHolder:
    """Who listens on an address that an instance wants."""

    address: str
    port: int
    pid: int | None = None
    """None where we may not look, or where this host does not show it."""
    command: str = ""
    unit: str = ""
    """Without a pid: the unit of ours that is up and installed to listen there (`whose`)."""

    def __str__(self) -> str:
        """`pid 812 (python3 -m http.server) of session-2.scope`."""
        if self.pid is None:
            return f"{self.unit}, as it is installed" if self.unit else "a process that only root may see"
        where = f" of {self.unit}" if self.unit else ""
        return f"pid {self.pid} ({self.command}){where}"

    @property
    def way_out(self) -> str:
        """What to do about it; ollamactl never ends a stranger's process."""
        if self.pid is None and not self.unit:
            return f"see who it is: sudo ss -ltnp 'sport = :{self.port}'"
        if self.unit == "ollama.service":
            return (
                "that is Ollama's own service: sudo systemctl disable --now ollama.service, or have apply do that:"
                " replaces: [ollama.service]; or choose another port"
            )
        if self.pid == 1:
            return "a socket unit holds it (systemctl list-sockets): disable that, or choose another port in the spec"
        if self.unit.endswith(".service"):
            return f"sudo systemctl stop {self.unit}, or choose another port in the spec"
        return "end that program, or choose another port in the spec; ollamactl kills nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """One reading of the host."""

    facts: Facts = field(default_factory=Facts)
    offline: bool = False
    """An image below --root: it has files and links, and no manager that could start or reload anything."""
    files: Mapping[str, ObservedFile] = field(default_factory=dict)
    """What lies at the paths that are ollamactl's to fill, by path."""
    units: Mapping[str, UnitState] = field(default_factory=dict)
    """Every loaded unit of the template, and the target, by name."""
    running: Mapping[str, Running] = field(default_factory=dict)
    """By instance name, for units that have a main process."""
    wanted: frozenset[str] = frozenset()
    """Units that the fleet's target pulls in (its .wants folder)."""
    loaded_wants: frozenset[str] | None = None
    """Those that it pulls in as far as the manager knows; None where it has not loaded the target."""
    target_enabled: bool = False
    foreign_drop_ins: Mapping[str, tuple[DropIn, ...]] = field(default_factory=dict)
    """By unit of the fleet: drop-ins that are not ollamactl's, in the order in which systemd reads them."""
    holders: Mapping[str, PortHolder] = field(default_factory=dict)
    """By instance name: who holds its address, where that is not the instance itself."""
    shut: frozenset[str] = frozenset()
    """Instances behind the gate whose socket unit is up, and does not listen."""
    lacking: frozenset[str] = frozenset()
    """Addresses of the spec on which nobody can listen here: they are not this host's."""
    addresses: tuple[str, ...] = ()
    """This host's own, where some are lacking."""
    unreadable: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By instance name: environment files without which its unit fails to start, each with the reason."""
    rivals: tuple[Rival, ...] = ()
    """Units of others that are set to listen on TCP, running or not."""
    replaced: Mapping[str, Replaced] = field(default_factory=dict)
    """Services that the spec replaces, or that were replaced before, by name; also those that there are not."""

    @property
    def ours(self) -> frozenset[str]:
        """The instances on this host that are ollamactl's, by their files, their links or their processes."""
        layout = self.facts.layout
        names = {layout.owner(path) for path, file in self.files.items() if file.ours and not file.leftover}
        names |= {name for name, running in self.running.items() if running.config}
        names |= {name for unit in self.wanted if (name := instance_name(unit) or socket_instance(unit))}
        return frozenset(names - {""})

    def unit(self, name: str) -> UnitState:
        """The unit's state; one that is not loaded is inactive."""
        return self.units.get(name) or UnitState(name=name)
