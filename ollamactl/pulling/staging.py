"""The folder beside the store into which models are pulled, and the way from there into the store.

The server that pulls has a store of its own in it, in which each blob of the real one is a link. So it sees what need
not be fetched again, can change nothing, and what it leaves unfinished is nowhere a model. A model enters the store
when it is whole: its blobs by rename, then its manifest. Folders are held open, and nothing below them is reached by a
link: the store may belong to another user, who must not lead root anywhere.
"""

# ruff: noqa: PTH116, PTH120, PTH208
import os
import re
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ollamactl import manifest
from ollamactl.errors import HostError
from ollamactl.host.atomic import make_folders
from ollamactl.host.oserrors import translate
from ollamactl.modelname import ModelName
from ollamactl.pulling import folders

NAME = ".ollamactl-pull"
_BLOB = re.compile(r"sha256-[0-9a-f]{64}")
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

    def __init__(self, path: str, seen: str, at: Mapping[str, int], owner: tuple[int, int]) -> None:
        self.path = path
        """Of the folder that is the server's OLLAMA_MODELS."""
        self.beside = path.rpartition(f"/{NAME}/")[0]
        """The folder that it lies in."""
        self._seen, self._at, self._owner = seen, at, owner
        self._read = set[str]()
        """Whole blobs whose content was looked at, and is what their names say."""

    def fill(self, damaged: Collection[str] = ()) -> None:
        """Links to every blob of the store, but for the `damaged` digests; what a former pull left is kept if sound."""
        with suppress(FileNotFoundError):
            folders.empty(self._at["manifests"])
        for name in os.listdir(self._at["blobs"]):
            about = os.stat(name, dir_fd=self._at["blobs"], follow_symlinks=False)
            if _BLOB.fullmatch(name) and stat.S_ISREG(about.st_mode) and self._sound(name):
                self._read.add(name)
                continue
            if "-partial" in name and stat.S_ISREG(about.st_mode):
                # Whatever user the server had then, the one that it has now goes on with it
                folders.open_up(name, self._at["blobs"], 0o666)
                continue
            os.unlink(name, dir_fd=self._at["blobs"])
        there = set(os.listdir(self._at["blobs"]))
        for name in os.listdir(self._at["store"]):
            if _BLOB.fullmatch(name) and name not in there and name.replace("-", ":", 1) not in damaged:
                os.symlink(f"{self._seen}/{name}", name, dir_fd=self._at["blobs"])

    def _sound(self, name: str) -> bool:
        """Whether a whole blob is what its name says: Ollama looks after it came, which may have been too late."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with os.fdopen(os.open(name, flags, dir_fd=self._at["blobs"]), "rb") as file:
            return folders.digest(file) == name.removeprefix("sha256-")

    def written_down(self) -> frozenset[tuple[str, int]]:
        """How far the parts of unfinished blobs have come, as a value that changes when Ollama writes it down."""
        names = [name for name in os.listdir(self._at["blobs"]) if "-partial-" in name]
        found = set()
        for name in names:
            with suppress(FileNotFoundError):
                found.add((name, os.stat(name, dir_fd=self._at["blobs"], follow_symlinks=False).st_mtime_ns))
        return frozenset(found)

    def lacks(self, digest: str, size: int) -> int:
        """How many bytes of a blob are still to come: neither in the store, nor in what a pull left."""
        name = digest.replace(":", "-", 1)
        for folder, there in (("store", name), ("blobs", name), ("blobs", f"{name}-partial")):
            with suppress(OSError):
                about = os.stat(there, dir_fd=self._at[folder], follow_symlinks=folder == "store")
                # What is not whole is as long as the whole, with holes
                if has := about.st_blocks * 512 if there != name else size * (about.st_size == size):
                    return max(size - has, 0)
        return size

    def free(self) -> int:
        """Bytes that others than root may still write."""
        about = os.fstatvfs(self._at["blobs"])
        return about.f_bavail * about.f_frsize

    def bare(self) -> None:
        """Leaves the server nothing but what pulls have begun: it can set the time of no link."""
        folders.empty(self._at["manifests"])
        for name in os.listdir(self._at["blobs"]):
            if "-partial" not in name:
                os.unlink(name, dir_fd=self._at["blobs"])

    def put(self, name: ModelName, data: bytes) -> None:
        """Shows the server a model of the store, for another one to be made from it."""
        *parents, tag = name.manifest_path.split("/")
        with ExitStack() as held:
            at = self._at["manifests"]
            for folder in parents:
                at = held.enter_context(folders.made(folder, at, 0o777))
            folders.write(tag, at, data, 0o644, None)

    def add(self, path: str, *, uid: int, others: bool) -> str:
        """Copies a GGUF file in as a blob of the server's user, and returns its digest. Raises HostError.

        `others`: everybody may read it then, so they must now: root may read what the spec's author may not.
        """
        try:
            with open(path, "rb") as file:  # noqa: PTH123
                about = os.fstat(file.fileno())
                if not stat.S_ISREG(about.st_mode) or file.read(4) != b"GGUF":
                    raise HostError(f"{path} is not a GGUF file", hint="make one: llama.cpp's convert_hf_to_gguf")
                if others and not about.st_mode & stat.S_IROTH:
                    why = "only its owner may read it, and a model's parts are everybody's to read"
                    raise HostError(f"{path}: {why}", hint=f"if it may be so: sudo chmod o+r {path}")
                digest = folders.digest(file)
                folders.copy(file.fileno(), about.st_size, self._at["blobs"], f"sha256-{digest}", uid)
        except OSError as error:
            raise translate(error, "copy", path) from error
        return f"sha256:{digest}"

    def lend(self, digest: str, *, uid: int) -> None:
        """Gives the server's user a copy of a blob of the store in the place of the link. Raises HostError.

        Ollama sets the time of what a model is made from (NewLayerFromLayer), which only the owner may.
        """
        name = digest.replace(":", "-", 1)
        try:
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self._at["store"])
            try:
                folders.copy(fd, os.fstat(fd).st_size, self._at["blobs"], name, uid)
            finally:
                os.close(fd)
        except OSError as error:
            raise translate(error, "copy", f"{self.beside}/blobs/{name}") from error

    def manifest(self, name: ModelName) -> bytes:
        """What the server wrote for a model. Raises HostError where it did not."""
        try:
            with ExitStack() as held:
                *parents, tag = name.manifest_path.split("/")
                at = self._at["manifests"]
                for folder in parents:
                    at = held.enter_context(folders.held(folder, at))
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
                *parents, tag = name.manifest_path.split("/")
                for folder in parents:
                    at = held.enter_context(folders.made(folder, at, 0o755, self._owner))
                folders.write(tag, at, data, 0o644, self._owner)
        except OSError as error:
            raise translate(error, f"take in {name.short}", self.path) from error
        return Taken(data=data, size=size)

    def whole(self) -> frozenset[str]:
        """Names of the whole blobs that pulls have left here: the next one passes them by, and reads none of them."""
        names = os.listdir(self._at["blobs"])
        return frozenset(name for name in names if _BLOB.fullmatch(name) and not self._linked(name))

    def _linked(self, name: str) -> bool:
        return stat.S_ISLNK(os.stat(name, dir_fd=self._at["blobs"], follow_symlinks=False).st_mode)

    def check(
        self, name: ModelName, layers: Iterable[tuple[str, int]], *, passed: Collection[str] | None = None
    ) -> None:
        """Whether each blob that is to be taken is what its digest says.

        `passed` are those that Ollama did not look at itself when it pulled, right now; None where it looked at none.
        Raises HostError; what is not goes, so that the next pull gets it anew.
        """
        for digest, length in dict(layers).items():
            blob = digest.replace(":", "-", 1)
            with suppress(OSError):
                if (there := os.stat(blob, dir_fd=self._at["store"]).st_size) == length:
                    continue
                if self._linked(blob):
                    raise HostError(
                        f"{name.short}: {blob} in the store has {there} bytes instead of {length}",
                        hint=f"it is damaged: `sudo find {self.beside} -name {blob} -delete`, then pull again",
                    )
            if passed is not None and (blob in self._read or blob not in passed):
                self._read.add(blob)
                continue
            try:
                sound = self._sound(blob)
            except OSError as error:
                raise translate(error, f"look at {blob} in", self.path) from error
            if not sound:
                with suppress(OSError):
                    os.unlink(blob, dir_fd=self._at["blobs"])
                raise HostError(
                    f"{name.short}: {blob} came with another content than its digest says, and was thrown away",
                    hint="pull it again; if that stays so, the registry is at fault",
                )

    def _take_blob(self, name: ModelName, blob: str, length: int) -> None:
        with suppress(OSError):
            if os.stat(blob, dir_fd=self._at["store"]).st_size == length:
                return  # servers may have it open
        fd = os.open(blob, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self._at["blobs"])
        try:
            about = os.fstat(fd)
            if not stat.S_ISREG(about.st_mode) or about.st_size != length:
                raise HostError(f"{name.short}: {blob} has {about.st_size} bytes instead of {length}")
            folders.give(fd, self._owner)
            os.fchmod(fd, 0o644)
            os.fsync(fd)
            os.rename(blob, blob, src_dir_fd=self._at["blobs"], dst_dir_fd=self._at["store"])
        finally:
            os.close(fd)

    def tidy(self) -> None:
        """Leaves nothing but what a pull can go on from."""
        with suppress(OSError):
            folders.empty(self._at["manifests"])
            for name in os.listdir(self._at["blobs"]):
                if self._linked(name):
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
        make_folders(os.path.realpath(models_dir))
        with folders.walked(folders.place(models_dir)) as at:
            about = os.fstat(at)
            for name in ("blobs", "manifests"):
                if not Path(models_dir, name).is_dir():
                    with folders.made(name, at, 0o755, (about.st_uid, about.st_gid)):
                        pass
        blobs = folders.place(f"{models_dir}/blobs")
        # Where a rename takes a blob into the store: beside it, or in it where it is a mount of its own
        beside = os.path.dirname(blobs)
        place = beside if os.stat(beside).st_dev == os.stat(blobs).st_dev else blobs
        with ExitStack() as held:
            store, top = held.enter_context(folders.walked(blobs)), held.enter_context(folders.walked(place))
            own = held.enter_context(folders.made(NAME, top, 0o700, own=True))
            # Open to all, but behind a folder that only its owner may pass: whatever user the server has
            models = held.enter_context(folders.made("models", own, 0o777))
            opened = {
                "store": store,
                "names": held.enter_context(folders.walked(folders.place(f"{models_dir}/manifests"))),
                "top": top,
                "own": own,
                "models": models,
                "blobs": held.enter_context(folders.made("blobs", models, 0o777)),
                "manifests": held.enter_context(folders.made("manifests", models, 0o777)),
            }
            about = os.fstat(store)
            yield Staging(f"{place}/{NAME}/models", seen, opened, (about.st_uid, about.st_gid))
    except OSError as error:
        raise translate(error, "pull into it", models_dir) from error


def layers(data: bytes) -> tuple[tuple[str, int], ...]:
    """Digest and size of each blob that a manifest names. Raises HostError where it is none."""
    if not (found := manifest.layers(data)):
        raise HostError("what the registry sent is no manifest of a model")
    return tuple(found)
