"""One change at a time: a lock that says who holds it and that no crash leaves behind (flock(2))."""

import errno
import fcntl
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from ollamactl.errors import HostError, OllamactlError
from ollamactl.host import atomic, processes
from ollamactl.host.oserrors import translate


class TakenError(HostError):
    """Another process holds it, and nobody wants to wait."""


Held = AbstractContextManager[None]
"""What acquire gives: to be used in a `with`."""


@contextmanager
def acquire(path: str | os.PathLike[str], *, wait: bool, on_wait: Callable[[str], None]) -> Iterator[None]:
    """Holds the lock while the block runs; the file says who does.

    Where another process holds it: waits, after `on_wait` was told who that is, or raises HostError at once.
    Raises NotPermitted where the caller may not lock at all.
    """
    fd = _open(os.fspath(path))
    try:
        _lock(fd, os.fspath(path), wait, on_wait)
        _sign(fd)
        try:
            yield
        finally:
            os.ftruncate(fd, 0)
    finally:
        os.close(fd)


def _open(path: str) -> int:
    """The lock's file, which nobody else may so much as open: who can open it can hold it, and everybody up."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        folder = Path(path).parent
        atomic.make_folders(str(folder))
        fd = os.open(path, flags, 0o600)
    except OSError as error:
        raise _untouchable(error, path) from error
    about = os.fstat(fd)
    # In an image, the owner of the folder can do as he likes anyway.
    if about.st_uid not in (os.geteuid(), folder.stat().st_uid):
        os.close(fd)
        raise _strange(path)
    with suppress(OSError):
        os.fchmod(fd, 0o600)
    return fd


def _untouchable(error: OSError, path: str) -> OllamactlError:
    if error.errno in (errno.ELOOP, errno.EACCES) and os.geteuid() == 0:
        # fs.protected_regular refuses even root a stranger's file in a folder that everybody may write to.
        return _strange(path)
    return translate(error, "lock", path)


def _strange(path: str) -> HostError:
    return HostError(f"{path}: somebody else put a file where the lock belongs", hint=f"ls -l {path}; rm {path}")


def _lock(fd: int, path: str, wait: bool, on_wait: Callable[[str], None]) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = _holder(fd, path)
        if not wait:
            raise TakenError(holder, hint="try again when it is done; the lock ends with its process") from None
        on_wait(holder)
        fcntl.flock(fd, fcntl.LOCK_EX)
    except OSError as error:
        raise translate(error, "lock", path) from error


def _holder(fd: int, path: str) -> str:
    """Who holds it, by its signature, or by what the kernel says where that is missing or another's."""
    signed, _, rest = os.pread(fd, 4096, 0).decode(errors="replace").partition("\n")
    since, _, command = rest.partition("\n")
    pid = _pid(fd)
    if pid and str(pid) != signed:
        words = processes.describe(pid).command
        return f"{path} is locked by pid {pid}" + (f" ({words})" if words else "")
    return "another ollamactl is at work" + (f': pid {signed}, "{command.strip()}", since {since}' if command else "")


def _pid(fd: int) -> int | None:
    """The process that locked the file, by /proc/locks; None where the kernel does not show it here."""
    about = os.fstat(fd)
    place = f"{os.major(about.st_dev):02x}:{os.minor(about.st_dev):02x}:{about.st_ino}"
    with suppress(OSError, ValueError):
        for line in Path("/proc/locks").read_text().splitlines():
            fields = line.split()
            if fields[1] == "FLOCK" and fields[5] == place:
                return int(fields[4])
    return None


def _sign(fd: int) -> None:
    command = " ".join(["ollamactl", *sys.argv[1:]])
    text = "".join(letter if letter.isprintable() else " " for letter in command)[:500]
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n{time.strftime('%Y-%m-%d %H:%M:%S')}\n{text}\n".encode(errors="replace"), 0)
