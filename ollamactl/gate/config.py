"""What the gate must know, as values: one line of JSON in its own unit file, so that a change of it is a change there.

Pure. Durations are float seconds (`math.inf` is never), sizes int bytes.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

PREFIX = "Gate="
"""How the line begins, in the section that systemd ignores (units.record.SECTION)."""

BROKER = "/run/ollamactl-broker/socket"
"""Where the gate finds its broker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """One server behind the gate."""

    name: str
    """The instance, and the name of its socket's descriptors."""
    unit: str
    port: int
    """Where it listens, on 127.0.0.1 of its own network namespace."""
    binary: str = ""
    """Its program: what the server once said of itself holds no longer when that is replaced."""
    models: tuple[str, ...] = ()
    """What it serves, by full names, aliases among them."""
    fingerprint: str = ""
    """Of all that its answers about itself depend on: settings, models' versions, aliases."""
    preload: tuple[str, ...] = ()
    """What its unit loads at each start."""
    stop_after: float = 600.0
    """Without a request; then its unit is stopped."""
    unload_after: float = math.inf
    """Without a request; then its models leave memory."""
    max_wait: float = 300.0
    """How long a request waits for the server."""
    cards: tuple[str, ...] = ()
    """Those of GateConfig.cards that it uses."""
    vram: int = 0
    """Bytes that it needs on each of them; 0 where nobody knows."""
    loads: int = 0
    """Where `vram` is an estimate: how many models it has in memory at most. What it had then tells more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateConfig:
    """Everything that the gate is told."""

    servers: tuple[Behind, ...] = ()
    cards: Mapping[str, int] = field(default_factory=dict)
    """What each card has for these servers, in bytes."""

    def server(self, name: str) -> Behind | None:
        """The server whose socket has this name."""
        return next((each for each in self.servers if each.name == name), None)


def line(config: GateConfig) -> str:
    """`Gate={...}`, without what is the default; no value in it needs an escape of systemd's, since it reads none."""
    values: dict[str, Any] = {"servers": [_written(server) for server in config.servers]}
    if config.cards:
        values["cards"] = dict(config.cards)
    return PREFIX + json.dumps(values, ensure_ascii=True, separators=(",", ":"))


def parse(text: str) -> GateConfig:
    """The configuration in a unit file's text; raises ValueError where there is none that can be read."""
    for each in text.splitlines():
        if each.startswith(PREFIX):
            found = json.loads(each.removeprefix(PREFIX))
            if isinstance(found, dict) and isinstance(found.get("servers"), list):
                cards = found.get("cards", {})
                return GateConfig(servers=tuple(_read(server) for server in found["servers"]), cards=cards)
    raise ValueError(f"no line begins with {PREFIX}")


_DEFAULTS = Behind(name="", unit="", port=0)


def _written(server: Behind) -> Mapping[str, Any]:
    """JSON knows no infinity: null stands for it."""
    values = {name: value for name, value in asdict(server).items() if value != getattr(_DEFAULTS, name)}
    return {name: None if value == math.inf else value for name, value in values.items()}


def _read(values: Any) -> Behind:
    known = {each.name for each in fields(Behind)}
    if not isinstance(values, dict) or not {"name", "unit", "port"} <= values.keys():
        raise ValueError("a server without name, unit or port")
    clean: dict[str, Any] = {
        name: math.inf if value is None else tuple(value) if isinstance(value, list) else value
        for name, value in values.items()
        if name in known
    }
    return Behind(**clean)
