"""Files that are replaced in one step and survive a power cut; the old one stays until the new one is on disk."""

# ruff: noqa: PTH101, PTH102, PTH104, PTH108, PTH120
import os
from collections import deque
from collections.abc import Callable, Sequence
from itertools import count
from typing import NamedTuple, TypeVar

from ollamactl.host.oserrors import translate

_PREFIX = ".ollamactl-"
"""Neither a unit's nor a drop-in's name, so that systemd passes the file by (systemd.unit(5))."""
_THREADS = 8
"""A journal takes many waiting writers with one commit: 200 files need half the time of one after the other."""
_OPEN_AT_ONCE = 256
"""A process may have 1024 files open (getrlimit(2))."""
_numbers = count()
_T = TypeVar("_T")


class Write(NamedTuple):
    """A file to put in place: its real path, bytes and permission bits."""

    path: str
    data: bytes
    mode: int


def write(files: Sequence[Write]) -> None:
    """Puts the files in place: first all are written to disk beside their places, then all are renamed.

    Folders are made as needed, 0755. Raises NotPermitted or HostError, with nothing changed unless a rename fails.
    """
    if not files:
        return
    waiting: deque[tuple[str, str]] = deque()
    path = ""
    try:
        for path in dict.fromkeys(os.path.dirname(file.path) for file in files):
            make_folders(path)
        for start in range(0, len(files), _OPEN_AT_ONCE):
            descriptors = []
            try:
                for path, data, mode in files[start : start + _OPEN_AT_ONCE]:
                    temporary = f"{os.path.dirname(path)}/{_PREFIX}{os.getpid()}-{next(_numbers)}"
                    # From the start no wider than it will be: a secret is never readable, however short.
                    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
                    descriptors.append(os.open(temporary, flags, mode))
                    waiting.append((temporary, path))
                    os.fchmod(descriptors[-1], mode)
                    _write(descriptors[-1], data)
                _each(os.fsync, descriptors)
            finally:
                for descriptor in descriptors:
                    os.close(descriptor)
        while waiting:
            temporary, path = waiting[0]
            os.rename(temporary, path)
            waiting.popleft()
        # The journal keeps the order (ext4, XFS): with the last rename all are on disk, for the cost of one.
        _sync_folder(os.path.dirname(path))
    except OSError as error:
        raise translate(error, "write", path) from error
    finally:
        for temporary, _ in waiting:
            os.unlink(temporary)


def read(descriptor: int) -> bytes:
    """All bytes of an open file."""
    chunks = []
    while chunk := os.read(descriptor, 1 << 16):
        chunks.append(chunk)
    return b"".join(chunks)


def make_folders(path: str) -> None:
    """Makes a folder and those above it, 0755 whatever the umask is. Raises OSError."""
    try:
        os.mkdir(path)
    except FileExistsError:
        return
    except FileNotFoundError:
        make_folders(os.path.dirname(path))
        os.mkdir(path)
    os.chmod(path, 0o755)  # noqa: S103  (systemd and the servers read below it)


def is_temporary(path: str) -> bool:
    """Whether a path is that of a file that was being written."""
    return path.rpartition("/")[2].startswith(_PREFIX)


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _sync_folder(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _each(do: Callable[[_T], None], things: Sequence[_T]) -> None:
    """Does it to each, several at once where that pays."""
    if len(things) < _THREADS:
        for thing in things:
            do(thing)
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(_THREADS) as pool:
        for _ in pool.map(do, things):
            pass
