"""What models there are on a host: in the fleet's store and its servers' views, and in other stores that are found."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ollamactl import compiled, inventory
from ollamactl.errors import NotPermitted, OllamactlError, Problem, Severity
from ollamactl.host import discover, store
from ollamactl.host.observe import Host
from ollamactl.inventory import Stock
from ollamactl.model import Fleet
from ollamactl.pulling import recipe
from ollamactl.units.record import installed_fleet
from ollamactl.workflow import nothing_installed


def read(host: Host) -> tuple[tuple[Stock, ...], tuple[Problem, ...]]:
    """Every store that the caller may read, the fleet's first, and what could not be read.

    Raises UsageError where there is neither a fleet nor a store.
    """
    there = host.files.managed(host.layout)
    fleet = installed_fleet(there)
    stocks: list[Stock] = []
    problems: list[Problem] = []
    if fleet.instances:
        views = [each for each in compiled.views(there.values(), host.layout) if each[0]]
        manifests = store.read(host.root / fleet.models_dir.lstrip("/"))
        made = dict(recipe.needed(recipe.look(fleet, Path(fleet.models_dir))))
        versions = inventory.of_fleet(fleet, manifests, views, made)
        stocks.append(Stock(path=fleet.models_dir, versions=versions, fleets=True, size=_size(host, fleet.models_dir)))
    for path in _others(host, fleet):
        try:
            versions = inventory.stored(store.read(host.root / path.lstrip("/")))
            stocks.append(Stock(path=path, versions=versions, fleets=False, size=_size(host, path)))
        except OllamactlError as error:
            problems += [_unread(path, str(error))]
    problems += [_unread(path, "only root may look into it") for path in discover.closed(host.root)]
    if not stocks and not problems:
        raise nothing_installed(host)
    return tuple(stocks), tuple(problems)


def _others(host: Host, fleet: Fleet) -> Iterator[str]:
    root = f"{host.root}" if host.offline else ""
    own = os.path.realpath(f"{root}{fleet.models_dir}") if fleet.instances else ""
    return (path for path in discover.stores(host.root) if os.path.realpath(f"{root}{path}") != own)


def _unread(path: str, why: str) -> Problem:
    message = f"this store was not read: {why}"
    return Problem(message=message, path=path, severity=Severity.NOTE, hint="sudo ollamactl models")


def _size(host: Host, path: str) -> int | None:
    """Bytes of all blobs; those that are being written too."""
    with suppress(OSError, NotPermitted), os.scandir(host.root / path.lstrip("/") / "blobs") as entries:
        return sum(entry.stat(follow_symlinks=False).st_size for entry in entries)
    return None
