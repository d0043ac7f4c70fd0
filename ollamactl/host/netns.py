"""Network namespaces of other processes: a server may have one that nobody but the gate is to reach.

setns(2) moves one thread, and a socket stays in the namespace in which it was made: so a thread enters, makes its
sockets, and leaves again. What reads /proc/net sees the namespace of the process's first thread, wherever it stands:
`listeners` reads /proc/PID/net.
"""

# ruff: noqa: PTH121
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from ollamactl.errors import HostError, NotPermitted
from ollamactl.host import listeners

_CLONE_NEWNET = 0x40000000
"""linux/sched.h."""
_PROC = Path("/proc")
_OWN = "/proc/thread-self/ns/net"


class Gone(HostError):
    """The process has ended."""


class Namespace:
    """A process's network namespace, held by a descriptor: it stays as long as that is open, whoever ends."""

    def __init__(self, pid: int, proc: Path = _PROC) -> None:
        """Raises Gone, NotPermitted (CAP_SYS_PTRACE is missing, for another user's process) or HostError."""
        self._fd = _open(pid, proc)

    def close(self) -> None:
        """Lets go of it."""
        os.close(self._fd)

    def is_own(self) -> bool:
        """Whether it is the one of the calling thread."""
        return os.path.samestat(os.fstat(self._fd), Path(_OWN).stat())

    def is_of(self, pid: int) -> bool:
        """Whether it is that of a process. Raises as it does itself."""
        other = Namespace(pid)
        try:
            return os.path.sameopenfile(self._fd, other._fd)
        finally:
            other.close()

    @contextmanager
    def entered(self) -> Iterator[None]:
        """The calling thread is in it. Raises NotPermitted without CAP_SYS_ADMIN."""
        if self.is_own():
            yield
            return
        own = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
        try:
            try:
                _setns()(self._fd)
            except OSError as error:
                raise _refused("CAP_SYS_ADMIN") from error
            try:
                yield
            finally:
                _setns()(own)
        finally:
            os.close(own)

    def socket(self, family: socket.AddressFamily) -> socket.socket:
        """A TCP socket that is in it."""
        with self.entered():
            return socket.socket(family, socket.SOCK_STREAM)


@contextmanager
def entered(pid: int | None, proc: Path = _PROC) -> Iterator[None]:
    """The calling thread is in the namespace of the process; None leaves it where it is, as does one of our namespace.

    Raises Gone, NotPermitted or HostError.
    """
    if pid is None or shared(pid, proc):
        yield
        return
    there = Namespace(pid, proc)
    try:
        with there.entered():
            yield
    finally:
        there.close()


def shared(pid: int, proc: Path = _PROC) -> bool:
    """Whether the process is in our namespace, as far as it can be known; raises Gone.

    Who may not look at another user's process compares what listens: sockets have numbers that no other has.
    """
    try:
        return os.path.samefile(f"{proc}/{pid}/ns/net", _OWN)
    except (FileNotFoundError, ProcessLookupError) as error:
        raise Gone(f"process {pid} has ended") from error
    except OSError:
        theirs = {each.inode for each in listeners.read(proc / str(pid))}
        return not theirs or not theirs.isdisjoint(each.inode for each in listeners.read(proc))


def is_own(pid: int) -> bool:
    """Whether the process is surely in our namespace, as one is that systemd has just made for a server of another."""
    try:
        return os.path.samefile(f"/proc/{pid}/ns/net", _OWN)
    except OSError:
        return False


def _open(pid: int, proc: Path) -> int:
    path = f"{proc}/{pid}/ns/net"
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError) as error:
        raise Gone(f"process {pid} has ended") from error
    except PermissionError as error:
        raise _refused("CAP_SYS_PTRACE") from error
    except OSError as error:
        raise HostError(f"{path}: {error.strerror}") from error


def _refused(capability: str) -> NotPermitted:
    root = os.geteuid() == 0
    return NotPermitted(
        "a server's network of its own is open to nobody but root" + (f" with {capability}" if root else ""),
        hint=f"give the unit that runs this {capability}" if root else "type the same command with sudo",
    )


@cache
def _setns() -> Callable[[int], None]:
    """os.setns() where Python has it (3.12)."""
    if sys.version_info >= (3, 12):
        return lambda fd: os.setns(fd, _CLONE_NEWNET)
    import ctypes

    call = ctypes.CDLL(None, use_errno=True).setns

    def setns(fd: int) -> None:
        if call(fd, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")

    return setns
