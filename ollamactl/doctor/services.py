"""The units that run Ollama, whoever made them: found by what they start, read as the manager has read them."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ollamactl.doctor import environ
from ollamactl.doctor.environ import EnvironmentFile
from ollamactl.doctor.host import Broken, Masked
from ollamactl.doctor.server import Process, Server, Settings
from ollamactl.errors import HostError
from ollamactl.host import envfiles, journal, listeners, overrides, processes
from ollamactl.host.rivals import starts_server
from ollamactl.host.systemd import Manager
from ollamactl.observed import Active, UnitState

_PROPERTIES = {
    "Unit": {
        "FragmentPath": "s", "DropInPaths": "as", "UnitFileState": "s", "WantedBy": "as", "RequiredBy": "as",
        "StartLimitIntervalUSec": "t", "StartLimitBurst": "u", "ActiveEnterTimestamp": "t",
    },
    "Service": {
        "Type": "s", "ExecStart": "a(sasbttttuii)", "ExecStartPre": "a(sasbttttuii)", "User": "s", "Group": "s",
        "SupplementaryGroups": "as", "DynamicUser": "b", "Restart": "s", "RestartUSec": "t", "KillMode": "s",
        "NoNewPrivileges": "b", "PrivateDevices": "b", "PrivateNetwork": "b", "PrivateTmp": "b", "ProtectHome": "s",
        "DevicePolicy": "s", "DeviceAllow": "a(ss)", "BindPaths": "a(ssbt)", "BindReadOnlyPaths": "a(ssbt)",
        "IPAddressDeny": "a(iayu)", "Environment": "as", "EnvironmentFiles": "a(sb)", "UnsetEnvironment": "as",
        "Result": "s", "ExecMainStatus": "i",
    },
}  # fmt: skip
_NAMES = {name: (interface, kind) for interface, names in _PROPERTIES.items() for name, kind in names.items()}
_MANAGER = "/org/freedesktop/systemd1"
_LINES = 5
"""Of the journal of a server that is not well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Units:
    """What was found."""

    servers: tuple[Server, ...]
    """Those that run, have failed, or are started at boot."""
    masked: tuple[Masked, ...]
    """Of Ollama's name."""
    broken: tuple[Broken, ...]
    """Of Ollama's name."""


def read(manager: Manager) -> Units:
    """Every unit that matters. Raises HostError where the manager does not answer."""
    files = manager.unit_files(["ollama*.service"])
    names = {Path(path).name: state for path, state in files.items() if not path.endswith("@.service")}
    loaded = {state.name for state in manager.names(["*.service"]) if state.load_state != "not-found"}
    masked = {name for name, state in names.items() if state.startswith("masked")}
    servers: dict[str, Server] = {}
    broken: list[Broken] = []
    sockets = listeners.read()
    base = manager.details(_MANAGER, {"Environment": ("Manager", "as")})["Environment"] or ()
    for name in sorted((loaded | names.keys()) - masked):
        try:
            serves = _serves(manager, name)
            if not serves and name not in names:
                continue
            state = _state(manager, name)
            if state.load_state != "loaded":
                broken += _broken(manager, state)
            elif serves and state.name not in servers:
                told = manager.details(state.path, _NAMES)
                state = replace(state, need_reload=state.need_reload or _unread(manager, state.name, told))
                if _matters(state, told):
                    servers[state.name] = _server(manager, state, told, base, sockets)
        except HostError:
            continue  # it was unloaded between the list and the question
    folders = {Path(path).name: f"{path}.d" for path in files}
    return Units(
        servers=tuple(servers.values()),
        masked=tuple(_masked(manager, name, folders[name]) for name in sorted(masked)),
        broken=tuple(broken),
    )


def _state(manager: Manager, name: str) -> UnitState:
    """One unit by its name, read from its files where it was not loaded, as `systemctl show` does."""
    path = manager.object_path(name)
    words = {"Id": "s", "LoadState": "s", "ActiveState": "s", "SubState": "s", "NeedDaemonReload": "b"}
    told = manager.details(path, {word: ("Unit", kind) for word, kind in words.items()})
    counts = manager.details(path, {"MainPID": ("Service", "u"), "NRestarts": ("Service", "u")})
    return UnitState(
        name=told["Id"],
        load_state=told["LoadState"],
        active=Active(told["ActiveState"]),
        sub_state=told["SubState"],
        path=path,
        main_pid=counts["MainPID"],
        restarts=counts["NRestarts"],
        need_reload=told["NeedDaemonReload"],
    )


def _broken(manager: Manager, state: UnitState) -> list[Broken]:
    """A unit whose files systemd refuses; what it starts is not known."""
    if state.load_state in ("not-found", "masked"):
        return []
    told = manager.details(state.path, {"LoadError": ("Unit", "(ss)"), "FragmentPath": ("Unit", "s")})
    words = ": ".join(filter(None, told["LoadError"] or ())) or f"LoadState={state.load_state}"
    lines = journal.tail(state.name, lines=_LINES, user=manager.user)
    return [Broken(unit=state.name, evidence=(words, *lines), file=told["FragmentPath"])]


def _serves(manager: Manager, name: str) -> bool:
    path = manager.object_path(name)
    commands = manager.details(path, {"ExecStart": ("Service", "a(sasbttttuii)")})["ExecStart"] or []
    return any(starts_server(command[1]) for command in commands)


def _matters(state: UnitState, told: Mapping[str, Any]) -> bool:
    """One that is neither up nor failed, and that nothing starts, harms nobody."""
    return state.active is not Active.INACTIVE or _enabled(told)


def _enabled(told: Mapping[str, Any]) -> bool:
    return told["UnitFileState"].startswith("enabled") or bool(told["WantedBy"] or told["RequiredBy"])


def _unread(manager: Manager, unit: str, told: Mapping[str, Any]) -> bool:
    """Whether drop-ins came or went: NeedDaemonReload may look into folders as they were (unit_need_daemon_reload)."""
    known = told["DropInPaths"] or ()
    there = overrides.on_disk(manager.unit_path(), unit)
    return any(path not in known for path in there) or any(map(_gone, known))


def _gone(path: str) -> bool:
    try:
        os.stat(path)  # noqa: PTH116
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False


def _masked(manager: Manager, name: str, folder: str) -> Masked:
    try:
        told = manager.details(manager.object_path(name), {"WantedBy": ("Unit", "as"), "RequiredBy": ("Unit", "as")})
    except HostError:
        told = {}
    return Masked(unit=name, wanted=any(told.values()) or Path(folder).is_dir())


def _server(
    manager: Manager,
    state: UnitState,
    told: Mapping[str, Any],
    base: Sequence[str],
    sockets: Sequence[listeners.Listener],
) -> Server:
    settings = _settings(told)
    files = tuple(_environment_files(told["EnvironmentFiles"] or ()))
    texts = {path: envfiles.text(path) or "" for path in settings.files}
    environment = environ.assemble(base, told["Environment"] or (), texts, files, told["UnsetEnvironment"] or ())
    process = _process(state, settings, sockets)
    if settings.wrapped:
        environment = replace(environment, complete=False)  # a script may set what it likes
    return Server(
        state=state,
        settings=settings,
        environment=environment,
        environment_files=files,
        texts=texts,
        process=process,
        result=told["Result"],
        status=told["ExecMainStatus"],
        seconds=time.time() - told["ActiveEnterTimestamp"] / 1e6 if state.active is Active.ACTIVE else None,
        journal=_journal(state, manager),
        ours=any(word.startswith("OLLAMACTL_CONFIG=") for word in told["Environment"] or ()),
        user_manager=manager.user,
    )


def _settings(told: Mapping[str, Any]) -> Settings:
    commands = [(path, *argv[1:]) for path, argv, *_ in told["ExecStart"] or ()]
    binds = [*(told["BindPaths"] or ()), *(told["BindReadOnlyPaths"] or ())]
    return Settings(
        files=tuple(filter(None, [told["FragmentPath"], *(told["DropInPaths"] or ())])),
        enabled=_enabled(told),
        type=told["Type"],
        argv=tuple(next((argv for argv in commands if starts_server(argv)), ())),
        before=tuple(" ".join(command[1]) for command in told["ExecStartPre"] or ()),
        user=told["User"],
        dynamic_user=told["DynamicUser"],
        groups=tuple(filter(None, [told["Group"], *(told["SupplementaryGroups"] or ())])),
        restart=told["Restart"],
        restart_delay=told["RestartUSec"] / 1e6,
        limit_interval=told["StartLimitIntervalUSec"] / 1e6,
        limit_burst=told["StartLimitBurst"],
        kill_mode=told["KillMode"],
        no_new_privileges=told["NoNewPrivileges"],
        private_devices=told["PrivateDevices"],
        private_network=told["PrivateNetwork"],
        private_tmp=told["PrivateTmp"],
        protect_home=told["ProtectHome"],
        device_policy=told["DevicePolicy"],
        devices=tuple(device for device, _ in told["DeviceAllow"] or ()),
        binds=tuple(path for source, target, *_ in binds for path in (source, target)),
        fenced=any(bits == 0 for *_, bits in told["IPAddressDeny"] or ()),
    )


def _environment_files(rows: Sequence[tuple[str, bool]]) -> Iterator[EnvironmentFile]:
    """The manager tells the words of the unit, which may be patterns."""
    for pattern, optional in rows:
        for path in envfiles.files(pattern) or (pattern,):
            text = envfiles.text(path)
            missing = text is None and not os.path.lexists(path) and os.access(os.path.dirname(path), os.X_OK)  # noqa: PTH120
            yield EnvironmentFile(path=path, optional=optional, text=text, missing=missing)


def _process(state: UnitState, settings: Settings, sockets: Sequence[listeners.Listener]) -> Process:
    """Of one that crashes again and again it may be gone, or systemd's own that is about to run the program."""
    pid = state.main_pid
    if not pid:
        return Process()
    if not os.path.lexists(f"/proc/{pid}") or (processes.describe(pid).exe or "").rpartition("/")[2].startswith(
        "systemd"
    ):
        return Process(listens=())
    binary = settings.argv[0] if settings.argv else ""
    held = processes.sockets(pid)
    if settings.private_network:
        sockets = listeners.read(Path(f"/proc/{pid}"))
    listens = [(each.address, each.port) for each in sockets if each.inode in held]
    may_look = os.access(f"/proc/{pid}/fd", os.R_OK | os.X_OK)
    return Process(
        same_binary=processes.same_binary(pid, binary) if os.path.isabs(binary) else None,  # noqa: PTH117
        environment=processes.variables(pid),
        listens=tuple(listens) if may_look else None,
    )


def _journal(state: UnitState, manager: Manager) -> tuple[str, ...]:
    if state.active is Active.FAILED or state.crash_looping or state.restarts:
        return journal.tail(state.name, lines=_LINES, user=manager.user)
    return ()
