"""A store's folders, held open: what is in them, and removing some of it, by no link that its owner could have made.

Root goes through folders that belong to somebody else. Each is opened below the one before it, never through a link,
and names are removed where they were seen.
"""

import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace

from ollamactl import manifest
from ollamactl.host.oserrors import translate
from ollamactl.pruning.choice import Contents, Entry, Lying
from ollamactl.pulling import folders, staging

_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_BLOB = re.compile(r"sha256-[0-9a-fA-F]{64}")
_PART = re.compile(r"sha256-[0-9a-fA-F]{64}-partial(-[0-9]+)?")
_STAGING = (staging.NAME, "models", "blobs")
"""Where ollamactl's own pulls put what is not whole yet, beside the blobs or below them."""
_MAX_MANIFEST = 1 << 20
_DEPTH = 4


class Folder:
    """A store; make it with `opened`."""

    def __init__(self, path: str, manifests: int, blobs: int, staged: int | None) -> None:
        self.path = path
        self._manifests, self._blobs, self._staged = manifests, blobs, staged

    def contents(self) -> Contents:
        """All that is in it. Raises HostError or NotPermitted."""
        try:
            return Contents(
                manifests=tuple(sorted(self._entries(self._manifests, ""), key=lambda each: each.path)),
                files=tuple(sorted(self._files(), key=lambda each: each.name)),
            )
        except OSError as error:
            raise translate(error, "look into the model store", self.path) from error

    def _entries(self, at: int, above: str) -> Iterator[Entry]:
        for name in os.listdir(at):
            path = f"{above}{name}"
            mode = os.stat(name, dir_fd=at, follow_symlinks=False).st_mode
            if path.count("/") + 1 == _DEPTH:
                if not stat.S_ISDIR(mode):  # which Ollama passes by
                    yield self._entry(name, at, path, mode)
            elif stat.S_ISDIR(mode):
                with folders.held(name, at) as fd:
                    yield from self._entries(fd, f"{path}/")
            elif stat.S_ISLNK(mode):
                # Ollama goes by it, and so finds models of which we know nothing
                yield Entry(path=f"{path}/{'/'.join('x' * (_DEPTH - path.count('/') - 1))}", strange="a link")

    def _entry(self, name: str, at: int, path: str, mode: int) -> Entry:
        if not stat.S_ISREG(mode):
            return Entry(path=path, strange="a link" if stat.S_ISLNK(mode) else "no file")
        data = _read(name, at)
        if len(data) > _MAX_MANIFEST or manifest.layers(data) is None:
            return Entry(path=path, strange="damaged")
        return Entry(path=path, data=data)

    def _files(self) -> Iterator[Lying]:
        yield from _lying(self._blobs)
        for file in _lying(self._staged) if self._staged is not None else ():
            # Of a pull that did not end, whole or not: no model refers to it there
            yield replace(file, name=f"{_STAGING[0]}/{file.name}", part=True)

    def remove_model(self, entry: Entry) -> bool:
        """Removes a manifest that is still what it was, and folders that it leaves empty. Raises HostError."""
        *parents, tag = entry.path.split("/")
        try:
            with ExitStack() as held:
                at = [self._manifests]
                for name in parents:
                    at.append(held.enter_context(folders.held(name, at[-1])))
                if _read(tag, at[-1]) != entry.data:
                    return False
                os.unlink(tag, dir_fd=at[-1])
                with suppress(OSError):  # not empty
                    for folder, name in zip(reversed(at[:-1]), reversed(parents), strict=True):
                        os.rmdir(name, dir_fd=folder)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise translate(error, f"remove {entry.model} from", self.path) from error
        return True

    def remove_file(self, file: Lying) -> bool:
        """Removes a blob or a part of one. Raises HostError."""
        folder, _, name = file.name.rpartition("/")
        try:
            os.unlink(name, dir_fd=self._staged if folder else self._blobs)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise translate(error, f"remove {file.name} from", self.path) from error
        return True


@contextmanager
def opened(models_dir: str) -> Iterator[Folder]:
    """The folder of a store. Raises HostError where there is none, or where a link leads to it that its owner made."""
    places = [f"{models_dir}/manifests", f"{models_dir}/blobs"]
    try:
        real = [folders.place(place) for place in places]
        with ExitStack() as held:
            manifests, blobs = (held.enter_context(folders.walked(place)) for place in real)
            yield Folder(models_dir, manifests, blobs, _staged(held, real[1], blobs))
    except OSError as error:
        raise translate(error, "look into the model store", models_dir) from error


def _staged(held: ExitStack, path: str, blobs: int) -> int | None:
    """Where unfinished pulls lie; None where there are none, or where somebody else has made that folder."""
    beside = held.enter_context(folders.walked(path.rpartition("/")[0]))
    for at in (beside, blobs):
        with suppress(OSError):
            for number, name in enumerate(_STAGING):
                at = held.enter_context(folders.held(name, at))  # noqa: PLW2901
                if not number and os.fstat(at).st_uid != os.geteuid():
                    break
            else:
                return at
    return None


def _lying(at: int) -> Iterator[Lying]:
    now = time.time()
    for name in os.listdir(at):
        part = _PART.fullmatch(name) is not None
        if not part and not _BLOB.fullmatch(name):
            continue
        with suppress(FileNotFoundError):
            about = os.stat(name, dir_fd=at, follow_symlinks=False)
            if stat.S_ISREG(about.st_mode):
                # What a copy brings keeps its old mtime
                age = now - max(about.st_mtime, about.st_ctime)
                yield Lying(name=name, size=about.st_blocks * 512 if part else about.st_size, age=age, part=part)


def _read(name: str, at: int) -> bytes:
    fd = os.open(name, _FILE, dir_fd=at)
    try:
        return os.read(fd, _MAX_MANIFEST + 1)
    finally:
        os.close(fd)
