"""The fleet as values: what a valid spec says; durations are float seconds (`math.inf` is forever), sizes int bytes."""

import math
from dataclasses import dataclass, field
from enum import StrEnum


class Store(StrEnum):
    """What an instance sees of the shared model store."""

    ISOLATED = "isolated"
    SHARED = "shared"
    WRITABLE = "writable"


class Egress(StrEnum):
    """Whether an instance may reach other machines."""

    CLOSED = "closed"
    OPEN = "open"


class Network(StrEnum):
    """Whose network an instance lives in."""

    HOST = "host"
    PRIVATE = "private"
    """Its own; the gate alone leads there."""


class Hardening(StrEnum):
    """How far systemd's sandbox goes."""

    STRICT = "strict"
    COMPAT = "compat"
    OFF = "off"


class Backend(StrEnum):
    """Which compute library the runner uses."""

    AUTO = "auto"
    CUDA = "cuda"
    ROCM = "rocm"
    VULKAN = "vulkan"
    CPU = "cpu"


class Toggle(StrEnum):
    """A switch that can be left to Ollama."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"


class State(StrEnum):
    """Whether apply leaves the server running."""

    RUNNING = "running"
    STOPPED = "stopped"


class RestartPolicy(StrEnum):
    """When systemd starts a server again that ended."""

    ON_FAILURE = "on-failure"
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """The restart policy: waits grow from delay to max_delay; after `tries` starts within `within` the unit fails."""

    policy: RestartPolicy = RestartPolicy.ON_FAILURE
    delay: float = 3.0
    max_delay: float = 60.0
    tries: int = 5
    within: float = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Resource limits of a unit (systemd.resource-control(5), systemd.exec(5)); None leaves systemd's default."""

    memory_high: int | None = None
    memory_max: int | None = None
    cpu_quota: int | None = None
    """Per cent of one CPU: 200 is two CPUs."""
    cpus: str | None = None
    """AllowedCPUs= list, such as `0-3,8`."""
    nice: int | None = None
    io_weight: int | None = None
    tasks_max: int | None = None
    nofile: int | None = None
    oom_score_adjust: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OnDemand:
    """When a server behind the gate is started and stopped; `math.inf` is never."""

    stop_after: float = 600.0
    """Seconds without a request."""
    unload_after: float | None = None
    """Likewise, until its models leave memory; None is the instance's keep_alive."""
    max_wait: float = 300.0
    """Seconds that a request waits for the server."""


ALWAYS_ON = OnDemand(stop_after=math.inf, unload_after=math.inf)
"""Behind the gate for its fences alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One Ollama server: one unit, one port, its models, its cards."""

    name: str
    port: int
    models: tuple[str, ...]
    digests: tuple[tuple[str, str], ...] = ()
    """Model -> the digest that it must have, in hex; for those of `models` that are fixed to one."""
    aliases: tuple[tuple[str, str], ...] = ()
    """Another name -> the model of `models` that it stands for."""
    models_from_name: bool = False
    """The models were not written but filled in from the name: `plan` says so."""
    host: str = "127.0.0.1"
    """A literal IPv4 or IPv6 address, without brackets."""
    store: Store = Store.ISOLATED
    egress: Egress = Egress.CLOSED
    network: Network = Network.HOST
    hardening: Hardening = Hardening.STRICT
    gpus: tuple[str, ...] | None = None
    """Cards as written (UUID, index or PCI address); () is none, None is every card."""
    backend: Backend = Backend.AUTO
    allow: tuple[str, ...] = ()
    """Networks in canonical CIDR form that may reach the port, or ("any",)."""
    origins: tuple[str, ...] = ()
    binary: str = "/usr/local/bin/ollama"
    keep_alive: float = 300.0
    context_length: int | None = 8192
    """Tokens; None is `auto`: Ollama decides by the VRAM it sees."""
    parallel: int = 1
    preload: tuple[str, ...] = ()
    """Those of its models that are loaded after each start, in this order."""
    max_loaded_models: int | None = None
    """None is the number of declared models."""
    max_queue: int | None = None
    load_timeout: float | None = None
    flash_attention: Toggle = Toggle.AUTO
    kv_cache_type: str | None = None
    spread: bool = False
    vram_reserve: int | None = None
    vram: int | None = None
    """What it needs on each of its cards; None is to be estimated."""
    environment: tuple[tuple[str, str], ...] = ()
    secrets: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    environment_files: tuple[str, ...] = ()
    description: str | None = None
    enabled: bool = True
    state: State = State.RUNNING
    on_demand: OnDemand | None = None
    """None: nobody stands before it, and it holds its port itself."""
    after: tuple[str, ...] = ()
    """Unit names; an instance's name in the spec has become its unit's name here."""
    requires: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()
    """Services of somebody else's that run Ollama, and make room for this one."""
    restart: Restart = Restart()
    limits: Limits = Limits()

    @property
    def unit(self) -> str:
        """The unit's name."""
        return unit_name(self.name)

    @property
    def listen(self) -> str:
        """`IP:PORT` as OLLAMA_HOST wants it; IPv6 in brackets (envconfig/config.go in Ollama)."""
        return address(self.host, self.port)

    @property
    def gated(self) -> bool:
        """Whether it has a network namespace of its own, with the gate, whose port systemd holds, as its only door."""
        return self.on_demand is not None

    @property
    def sleeps(self) -> bool:
        """Whether it is stopped when it is idle."""
        return self.on_demand is not None and not math.isinf(self.on_demand.stop_after)

    @property
    def server_host(self) -> str:
        """Where the server itself listens: behind the gate on loopback of its own network, on the same port."""
        return LOOPBACK if self.gated else self.host

    @property
    def wanted_at_boot(self) -> bool:
        """Whether the fleet's target pulls it in; a stopped one must not be, or starting the target starts it."""
        return self.enabled and self.state is State.RUNNING and not self.sleeps


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """When `heal` looks for servers that hang, and when it restarts one."""

    every: float = 60.0
    failures: int = 3
    """In a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pull:
    """How models are pulled."""

    environment: tuple[tuple[str, str], ...] = ()
    secrets: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    insecure: tuple[str, ...] = ()
    """Registries (`HOST` or `HOST:PORT`) that are spoken to without TLS."""
    identity: bool = False
    """Keep the key that registries know us by; without it one is made for each time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Everything that one spec describes."""

    binary: str = "/usr/local/bin/ollama"
    models_dir: str = "/var/lib/ollama/models"
    """The shared store: blobs/ and manifests/."""
    instances: tuple[Instance, ...] = ()
    source: str = ""
    """The spec file's absolute path, or empty when it was read from standard input."""
    keep_generations: int = 20
    """How many changes are kept in the history."""
    health: Health | None = None
    """None: nobody looks, and nothing is installed for it."""
    pull: Pull = Pull()
    cards: tuple[tuple[str, int], ...] = ()
    """Cards as written -> the memory that they have for the fleet."""
    custom: tuple[tuple[str, str], ...] = ()
    """Models of the spec's own -> the Modelfile that each is made by."""


UNIT_DIR, TARGET = "/etc/systemd/system", "ollama-fleet.target"
TEMPLATE = "ollama@.service"
GATE_SERVICE = "ollama-gate.service"
BROKER_SERVICE, BROKER_SOCKET = "ollamactl-broker.service", "ollamactl-broker.socket"
GATE_UNITS = (GATE_SERVICE, BROKER_SERVICE, BROKER_SOCKET)
HEAL_SERVICE = "ollamactl-heal.service"
HEAL_TIMER = "ollamactl-heal.timer"


def unit_name(instance: str) -> str:
    """The unit of an instance: `ollama@NAME.service`."""
    return f"ollama@{instance}.service"


_SOCKET = ("ollama-gate-", ".socket")


def gate_socket(instance: str) -> str:
    """The socket unit of an instance behind the gate: `ollama-gate-NAME.socket`."""
    return instance.join(_SOCKET)


def socket_instance(unit: str) -> str | None:
    """The instance that a socket unit's name belongs to, or None where it is not of ours."""
    prefix, suffix = _SOCKET
    if unit.startswith(prefix) and unit.endswith(suffix):
        return unit.removeprefix(prefix).removesuffix(suffix)
    return None


def instance_name(unit: str) -> str | None:
    """The instance that a unit's name belongs to, or None where it is not of ours."""
    if unit.startswith("ollama@") and unit.endswith(".service") and unit != TEMPLATE:
        return unit.removeprefix("ollama@").removesuffix(".service")
    return None


LOOPBACK = "127.0.0.1"
WILDCARDS = ("0.0.0.0", "::")  # noqa: S104 - names what a spec may say, binds nothing


def address(host: str, port: int) -> str:
    """`127.0.0.1:11434`, `[::1]:11434` (RFC 3986 section 3.2.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def dial_address(host: str) -> str:
    """The address at which this host reaches a server bound to `host`: loopback for a wildcard."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compares, binds nothing


def overlap(one: str, other: str) -> bool:
    """Whether two listeners on one port collide: Go's net.Listen binds IPv4 and IPv6 for 0.0.0.0 and [::] alike."""
    return one == other or one in WILDCARDS or other in WILDCARDS
