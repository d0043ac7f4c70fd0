"""An instance as one line of JSON in its own drop-in, so that what is installed says what it is.

systemd ignores sections whose names begin with `X-` (systemd.syntax(7)), `systemctl cat` shows them, and every
command that gets no spec reads the fleet from there. Secrets are left out; defaults are, too.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from ollamactl.files import ObservedFile
from ollamactl.model import (
    Backend,
    Egress,
    Fleet,
    Hardening,
    Health,
    Instance,
    Limits,
    Network,
    OnDemand,
    Restart,
    RestartPolicy,
    State,
    Store,
    Toggle,
)

SECTION = "X-Ollamactl"
INSTANCE = "Instance="
FLEET = "Fleet="
_SHARED = ("binary", "models_dir", "source")
_CHOICES = {
    "store": Store, "egress": Egress, "network": Network, "hardening": Hardening, "backend": Backend,
    "flash_attention": Toggle, "state": State,
}  # fmt: skip


def instance_line(instance: Instance) -> str:
    """`Instance={...}` with every value that is not the default, without secrets."""
    plain = Instance(name="", port=0, models=())
    values = {
        field.name: getattr(instance, field.name)
        for field in fields(Instance)
        if field.name != "secrets" and getattr(instance, field.name) != getattr(plain, field.name)
    }
    for group in ("restart", "limits", "on_demand"):
        if values.get(group):
            values[group] = {k: v for k, v in asdict(values[group]).items() if v is not None}
    return INSTANCE + json.dumps(values, ensure_ascii=True, separators=(",", ":"))


def fleet_line(fleet: Fleet) -> str:
    """`Fleet={...}`: what all instances share."""
    shared = {name: getattr(fleet, name) for name in _SHARED}
    if fleet.cards:
        shared["gpus"] = dict(fleet.cards)
    if fleet.custom:
        shared["custom"] = dict(fleet.custom)
    if fleet.health:
        shared["health"] = asdict(fleet.health)
    return FLEET + json.dumps(shared, ensure_ascii=True, separators=(",", ":"))


def installed_fleet(files: Mapping[str, ObservedFile]) -> Fleet:
    """The fleet that the installed files of ours describe; instances sorted by name, unreadable ones left out."""
    shared: dict[str, Any] = {}
    instances = []
    for path, file in files.items():
        if not file.ours:
            continue
        if path.endswith(".service.d/10-ollamactl.conf"):
            if instance := _instance(_values(file.data, INSTANCE)):
                instances.append(instance)
        elif path.endswith(".target"):
            values = _values(file.data, FLEET) or {}
            shared = {key: text for key, text in values.items() if key in _SHARED and isinstance(text, str)}
            own = values.get("custom")
            shared["custom"] = tuple(own.items()) if isinstance(own, dict) else ()
            sizes = values.get("gpus")
            shared["cards"] = _cards(sizes) if isinstance(sizes, dict) else ()
            shared["health"] = _health(values.get("health"))
    return Fleet(instances=tuple(sorted(instances, key=lambda instance: instance.name)), **shared)


def installed_source(files: Mapping[str, ObservedFile]) -> str | None:
    """The spec that the installed fleet came from, empty for standard input; None where nothing says so."""
    for path, file in files.items():
        if file.ours and path.endswith(".target"):
            source = (_values(file.data, FLEET) or {}).get("source")
            return source if isinstance(source, str) else None
    return None


def _values(data: bytes, prefix: str) -> dict[str, Any] | None:
    for line in data.decode(errors="replace").splitlines():
        if line.startswith(prefix):
            return read(line.removeprefix(prefix))
    return None


def read(text: str) -> dict[str, Any] | None:
    """What follows `Instance=` or `Fleet=`; None where somebody wrote something else there."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _cards(values: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
    return tuple((card, size) for card, size in values.items() if isinstance(size, int))


def _health(values: Any) -> Health | None:
    if not isinstance(values, dict):
        return None
    every, failures = values.get("every"), values.get("failures")
    return Health(
        every=every if isinstance(every, int | float) else Health().every,
        failures=failures if isinstance(failures, int) else Health().failures,
    )


def _instance(values: Mapping[str, Any] | None) -> Instance | None:
    known = {field.name for field in fields(Instance)}
    try:
        clean = {name: _frozen(name, value) for name, value in (values or {}).items() if name in known}
        return Instance(**{"models": (), **clean})
    except (TypeError, ValueError, KeyError, AttributeError):
        return None


def _frozen(name: str, value: Any) -> Any:
    if name in _CHOICES:
        return _CHOICES[name](value)
    if name == "restart":
        return Restart(**{**value, "policy": RestartPolicy(value["policy"])})
    if name == "limits":
        return Limits(**value)
    if name == "on_demand":
        return OnDemand(**value) if value else None
    if name in ("environment", "digests", "aliases"):
        return tuple((key, text) for key, text in value)
    return tuple(value) if isinstance(value, list) else value
