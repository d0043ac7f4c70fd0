"""Other units that are set to listen where a server of ours should: Ollama's own service, and sockets."""

from collections.abc import Iterable, Iterator

from ollamactl.errors import HostError
from ollamactl.host.systemd import Manager
from ollamactl.observed import Rival
from ollamactl.units.envconfig import listen_address

_STOCK = "ollama.service"


def read(manager: Manager) -> tuple[Rival, ...]:
    """Loaded units with a TCP address in their configuration, whether they run now or only at the next boot."""
    return tuple(_read(manager))


def _read(manager: Manager) -> Iterator[Rival]:
    for state in manager.units([_STOCK, "*.socket"], restarts=False):
        if state.load_state != "loaded":
            continue
        try:
            addresses = [*_addresses(manager, state.name, state.path)]
            enabled = addresses and manager.details(state.path, {"UnitFileState": ("Unit", "s")})["UnitFileState"]
        except HostError:
            # It was unloaded between the list and the question.
            continue
        for host, port in addresses:
            yield Rival(unit=state.name, host=host, port=port, enabled=enabled in ("enabled", "enabled-runtime"))


def _addresses(manager: Manager, unit: str, path: str) -> Iterable[tuple[str, int]]:
    if unit == _STOCK:
        return [listen_address(manager.environment(path).get("OLLAMA_HOST", ""))]
    listens = manager.details(path, {"Listen": ("Socket", "a(ss)")})["Listen"] or []
    return [found for kind, text in listens if kind == "Stream" and (found := _stream(text))]


def _stream(text: str) -> tuple[str, int] | None:
    """`[::]:11434` or `127.0.0.1:11434` of a socket unit; None for a path."""
    host, colon, port = text.rpartition(":")
    return (host.strip("[]"), int(port)) if colon and port.isdigit() else None
