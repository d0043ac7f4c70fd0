"""Which Ollama is on the host already: programs, model stores, its own service, where users and installers put them.

Ollama's install.sh makes the user `ollama` with the home /usr/share/ollama, and ollama.service for that user.
"""

# ruff: noqa: PTH110, PTH116, PTH117
import os
import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from ollamactl.host import accounts
from ollamactl.model import Fleet

SERVICE = "ollama.service"
_HOST = Path("/")
_PROGRAMS = ("/usr/local/bin/ollama", "/usr/bin/ollama", "/bin/ollama")
_SERVICES_STORE = "/usr/share/ollama/.ollama/models"
_UNIT_FOLDERS = ("etc/systemd/system", "run/systemd/system", "usr/local/lib/systemd/system", "usr/lib/systemd/system")
_SETS_STORE = re.compile(r"^[ \t]*Environment=.*?\bOLLAMA_MODELS=([^\"'\s]+)", re.MULTILINE)


def programs(root: Path = _HOST) -> tuple[str, ...]:
    """Programs called ollama, the usual place first, as a spec for that root names them."""
    on_path = shutil.which("ollama") if root == _HOST else None
    found = (os.path.abspath(path) for path in (*_PROGRAMS, on_path) if path)  # noqa: PTH100
    return _once(root, (path for path in found if os.access(_below(root, path), os.X_OK)))


def stores(root: Path = _HOST) -> tuple[str, ...]:
    """Folders that are model stores, the usual one first, as a spec for that root names them."""
    return _once(root, (path for path in _candidates(root) if _is_store(_below(root, path))))


def closed(root: Path = _HOST) -> tuple[str, ...]:
    """Where a store may be, but the caller may not look."""
    return tuple(path for path in dict.fromkeys(_candidates(root)) if _is_store(_below(root, path)) is None)


def service(root: Path = _HOST) -> bool:
    """Whether Ollama's own service runs, or is started at boot."""
    units = [f"{root}/{folder}/{SERVICE}" for folder in _UNIT_FOLDERS]
    if not any(os.path.exists(path) and os.path.realpath(path) != "/dev/null" for path in units):
        return False
    enabled = any(os.path.lexists(path) for path in (root / "etc/systemd/system").glob(f"*.wants/{SERVICE}"))
    return enabled or os.path.exists(f"{root}/sys/fs/cgroup/system.slice/{SERVICE}")


def _candidates(root: Path) -> Iterator[str]:
    if root == _HOST:
        yield from filter(os.path.isabs, [os.environ.get("OLLAMA_MODELS", "").rstrip("/")])
    yield Fleet().models_dir
    yield from _of_service(root)
    yield _SERVICES_STORE
    homes: tuple[str, ...] = ("/root",)
    if root == _HOST:
        homes = (accounts.home(os.environ.get("SUDO_USER", "")), os.environ.get("HOME", ""))
    yield from (f"{home}/.ollama/models" for home in homes if os.path.isabs(home))


def _of_service(root: Path) -> Iterator[str]:
    """The store that the service's unit file or its drop-ins (`systemctl edit ollama`) set."""
    for folder in _UNIT_FOLDERS:
        for path in ((root / folder / SERVICE), *sorted((root / folder).glob(f"{SERVICE}.d/*.conf"))):
            try:
                text = path.read_text("utf-8", "replace")
            except OSError:
                continue
            yield from (path for path in _SETS_STORE.findall(text) if os.path.isabs(path))


def _is_store(path: str) -> bool | None:
    """Whether it holds manifests and blobs; None where the caller may not look."""
    try:
        return all(stat.S_ISDIR(os.stat(f"{path}/{name}").st_mode) for name in ("manifests", "blobs"))
    except PermissionError:
        return None
    except OSError:
        return False


def _below(root: Path, path: str) -> str:
    return path if root == _HOST else f"{root}{path}"


def _once(root: Path, paths: Iterator[str]) -> tuple[str, ...]:
    """Without a second way to the same place."""
    found: dict[str, str] = {}
    for path in paths:
        found.setdefault(os.path.realpath(_below(root, path)), path)
    return tuple(found.values())
