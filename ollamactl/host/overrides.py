"""Drop-ins that are not ollamactl's: which a unit has, and which of them its running server does not heed yet."""

import os
from collections.abc import Collection, Mapping
from pathlib import Path

from ollamactl.facts import Layout
from ollamactl.host import processes
from ollamactl.host.systemd import Manager
from ollamactl.host.unitdir import DROP_IN
from ollamactl.model import TEMPLATE, Fleet
from ollamactl.observed import DropIn, Heeded, UnitState
from ollamactl.units import changes


def read(
    manager: Manager, layout: Layout, fleet: Fleet, units: Mapping[str, UnitState]
) -> Mapping[str, tuple[DropIn, ...]]:
    """By loaded unit of the fleet: the drop-ins of others that systemd has read, and those that it would."""
    result = {}
    for unit in (instance.unit for instance in fleet.instances):
        if state := units.get(unit):
            known = manager.drop_ins(state.path)
            there = _on_disk(manager, unit) if state.need_reload else ()
            ours = f"{layout.unit_dir}/{unit}.d/{DROP_IN}"
            paths = [path for path in dict.fromkeys((*known, *there)) if path != ours]
            started = processes.started_at(state.main_pid) if paths and state.main_pid else None
            if paths:
                result[unit] = tuple(DropIn(path=path, heeded=_heeded(path, known, state, started)) for path in paths)
    return result


def _on_disk(manager: Manager, unit: str) -> tuple[str, ...]:
    """The drop-ins that lie where systemd looks; of those of one name the first hides the others."""
    found: dict[str, str] = {}
    for folder in (unit, TEMPLATE):
        for parent in manager.unit_path():
            try:
                names = os.listdir(f"{parent}/{folder}.d")  # noqa: PTH208
            except OSError:
                continue
            for name in names:
                if name.endswith(".conf"):
                    found.setdefault(name, f"{parent}/{folder}.d/{name}")
    return tuple(found[name] for name in sorted(found))


def _heeded(path: str, known: Collection[str], state: UnitState, started: float | None) -> Heeded:
    """For a server that was started then; one that does not run heeds at its start whatever systemd has read."""
    if path not in known:
        return Heeded.AT_RELOAD
    if started is None:
        return Heeded.NOW
    try:
        if Path(path).stat().st_mtime <= started:
            return Heeded.NOW
        matters = changes.restarts(Path(path).read_text(errors="replace"))
    except PermissionError:
        matters = True
    except OSError:
        return Heeded.AT_RELOAD  # systemd has read it, and it is gone
    if state.need_reload:
        return Heeded.AT_RELOAD
    return Heeded.AT_RESTART if matters else Heeded.NOW
