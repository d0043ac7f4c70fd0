"""The folders that servers need, with who may use them, and the model stores of the host with what lies in them."""

# ruff: noqa: PTH116
import errno
import os
import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePath

from ollamactl.doctor.host import Store
from ollamactl.doctor.server import Node, Place, Server
from ollamactl.errors import HostError, NotPermitted, Problem
from ollamactl.facts import Manifest
from ollamactl.host import accounts, discover, store, storecheck

_STALE = 3600.0
"""Seconds after which nobody goes on with a download; Ollama waits as long before it prunes (layerPruneGracePeriod)."""


def with_places(server: Server) -> Server:
    """With the folders of its keys and its models (os.UserHomeDir; envconfig.Models), and what its program has."""
    given = server.environment.get("OLLAMA_MODELS")
    models = given or (f"{server.home}/.ollama/models" if server.home else "")
    known = given or (server.environment.complete and models)
    binary = server.settings.binary
    return replace(
        server,
        keys=place(f"{server.home}/.ollama") if server.home else None,
        models=place(models) if known and os.path.isabs(models) else None,  # noqa: PTH117 - a word of the unit's
        program_lacks=_lacks(binary) if binary else "",
        libraries=tuple(_libraries(binary)) if binary else (),
    )


def place(path: str) -> Place:
    """A folder as far as it exists; where the caller may not look, no way to it is known."""
    real = os.path.realpath(path)
    way = []
    for step in (*map(str, reversed(PurePath(real).parents)), real):
        try:
            found = _node(step)
        except FileNotFoundError:
            break
        except OSError:
            return Place(path=real)
        way.append(found)
    return Place(path=real, way=tuple(way))


def node(path: str) -> Node | None:
    """A device, file or folder; None where there is none, or where the caller may not look."""
    try:
        return _node(path)
    except OSError:
        return None


def _node(path: str) -> Node:
    about = os.stat(path)
    try:
        acl = bool(os.getxattr(path, "system.posix_acl_access"))
    except OSError:
        acl = False
    return Node(
        path=path,
        uid=about.st_uid,
        gid=about.st_gid,
        mode=stat.S_IMODE(about.st_mode),
        group=accounts.group(about.st_gid),
        acl=acl,
    )


def _lacks(binary: str) -> str:
    try:
        about = os.stat(binary)
    except FileNotFoundError:
        return "is not there"
    except OSError:
        return ""
    return "" if stat.S_ISREG(about.st_mode) and about.st_mode & 0o111 else "can't be executed"


def _libraries(binary: str) -> Iterator[str]:
    """Folders that hold a library to compute with (ml/path.go, discover/runner.go)."""
    folder = Path(os.path.realpath(binary)).parent
    root = next((path for path in (folder.parent / "lib/ollama", folder / "lib/ollama") if path.is_dir()), folder)
    try:
        yield from sorted({path.parent.name for path in root.glob("*/*ggml-*")})
    except OSError:
        return


def stores(servers: Sequence[Server]) -> tuple[tuple[Store, ...], tuple[str, ...]]:
    """The stores of the servers, and where users and installers put some; and those that may not be looked into."""
    paths = [*(server.store for server in servers if server.store), *map(os.path.realpath, discover.stores())]
    found, closed = [], [*discover.closed()]
    for path in dict.fromkeys(paths):
        try:
            found.append(_store(path))
        except (NotPermitted, HostError):
            closed.append(path)
    return tuple(found), tuple(dict.fromkeys(closed))


def _store(path: str) -> Store:
    manifests = store.read(Path(path))
    partial = [size for age, size in _partial(f"{path}/blobs") if age > _STALE]
    return Store(
        path=path,
        models={name: manifest.digest for name, manifest in manifests.items()},
        partial=len(partial),
        partial_size=sum(partial),
        damage=tuple(_damage(path, tuple(manifests.values()))),
    )


def _damage(path: str, manifests: Sequence[Manifest]) -> Iterator[Problem]:
    told: list[str] = []
    for manifest in manifests:
        yield from storecheck.damage(path, manifest, told)


def _partial(folder: str) -> Iterator[tuple[float, int]]:
    """Age in seconds and bytes on disk of each part of a download (server/download.go)."""
    now = time.time()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if "-partial" in entry.name:
                    about = entry.stat(follow_symlinks=False)
                    yield now - about.st_mtime, about.st_blocks * 512
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM):
            raise NotPermitted(f"may not look into {folder}") from error
