"""Services that are to make room for servers of the fleet: whether each runs, what starts it, what it serves."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import PurePath

from ollamactl.errors import Problem
from ollamactl.host import processes, unitlinks
from ollamactl.host.rivals import is_server, starts_server
from ollamactl.host.systemd import Manager
from ollamactl.model import Fleet
from ollamactl.observed import UP, Active, Observed, Replaced, UnitState
from ollamactl.planning import displace

_WORDS = {
    "Id": ("Unit", "s"), "LoadState": ("Unit", "s"), "ActiveState": ("Unit", "s"), "SubState": ("Unit", "s"),
    "WantedBy": ("Unit", "as"), "RequiredBy": ("Unit", "as"), "BoundBy": ("Unit", "as"),
    "MainPID": ("Service", "u"), "ExecStart": ("Service", "a(sasbttttuii)"),
}  # fmt: skip


def read(manager: Manager, unit_dir: str, names: Collection[str]) -> Mapping[str, Replaced]:
    """Each of the services by name. Raises HostError where the manager does not answer."""
    folders = [folder for folder in manager.unit_path() if folder != unit_dir] if names else []
    return {name: _replaced(manager, unit_dir, folders, name) for name in sorted(names)}


def left_behind(manager: Manager, fleet: Fleet, observed: Observed, only: Collection[str]) -> Iterable[Problem]:
    """Notes on services that made room for the installed fleet, and that this one does not name any more."""
    dropped = displace.dropped(fleet, observed, only)
    now = read(manager, observed.facts.layout.unit_dir, dropped)
    return displace.left_behind(dropped, now, user=manager.user)


def _replaced(manager: Manager, unit_dir: str, folders: Sequence[str], name: str) -> Replaced:
    path = manager.object_path(name)
    told = manager.details(path, _WORDS)
    links = unitlinks.find(unit_dir, name)
    elsewhere = [link for folder in folders for link in unitlinks.find(folder, name)]
    linked = {PurePath(link).parent.stem for link in (*links, *elsewhere)}
    # Of targets only links count: where an apply was killed before the reload, the manager still knows those that went
    named = {unit for word in ("WantedBy", "RequiredBy") for unit in told[word] or () if unit.endswith(".service")}
    bound = {*(told["RequiredBy"] or ()), *(told["BoundBy"] or ())}
    carried = manager.names(sorted(bound)) if bound else ()
    return Replaced(
        state=UnitState(
            name=told["Id"],
            load_state=told["LoadState"],
            active=Active(told["ActiveState"]),
            sub_state=told["SubState"],
            path=path,
            main_pid=told["MainPID"],
        ),
        links=links,
        pulled_in=(*elsewhere, *sorted(named - linked)),
        carried=tuple(each.name for each in carried if each.active in UP and each.name.endswith(".service")),
        serves=_serves([command[1] for command in told["ExecStart"] or ()], told["MainPID"]),
    )


def _serves(commands: Collection[list[str]], main_pid: int) -> bool:
    """By what it is told to start, or where that is a script, by what runs."""
    if any(map(starts_server, commands)):
        return True
    return bool(main_pid) and any(is_server(processes.arguments(pid)) for pid in processes.family(main_pid))
