"""The model store: `manifests/HOST/NAMESPACE/MODEL/TAG`, one JSON file a model, and `blobs/sha256-HEX` that they name.

The source is manifest/paths.go in Ollama; what a manifest says: `manifest`.
"""

# ruff: noqa: PTH115
import errno
import os
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from ollamactl import manifest
from ollamactl.errors import HostError
from ollamactl.facts import Manifest
from ollamactl.host import reach
from ollamactl.host.oserrors import translate
from ollamactl.modelname import ModelName

if TYPE_CHECKING:
    from ollamactl.errors import Problem
    from ollamactl.spec.declared import Declared

_MAX_MANIFEST = 1 << 20
"""Bytes; real ones have some hundred. What is larger is no manifest, and is not copied into a unit's view."""


def read(models_dir: Path, *, wanted: Collection[ModelName] | None = None) -> Mapping[str, Manifest]:
    """The models of a store by the name that Ollama lists; with `wanted` only these are looked for.

    A model that is not there is left out, as is a file that is no manifest by its place, or that a link leads to
    outside the store. Raises NotPermitted or HostError where the store is there and can't be read.
    """
    base = os.path.realpath(models_dir)
    inside = dict(_trusted(os.path.abspath(models_dir)))  # noqa: PTH100
    paths = [name.manifest_path for name in wanted] if wanted is not None else _list(f"{base}/manifests")
    found = {}
    for path in sorted(set(paths)):
        model = manifest.listed_as(path)
        if model and (data := _read(f"{base}/manifests/{path}", inside)) is not None:
            found[model] = Manifest(model=model, path=path, data=data, digest=manifest.digest(data))
    return found


def _trusted(base: str) -> Iterator[tuple[str, int]]:
    """The folders that may hold manifests, with their owners: the store's own, and where its links lead.

    Root reads for users who see nothing but the copy: it goes by no link to what the link's maker may not read.
    """
    for folder in (base, f"{base}/manifests", f"{base}/blobs"):
        with suppress(OSError):
            real, owner, strayed = reach.led(folder)
            if os.geteuid() or not strayed:
                yield f"{real}/", owner


def problems(
    models_dir: Path,
    manifests: Mapping[str, Manifest],
    wanted: "Declared",
    *,
    root: Path = Path("/"),
    others: bool = True,
    kept: Mapping[str, Manifest] = MappingProxyType({}),
    pulling: bool = False,
) -> "tuple[Problem, ...]":
    """What keeps the wanted models from being served: see storecheck."""
    from ollamactl.host import storecheck

    def present() -> list[str]:
        return sorted(read(models_dir))

    found = storecheck.find(
        models_dir, manifests, wanted, root=root, others=others, present=present, kept=kept, pulling=pulling
    )
    return tuple(found)


def _list(manifests: str) -> Iterator[str]:
    """Paths below `manifests` that are four levels deep."""
    for host in _names(manifests):
        for namespace in _names(f"{manifests}/{host}"):
            for model in _names(f"{manifests}/{host}/{namespace}"):
                for tag in _names(f"{manifests}/{host}/{namespace}/{model}"):
                    yield f"{host}/{namespace}/{model}/{tag}"


def _names(folder: str) -> Iterable[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries]
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        raise translate(error, "list models", folder) from error


def _read(path: str, inside: Mapping[str, int]) -> bytes | None:
    """The file's bytes; None where there is none, or where it is none of the store's. `inside` are folders' owners."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENXIO, errno.ELOOP, errno.ENAMETOOLONG):
            return None
        raise translate(error, "read the model's manifest", path) from error
    try:
        # Asked of the open file: whoever may write to the store can't change the answer, and so can't have root copy
        # a file of somebody else's into a unit's view.
        real, about = os.readlink(f"/proc/self/fd/{fd}"), os.fstat(fd)
        owner = next((owner for folder, owner in inside.items() if real.startswith(folder)), None)
        if owner is None or not stat.S_ISREG(about.st_mode) or about.st_size > _MAX_MANIFEST:
            return None
        if not os.geteuid() and about.st_uid != owner and not about.st_mode & stat.S_IROTH:
            # The copy will be everybody's to read. Who owns the folder may have moved the file there.
            raise HostError(f"{path}: only its owner may read this manifest", hint=f"`sudo chmod o+r {path}`")
        return os.read(fd, _MAX_MANIFEST)
    except OSError as error:
        raise translate(error, "read the model's manifest", path) from error
    finally:
        os.close(fd)
