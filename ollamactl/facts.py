"""What rendering must know of the host, as values: read once at the edge, compared and printed by pure code."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from ollamactl.files import FileKind
from ollamactl.model import GATE_UNITS, HEAL_SERVICE, HEAL_TIMER, UNIT_DIR, Instance, socket_instance


class Vendor(StrEnum):
    """Who made a card; decides which variables and device nodes pin it."""

    NVIDIA = "nvidia"
    AMD = "amd"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One card. `index` counts per vendor in PCI order, as nvidia-smi shows it."""

    vendor: Vendor
    index: int
    pci: str
    """`0000:01:00.0`, lower case."""
    uuid: str = ""
    """`GPU-5c1a...`; empty where the driver does not tell."""
    name: str = ""
    memory: int | None = None
    """Bytes of VRAM, None where unknown."""
    minor: int | None = None
    """NVIDIA: the minor of /dev/nvidiaN (`Device Minor`), which is not the index."""
    nodes: tuple[str, ...] = ()
    """AMD: the card's own /dev/dri/ nodes as `MAJOR:MINOR`, for DeviceAllow=/dev/char/MAJOR:MINOR."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a model's context takes in memory."""

    elements: int
    """Numbers that are kept for each token of it, in all layers."""
    context: int
    """Tokens that it was made for at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One model of the store: its name as the spec writes it, its place, and its bytes."""

    model: str
    """As Ollama lists it: `llama3:latest`, `acme/coder:7b`, `registry.example:5000/a/b:c`."""
    path: str
    """Below `manifests/`: `registry.ollama.ai/library/llama3/latest`."""
    data: bytes = field(repr=False)
    digest: str
    """SHA-256 of the bytes in hex: what /api/tags calls the digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where things lie, as absolute paths on the running host (a `--root` is put before them at the edge only)."""

    unit_dir: str = UNIT_DIR
    state_dir: str = "/var/lib/ollamactl"
    instance_state: str = "/var/lib/ollamactl-instances"
    run_dir: str = "/run/ollamactl"
    """What no boot keeps."""
    user: bool = False
    """The user's own manager instead of the system's."""

    @property
    def gate_run(self) -> str:
        """Where the gate tells how its servers are (RuntimeDirectory= of its unit)."""
        return "/run/ollamactl-gate"

    @property
    def gate_state(self) -> str:
        """What the gate remembers of servers (StateDirectory= of its unit)."""
        return f"{self.state_dir}-gate"

    @property
    def views(self) -> str:
        """Holds one folder an instance: the copies of its manifests."""
        return f"{self.state_dir}/views"

    @property
    def secrets(self) -> str:
        """Holds one 0600 EnvironmentFile an instance that has secrets."""
        return f"{self.state_dir}/secrets"

    @property
    def metrics(self) -> str:
        """Holds what `heal` tells Prometheus."""
        return f"{self.state_dir}/metrics"

    @property
    def figures(self) -> str:
        """That, as one file (node_exporter's textfile collector)."""
        return f"{self.metrics}/ollamactl.prom"

    @property
    def generations(self) -> str:
        """Holds one folder for each change of the fleet."""
        return f"{self.state_dir}/generations"

    @property
    def identity(self) -> str:
        """Holds the key by which registries know this host."""
        return f"{self.state_dir}/identity"

    def owner(self, path: str) -> str:
        """The instance that a file of ours belongs to by its path; empty for what the fleet shares."""
        if path.startswith(f"{self.unit_dir}/ollama@") and ".service.d/" in path:
            return path.removeprefix(f"{self.unit_dir}/ollama@").rpartition(".service.d/")[0]
        folder, _, name = path.rpartition("/")
        if folder == self.unit_dir and (instance := socket_instance(name)):
            return instance
        if path.startswith(f"{self.views}/"):
            return path.removeprefix(f"{self.views}/").partition("/")[0]
        if path.startswith(f"{self.secrets}/"):
            return path.removeprefix(f"{self.secrets}/").removesuffix(".env")
        return ""

    def kind(self, path: str) -> FileKind:
        """What a file of ours is by its path."""
        if path.startswith(f"{self.views}/"):
            return FileKind.VIEW
        if path.startswith(f"{self.secrets}/"):
            return FileKind.SECRETS
        if path.endswith(".target"):
            return FileKind.TARGET
        if path.endswith(tuple(f"/{unit}" for unit in GATE_UNITS)):
            return FileKind.GATE
        if path.endswith(".socket"):
            return FileKind.SOCKET
        if path.endswith(HEAL_TIMER):
            return FileKind.TIMER
        if path.endswith(HEAL_SERVICE):
            return FileKind.SERVICE
        return FileKind.DROP_IN if path.endswith(".conf") else FileKind.TEMPLATE


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The host as far as units depend on it."""

    systemd: int = 252
    """The manager's version, or what --systemd-version said."""
    layout: Layout = Layout()
    gpus: tuple[Gpu, ...] | None = ()
    """None: not known (offline): pins are rendered without the per-card device fence."""
    addresses: tuple[str, ...] = ()
    """The host's own IP addresses, without loopback and link-local ones."""
    groups: tuple[str, ...] = ()
    """Those of `render` and `video` that the host has: a unit that names a missing group fails to start (216/GROUP)."""
    store_owner: str = ""
    """The user who owns the store's folder, for `store: writable`; empty where unknown or not there yet."""
    salts: Mapping[str, str] = field(default_factory=dict, repr=False)
    """By instance that has secrets: the salt of its file, or of the one that it will have."""
    program: str = ""
    """The path of ollamactl itself, for the services that run it; empty where the spec wants none."""
    manifests: Mapping[str, Manifest] = field(default_factory=dict)
    """The store's models by full name (`llama3:latest`)."""
    shapes: Mapping[str, Shape] = field(default_factory=dict)
    """By a manifest's digest; those that the memory of cards is reckoned with."""
    kept: Mapping[str, Manifest] = field(default_factory=dict)
    """By digest: what a model is fixed to and the store has no more, but a server's view has."""

    def manifest(self, instance: Instance, model: str) -> Manifest | None:
        """The version of a model that an instance is to serve; None where it is not to be had."""
        found, fixed = self.manifests.get(model), dict(instance.digests).get(model)
        return found if fixed is None or (found and found.digest == fixed) else self.kept.get(fixed)
