"""The links that start a unit of somebody else's: found, taken away, and put back as they were (systemd.unit(5))."""

# ruff: noqa: PTH108, PTH114, PTH115, PTH120, PTH211
import os
from collections.abc import Mapping

from ollamactl.errors import HostError
from ollamactl.host import atomic
from ollamactl.host.oserrors import translate

_KINDS = (".wants", ".requires", ".upholds")


def find(unit_dir: str, unit: str) -> Mapping[str, str]:
    """Path -> target of each in the administrator's folder; those of packages cannot be taken away there.

    Aliases stay: they start nothing. `systemctl disable` would remove them, and also what [Install] names in Also=.
    """
    found = {}
    try:
        folders = sorted(entry.path for entry in os.scandir(unit_dir) if entry.name.endswith(_KINDS))
    except OSError:
        return {}
    for folder in folders:
        path = f"{folder}/{unit}"
        if os.path.islink(path):
            found[path] = os.readlink(path)
    return found


def check(unit_dir: str, links: Mapping[str, str]) -> None:
    """Raises HostError for a path at which no such link can be: what a damaged history says is not done."""
    for path in links:
        folder, name = os.path.split(path)
        if os.path.dirname(folder) != unit_dir or not folder.endswith(_KINDS) or name in ("", ".", ".."):
            raise HostError(
                f"{path} is no place for a link that starts a unit", hint="see what is recorded: ollamactl history"
            )


def remove(links: Mapping[str, str]) -> None:
    """Takes them away; who has changed one since keeps it. Raises NotPermitted or HostError."""
    for path, target in links.items():
        try:
            if os.path.islink(path) and os.readlink(path) == target:
                os.unlink(path)
        except OSError as error:
            raise translate(error, "remove", path) from error


def restore(links: Mapping[str, str]) -> None:
    """Puts them back; whatever is there by now stays. Raises NotPermitted or HostError."""
    for path, target in links.items():
        try:
            atomic.make_folders(os.path.dirname(path))
            if not os.path.lexists(path):
                os.symlink(target, path)
        except OSError as error:
            raise translate(error, "make", path) from error
