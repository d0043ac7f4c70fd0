"""One change at a time: a lock that says who holds it and that no crash leaves behind (flock(2))."""

import errno
import fcntl
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from ollamactl.errors import HostError, OllamactlError
from ollamactl.oserrors import translate

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
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, flags, 0o644)
    except OSError as error:
        raise _untouchable(error, path) from error


def _untouchable(error: OSError, path: str) -> OllamactlError:
    if error.errno in (errno.ELOOP, errno.EACCES) and os.geteuid() == 0:
        # fs.protected_regular refuses even root a stranger's file in a folder that everybody may write to.
        return HostError(f"{path}: somebody else put a file where the lock belongs", hint=f"ls -l {path}; rm {path}")
    return translate(error, "lock", path)


def _lock(fd: int, path: str, wait: bool, on_wait: Callable[[str], None]) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = f"another ollamactl is at work{_holder(fd)}"
        if not wait:
            raise HostError(holder, hint="try again when it is done; the lock ends with its process") from None
        on_wait(holder)
        fcntl.flock(fd, fcntl.LOCK_EX)
    except OSError as error:
        raise translate(error, "lock", path) from error


def _holder(fd: int) -> str:
    """`: pid 123, "ollamactl apply", since 12:00:00`, or nothing while it is being written."""
    pid, _, rest = os.pread(fd, 4096, 0).decode(errors="replace").partition("\n")
    since, _, command = rest.partition("\n")
    return f': pid {pid}, "{command.strip()}", since {since}' if command else ""


def _sign(fd: int) -> None:
    command = " ".join(["ollamactl", *sys.argv[1:]])
    text = "".join(letter if letter.isprintable() else " " for letter in command)[:500]
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n{time.strftime('%Y-%m-%d %H:%M:%S')}\n{text}\n".encode(errors="replace"), 0)
