"""What follows from the settings that an instance writes: groups as values, and values that come from others. Pure."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ollamactl.model import ALWAYS_ON, Limits, Network, OnDemand, Restart
from ollamactl.spec import specvalue

MERGED: Mapping[str, Callable[[dict[str, Any]], object]] = {
    "aliases": lambda values: tuple(values.items()),
    "restart": lambda values: Restart(**values),
    "limits": lambda values: Limits(**values),
    "on_demand": lambda values: OnDemand(**values),
    "environment": lambda values: tuple(values.items()),
    "secrets": lambda values: tuple(values.items()),
}
"""Mappings, whose own keys override those of `defaults` one by one."""
GROUPS = {"restart": specvalue.RESTART, "limits": specvalue.LIMITS, "on_demand": specvalue.ON_DEMAND}
"""Those of them that have keys of their own, with a reader for each."""
_FOREVER = {"keep_alive": math.inf}


def built(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with their groups as the model holds them."""
    built = dict(settings)
    for key, make in MERGED.items():
        if built.get(key) is not None:
            built[key] = make(built[key])
    return built


def fixed(models: Iterable[str]) -> dict[str, Any]:
    """The models by their names alone, and the digests to which some of them are fixed."""
    parts = [model.partition("@sha256:") for model in models]
    return {
        "models": tuple(name for name, _, _ in parts),
        "digests": tuple((name, digest) for name, _, digest in parts if digest),
    }


def preload(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Which models: `true` means all. Who wants them in memory from the start wants them to stay there."""
    wanted = settings.get("preload", ())
    models = settings.get("models", ()) if wanted is True else wanted
    return {"preload": tuple(dict.fromkeys(models)), **({} if "keep_alive" in settings or not models else _FOREVER)}


def door(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Who sleeps has a network of its own, and the gate stands before who has one."""
    if settings.get("on_demand"):
        return {} if "network" in settings else {"network": Network.PRIVATE}
    return {"on_demand": ALWAYS_ON} if settings.get("network") is Network.PRIVATE else {}


def flat(settings: Mapping[str, Any]) -> set[str]:
    """The keys that are written, those of a group with its name: `limits.nice`."""
    groups = {f"{group}.{key}" for group in GROUPS for key in settings.get(group) or ()}
    return groups | (settings.keys() - GROUPS.keys())
