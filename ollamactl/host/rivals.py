"""Other units that are set to listen where a server of ours should: those that run Ollama, and sockets.

Whichever starts first at the next boot wins, so it does not matter whether they run now.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ollamactl.errors import HostError
from ollamactl.host import accounts, envfiles
from ollamactl.host.systemd import Manager
from ollamactl.model import GATE_SERVICE, instance_name, socket_instance
from ollamactl.observed import UP, Rival
from ollamactl.units import envfile
from ollamactl.units.envconfig import listen_address

_SHELL = re.compile(r"(^|[\s/;&|])ollama\s+(serve|start)\b")
_STOCK = "ollama.service"
_UNIT = {
    "LoadState": ("Unit", "s"),
    "ActiveState": ("Unit", "s"),
    # What pulls it in; UnitFileState says it of the files, and costs some milliseconds
    "WantedBy": ("Unit", "as"),
    "RequiredBy": ("Unit", "as"),
}
_COMMANDS = {"ExecStart": ("Service", "a(sasbttttuii)")}
_FILES = {"EnvironmentFiles": ("Service", "a(sb)")}
_USER = {"User": ("Service", "s")}
_LISTEN = {"Listen": ("Socket", "a(ss)")}
_Addresses = Sequence[tuple[str, int]]


def read(manager: Manager) -> tuple[Rival, ...]:
    """Units with a TCP address in their configuration: sockets that are loaded, and services of Ollama's name."""
    there = [state.name for state in manager.names(["*ollama*.service", "*.socket"])]
    # The manager lists files, too, but looks up for each what enables it: 7 ms against a quarter
    names = dict.fromkeys([*there, *_service_files(manager.unit_path())])
    return tuple(rival for name in names if not _is_ours(name) for rival in _rivals(manager, name))


def is_server(argv: Sequence[str]) -> bool:
    """Whether a command is an Ollama server."""
    program = os.path.basename(argv[0]) if argv else ""  # noqa: PTH119 - of a word, which may be no path
    ours = program.startswith("ollamactl")  # which has a command `start` too
    return program.startswith("ollama") and not ours and bool({"serve", "start"} & {*argv[1:]})


def starts_server(argv: Sequence[str]) -> bool:
    """The same, or whether it is a shell that runs one."""
    return is_server(argv) or any(_SHELL.search(word) for word in argv[1:])


def _service_files(folders: Iterable[str]) -> Iterator[str]:
    for folder in folders:
        try:
            with os.scandir(folder) as entries:
                yield from (each.name for each in entries if "ollama" in each.name and each.name.endswith(".service"))
        except OSError:
            continue


def _is_ours(name: str) -> bool:
    """An instance's, the gate's, or no unit but the pattern of some."""
    gate = name == GATE_SERVICE or socket_instance(name)
    return bool(gate or instance_name(name)) or name.endswith("@.service")


def _rivals(manager: Manager, name: str) -> Iterator[Rival]:
    path = manager.object_path(name)
    try:
        addresses, stores = _listens(manager, path) if name.endswith(".socket") else _serves(manager, path)
        told = manager.details(path, _UNIT) if addresses else {}
    except HostError:
        return  # it was unloaded between the list and the question
    if told.get("LoadState") == "loaded":
        for host, port in addresses:
            yield Rival(
                unit=name,
                host=host,
                port=port,
                enabled=bool(told["WantedBy"] or told["RequiredBy"]),
                up=told["ActiveState"] in UP,
                stores=stores,
            )


def _serves(manager: Manager, path: str) -> tuple[_Addresses, tuple[str, ...]]:
    """Where a service's Ollama listens, and its store: what the last of its files says, or the unit."""
    commands = [command[1] for command in manager.details(path, _COMMANDS)["ExecStart"] or ()]
    # One that only talks to a server has the same variable
    if not any(map(starts_server, commands)) and path != manager.object_path(_STOCK):
        return (), ()
    variables = manager.environment(path)
    for pattern, _ in manager.details(path, _FILES)["EnvironmentFiles"] or ():
        for file in envfiles.files(pattern):
            variables |= envfile.parse(envfiles.text(file) or "")
    return [listen_address(variables.get("OLLAMA_HOST", ""))], _stores(manager, path, variables)


def _stores(manager: Manager, path: str, variables: Mapping[str, str]) -> tuple[str, ...]:
    """The folder of its models: what OLLAMA_MODELS says, or below its home."""
    if not (store := variables.get("OLLAMA_MODELS", "").strip(" \"'")):
        user = manager.details(path, _USER)["User"]
        account = accounts.account(user or str(os.getuid() if manager.user else 0))
        home = variables.get("HOME") or (account.home if account else "")
        store = f"{home}/.ollama/models" if home else ""
    return tuple(dict.fromkeys((store, os.path.realpath(store)))) if store else ()


def _listens(manager: Manager, path: str) -> tuple[_Addresses, tuple[str, ...]]:
    listens = manager.details(path, _LISTEN)["Listen"] or []
    return [found for kind, text in listens if kind == "Stream" and (found := _stream(text))], ()


def _stream(text: str) -> tuple[str, int] | None:
    """`[::]:11434` or `127.0.0.1:11434` of a socket unit; None for a path."""
    host, colon, port = text.rpartition(":")
    return (host.strip("[]"), int(port)) if colon and port.isdigit() else None
