"""Drop-ins that are not ollamactl's: which a unit has, and which of them its running server does not heed yet."""

import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from ollamactl.facts import Layout
from ollamactl.host import processes
from ollamactl.host.systemd import Manager
from ollamactl.host.unitdir import DROP_IN
from ollamactl.observed import DropIn, Heeded, UnitState
from ollamactl.units import changes

_PARENTS = ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")
"""Where a manager looks for units, the first wins (systemd.unit(5), Unit File Load Path); one that runs tells it."""


def read(
    manager: Manager, layout: Layout, names: Iterable[str], units: Mapping[str, UnitState]
) -> Mapping[str, tuple[DropIn, ...]]:
    """By unit of those named: the drop-ins of others that systemd has read, and those that it would."""
    result = {}
    folders = manager.unit_path()
    for unit in names:
        state = units.get(unit)
        known = manager.drop_ins(state.path) if state else ()
        there = on_disk(folders, unit) if state is None or state.need_reload else ()
        if paths := [path for path in dict.fromkeys((*known, *there)) if path != _ours(layout, unit)]:
            started = processes.started_at(state.main_pid) if state and state.main_pid else None
            result[unit] = tuple(
                DropIn(path=path, heeded=_heeded(path, known, state, started) if state else Heeded.NOW)
                for path in paths
            )
    return result


def below(root: Path, layout: Layout, names: Iterable[str]) -> Mapping[str, tuple[DropIn, ...]]:
    """The same for an image, where no manager has read any."""
    whose = "user" if layout.user else "system"
    folders = (layout.unit_dir, *(f"{parent}/systemd/{whose}" for parent in _PARENTS))
    found = {unit: [path for path in on_disk(folders, unit, root) if path != _ours(layout, unit)] for unit in names}
    return {unit: tuple(DropIn(path=path) for path in paths) for unit, paths in found.items() if paths}


def on_disk(folders: Iterable[str], unit: str, root: Path = Path("/")) -> tuple[str, ...]:
    """The drop-ins that lie where systemd looks, in its order; of those of one name the first hides the others.

    As unit_file_find_dropin_paths() in systemd's src/shared/dropin.c collects them: those for all services come last.
    """
    prefix, at, _ = unit.partition("@")
    names = (unit, f"{prefix}@.service") if at else (unit,)
    places = [f"{parent}/{name}.d" for parent in dict.fromkeys(folders) for name in names]
    places += [f"{parent}/service.d" for parent in dict.fromkeys(folders)]
    top = "" if root == Path("/") else os.path.realpath(root)
    found: dict[str, str] = {}
    for place in places:
        folder = os.path.realpath(f"{top}{place}")  # as systemd names it: /lib may lead to /usr/lib
        try:
            entries = os.listdir(folder)  # noqa: PTH208
        except OSError:
            continue
        for name in entries:
            if name.endswith(".conf"):
                found.setdefault(name, f"{folder.removeprefix(top)}/{name}")
    return tuple(found[name] for name in sorted(found))


def _ours(layout: Layout, unit: str) -> str:
    return f"{layout.unit_dir}/{unit}.d/{DROP_IN}"


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
