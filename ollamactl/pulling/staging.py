"""The folder beside the store into which models are pulled, and the way from there into the store.

The server that pulls has a store of its own in it, in which each blob of the real one is a link. So it sees what need
not be fetched again, can change nothing, and what it leaves unfinished is nowhere a model. A model enters the store
when it is whole: its blobs by rename, then its manifest. Folders are held open, and nothing below them is reached by a
link: the store may belong to another user, who must not lead root anywhere.
"""

# ruff: noqa: PTH116, PTH120, PTH208
import hashlib
import os
import re
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from ollamactl import manifest
from ollamactl.errors import HostError
from ollamactl.host.atomic import make_folders
from ollamactl.host.oserrors import translate
from ollamactl.modelname import ModelName

NAME = ".ollamactl-pull"
_BLOB = re.compile(r"sha256-[0-9a-f]{64}")
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_MANIFEST = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A model that entered the store."""

    data: bytes
    """Its manifest."""
    size: int
    """Bytes of all its blobs."""


class Staging:
    """The folder, held open; make it with `opened`."""

    def __init__(self, path: str, seen: str, folders: Mapping[str, int], owner: tuple[int, int]) -> None:
        self.path = path
        """Of the folder that is the server's OLLAMA_MODELS."""
        self.beside = path.rpartition(f"/{NAME}/")[0]
        """The folder that it lies in."""
        self._seen, self._at, self._owner = seen, folders, owner

    def fill(self, damaged: Collection[str] = ()) -> None:
        """Links to every blob of the store, but for the `damaged` digests; what a former pull left is kept if sound."""
        with suppress(FileNotFoundError):
            _empty(self._at["manifests"])
        for name in os.listdir(self._at["blobs"]):
            about = os.stat(name, dir_fd=self._at["blobs"], follow_symlinks=False)
            if _BLOB.fullmatch(name) and stat.S_ISREG(about.st_mode) and self._sound(name):
                continue
            if "-partial" in name and stat.S_ISREG(about.st_mode):
                # Whatever user the server had then, the one that it has now goes on with it
                _open(name, self._at["blobs"], 0o666)
                continue
            os.unlink(name, dir_fd=self._at["blobs"])
        there = set(os.listdir(self._at["blobs"]))
        for name in os.listdir(self._at["store"]):
            if _BLOB.fullmatch(name) and name not in there and name.replace("-", ":", 1) not in damaged:
                os.symlink(f"{self._seen}/{name}", name, dir_fd=self._at["blobs"])

    def _sound(self, name: str) -> bool:
        """Whether a whole blob is what its name says: Ollama looks after it came, which may have been too late."""
        digest = hashlib.sha256()
        with os.fdopen(os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=self._at["blobs"]), "rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
        return digest.hexdigest() == name.removeprefix("sha256-")

    def written_down(self) -> frozenset[tuple[str, int]]:
        """How far the parts of unfinished blobs have come, as a value that changes when Ollama writes it down."""
        names = [name for name in os.listdir(self._at["blobs"]) if "-partial-" in name]
        found = set()
        for name in names:
            with suppress(FileNotFoundError):
                found.add((name, os.stat(name, dir_fd=self._at["blobs"], follow_symlinks=False).st_mtime_ns))
        return frozenset(found)

    def free(self) -> int:
        """Bytes that others than root may still write."""
        about = os.fstatvfs(self._at["blobs"])
        return about.f_bavail * about.f_frsize

    def put(self, name: ModelName, data: bytes) -> None:
        """Shows the server a model of the store, for another one to be made from it."""
        *folders, tag = name.manifest_path.split("/")
        with ExitStack() as held:
            at = self._at["manifests"]
            for folder in folders:
                at = held.enter_context(_made(folder, at, 0o777))
            _write(tag, at, data, 0o644, None)

    def manifest(self, name: ModelName) -> bytes:
        """What the server wrote for a model. Raises HostError where it did not."""
        try:
            with ExitStack() as held:
                *folders, tag = name.manifest_path.split("/")
                at = self._at["manifests"]
                for folder in folders:
                    at = held.enter_context(_held(folder, at))
                fd = os.open(tag, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=at)
                with os.fdopen(fd, "rb") as file:
                    return file.read(_MAX_MANIFEST)
        except OSError as error:
            raise HostError(f"{name.short}: the server that pulls left no manifest: {error.strerror}") from error

    def take(self, name: ModelName, data: bytes, layers: Iterable[tuple[str, int]]) -> Taken:
        """Moves a whole model into the store, its manifest last. Raises HostError with the store as before."""
        size = 0
        try:
            for digest, length in dict(layers).items():
                size += length
                self._take_blob(name, digest.replace(":", "-", 1), length)
            os.fsync(self._at["store"])
            with ExitStack() as held:
                at = self._at["names"]
                *folders, tag = name.manifest_path.split("/")
                for folder in folders:
                    at = held.enter_context(_made(folder, at, 0o755, self._owner))
                _write(tag, at, data, 0o644, self._owner)
        except OSError as error:
            raise translate(error, f"take in {name.short}", self.path) from error
        return Taken(data=data, size=size)

    def _take_blob(self, name: ModelName, blob: str, length: int) -> None:
        try:
            fd = os.open(blob, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self._at["blobs"])
        except OSError:
            about = os.stat(blob, dir_fd=self._at["store"])  # a link: the store has it
            fd = -1
        else:
            about = os.fstat(fd)
        try:
            if not stat.S_ISREG(about.st_mode) or about.st_size != length:
                raise HostError(f"{name.short}: {blob} has {about.st_size} bytes instead of {length}")
            if fd >= 0:
                _give(fd, self._owner)
                os.fchmod(fd, 0o644)
                os.fsync(fd)
                os.rename(blob, blob, src_dir_fd=self._at["blobs"], dst_dir_fd=self._at["store"])
        finally:
            if fd >= 0:
                os.close(fd)

    def tidy(self) -> None:
        """Leaves nothing but what a pull can go on from."""
        with suppress(OSError):
            _empty(self._at["manifests"])
            for name in os.listdir(self._at["blobs"]):
                if stat.S_ISLNK(os.stat(name, dir_fd=self._at["blobs"], follow_symlinks=False).st_mode):
                    os.unlink(name, dir_fd=self._at["blobs"])
            if not os.listdir(self._at["blobs"]):
                for name in ("blobs", "manifests"):
                    os.rmdir(name, dir_fd=self._at["models"])
                os.rmdir("models", dir_fd=self._at["own"])
                os.rmdir(NAME, dir_fd=self._at["top"])


@contextmanager
def opened(models_dir: str, *, seen: str) -> Iterator[Staging]:
    """The folder for a store, which is made where there is none; `seen` is where the server finds the store's blobs.

    Raises HostError, or NotPermitted.
    """
    try:
        for folder in (models_dir, f"{models_dir}/blobs", f"{models_dir}/manifests"):
            make_folders(os.path.realpath(folder))
        blobs = os.path.realpath(f"{models_dir}/blobs")
        # Where a rename takes a blob into the store: beside it, or in it where it is a mount of its own
        beside = os.path.dirname(blobs)
        place = beside if os.stat(beside).st_dev == os.stat(blobs).st_dev else blobs
        with ExitStack() as held:
            store, top = held.enter_context(_held(blobs)), held.enter_context(_held(place))
            own = held.enter_context(_made(NAME, top, 0o700, own=True))
            # Open to all, but behind a folder that only its owner may pass: whatever user the server has
            models = held.enter_context(_made("models", own, 0o777))
            folders = {
                "store": store,
                "names": held.enter_context(_held(os.path.realpath(f"{models_dir}/manifests"))),
                "top": top,
                "own": own,
                "models": models,
                "blobs": held.enter_context(_made("blobs", models, 0o777)),
                "manifests": held.enter_context(_made("manifests", models, 0o777)),
            }
            about = os.fstat(store)
            yield Staging(f"{place}/{NAME}/models", seen, folders, (about.st_uid, about.st_gid))
    except OSError as error:
        raise translate(error, "pull into it", models_dir) from error


def layers(data: bytes) -> tuple[tuple[str, int], ...]:
    """Digest and size of each blob that a manifest names. Raises HostError where it is none."""
    if not (found := manifest.layers(data)):
        raise HostError("what the registry sent is no manifest of a model")
    return tuple(found)


@contextmanager
def _held(name: str, at: int | None = None) -> Iterator[int]:
    fd = os.open(name, _FOLDER, dir_fd=at)
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def _made(name: str, at: int, mode: int, owner: tuple[int, int] | None = None, *, own: bool = False) -> Iterator[int]:
    """A folder below another, made where there is none; `own`: it must be ours, whoever may write to the other."""
    made = False
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=at)
        made = True
    with _held(name, at) as fd:
        if own and os.fstat(fd).st_uid != os.geteuid():
            raise HostError(f"{name}: somebody else made this folder in the store", hint="look at it, and remove it")
        if made or owner is None:
            os.fchmod(fd, mode)
        if made:
            _give(fd, owner)
        yield fd


def _give(fd: int, owner: tuple[int, int] | None) -> None:
    if owner and not os.geteuid():
        os.fchown(fd, *owner)


def _open(name: str, at: int, mode: int) -> None:
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=at)
    try:
        os.fchmod(fd, mode)
    finally:
        os.close(fd)


def _write(name: str, at: int, data: bytes, mode: int, owner: tuple[int, int] | None) -> None:
    """Puts a file in place in one step; it survives a power cut."""
    temporary = f".ollamactl-{os.getpid()}"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=at)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fchmod(fd, mode)
        _give(fd, owner)
        os.fsync(fd)
    os.rename(temporary, name, src_dir_fd=at, dst_dir_fd=at)
    os.fsync(at)


def _empty(at: int) -> None:
    """Removes all that is in a folder."""
    for name in os.listdir(at):
        if stat.S_ISDIR(os.stat(name, dir_fd=at, follow_symlinks=False).st_mode):
            with _held(name, at) as fd:
                _empty(fd)
            os.rmdir(name, dir_fd=at)
        else:
            os.unlink(name, dir_fd=at)
