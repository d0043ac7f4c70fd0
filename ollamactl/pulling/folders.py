"""Files and folders below folders that are held open, and reached by no link: they may belong to somebody else."""

import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import BinaryIO

from ollamactl.errors import HostError
from ollamactl.host import reach

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def digest(file: BinaryIO) -> str:
    """SHA-256 of a file from its beginning, in hex."""
    digest = hashlib.sha256()
    file.seek(0)
    while chunk := file.read(1 << 20):
        digest.update(chunk)
    return digest.hexdigest()


def place(path: str) -> str:
    """Where a folder of the store is. Raises OSError, or HostError where a link of its owner's leads root there."""
    if os.geteuid():
        return os.path.realpath(path)
    real, _, link = reach.led(path)
    if link:
        raise HostError(
            f"{link} is a link that its owner, not root, made to {os.path.realpath(link)}, which is not theirs",
            hint=f"`sudo chown -h root {link}`, if it shall lead there",
        )
    return real


@contextmanager
def held(name: str, at: int | None = None) -> Iterator[int]:
    """A folder, open. Raises OSError, for a link, too."""
    fd = os.open(name, FOLDER, dir_fd=at)
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def walked(path: str) -> Iterator[int]:
    """A folder by its real path, on which nobody can put a link meanwhile. Raises OSError."""
    with ExitStack() as stack:
        at = stack.enter_context(held("/"))
        for name in filter(None, path.split("/")):
            at = stack.enter_context(held(name, at))
        yield at


@contextmanager
def made(name: str, at: int, mode: int, owner: tuple[int, int] | None = None, *, own: bool = False) -> Iterator[int]:
    """A folder below another, made where there is none; `own`: it must be ours, whoever may write to the other."""
    made = False
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=at)
        made = True
    with held(name, at) as fd:
        if own and os.fstat(fd).st_uid != os.geteuid():
            raise HostError(f"{name}: somebody else made this folder in the store", hint="look at it, and remove it")
        if made or owner is None:
            os.fchmod(fd, mode)
        if made:
            give(fd, owner)
        yield fd


def give(fd: int, owner: tuple[int, int] | None) -> None:
    """Makes a user and a group the owners, where root may."""
    if owner and not os.geteuid():
        os.fchown(fd, *owner)


def open_up(name: str, at: int, mode: int) -> None:
    """Gives a file other permission bits."""
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=at)
    try:
        os.fchmod(fd, mode)
    finally:
        os.close(fd)


def write(name: str, at: int, data: bytes, mode: int, owner: tuple[int, int] | None) -> None:
    """Puts a file in place in one step; it survives a power cut."""
    # Of a name that nobody knows before: the folder's owner could have put a pipe there, or a link to another's file
    temporary = f".ollamactl-{secrets.token_hex(8)}"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=at)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fchmod(fd, mode)
        give(fd, owner)
        os.fsync(fd)
    os.rename(temporary, name, src_dir_fd=at, dst_dir_fd=at)
    os.fsync(at)


def empty(at: int) -> None:
    """Removes all that is in a folder."""
    for name in os.listdir(at):
        if stat.S_ISDIR(os.stat(name, dir_fd=at, follow_symlinks=False).st_mode):
            with held(name, at) as fd:
                empty(fd)
            os.rmdir(name, dir_fd=at)
        else:
            os.unlink(name, dir_fd=at)


def copy(source: int, size: int, at: int, name: str, uid: int) -> None:
    """Copies an open file to a new one of a user's, in the kernel, which shares what the file system can share."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open("new", flags, 0o644, dir_fd=at)
    try:
        done = 0
        while done < size:
            try:
                count = os.copy_file_range(source, fd, size - done, done, done)
            except OSError as error:
                if done or error.errno not in (errno.EXDEV, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                    raise
                break
            if not count:
                break
            done += count
        while done < size and (count := os.sendfile(fd, source, done, size - done)):
            done += count
        os.fchmod(fd, 0o644)
        give(fd, (uid, -1))
    finally:
        os.close(fd)
    os.rename("new", name, src_dir_fd=at, dst_dir_fd=at)
