"""What a process is and holds, from /proc (proc(5)).

The first four functions are asked for every server of a fleet in a run that changes nothing: plain system calls, no
pathlib. Who may not look (another user's process) gets None, as for a process that is gone.
"""

# ruff: noqa: PTH115, PTH116, PTH208
import os
import time
from collections.abc import Set
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_COMMAND_LENGTH = 200
_CARDS = ("/dev/nvidia", "/dev/dri/", "/dev/kfd", "/dev/dxg")
"""NVIDIA's, the kernel's own and AMD's nodes, and Windows' for its Linux guests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process as a person recognises it."""

    pid: int
    command: str
    """Its command line on one line, shortened; `[name]` where it has none."""
    unit: str | None
    """The systemd service or scope that it belongs to."""
    exe: str | None


def holds_socket(pid: int, inodes: Set[int], proc: Path = _PROC) -> int | None:
    """The first of the sockets that the process has open, None if none or not readable."""
    folder = f"{proc}/{pid}/fd/"
    try:
        numbers = os.listdir(folder)
    except OSError:
        return None
    for number in numbers:
        try:
            target = os.readlink(folder + number)
        except OSError:
            continue
        if target.startswith("socket:[") and int(target[8:-1]) in inodes:
            return int(target[8:-1])
    return None


def sockets(pid: int, proc: Path = _PROC) -> frozenset[int]:
    """The inodes of all sockets that the process has open; none where the caller may not look."""
    folder = f"{proc}/{pid}/fd/"
    found = set()
    try:
        for number in os.listdir(folder):
            with suppress(FileNotFoundError):
                target = os.readlink(folder + number)
                if target.startswith("socket:["):
                    found.add(int(target[8:-1]))
    except OSError:
        return frozenset()
    return frozenset(found)


def environ(pid: int, name: str, proc: Path = _PROC) -> str | None:
    """One variable of the environment that the process was started with; None if unset or not readable."""
    data = b"\0" + _read(f"{proc}/{pid}/environ")
    _, found, rest = data.partition(b"\0" + os.fsencode(name) + b"=")
    return os.fsdecode(rest.partition(b"\0")[0]) if found else None


def variables(pid: int, proc: Path = _PROC) -> dict[str, str] | None:
    """The whole environment that the process was started with; None where it is not readable."""
    words = os.fsdecode(_read(f"{proc}/{pid}/environ")).split("\0")
    return dict(word.split("=", 1) for word in words if "=" in word) or None


def same_binary(pid: int, path: str, proc: Path = _PROC) -> bool | None:
    """Whether the process runs the very file that is at the path now; None where that can't be read.

    A binary that was replaced or deleted since the start has another inode, even under the same name. A script runs as
    its interpreter or, after its `exec`, as the program that it was written for: there the times tell.
    """
    try:
        running = os.stat(f"{proc}/{pid}/exe")
    except OSError:
        return None
    try:
        installed = os.stat(path)
    except FileNotFoundError:
        return False
    except OSError:
        return None
    if (running.st_dev, running.st_ino) == (installed.st_dev, installed.st_ino):
        return True
    script = _is_script(path)
    return _same_script(pid, path, running, proc) if script else None if script is None else False


def _is_script(path: str) -> bool | None:
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return file.read(2) == b"#!"
    except OSError:
        return None


def _same_script(pid: int, path: str, running: os.stat_result, proc: Path) -> bool | None:
    """Whether neither a script nor the program that runs for it was changed since the start."""
    started, changed = started_at(pid, proc), changed_at(path)
    if started is None or changed is None:
        return None
    if started < changed < time.time():
        return False
    try:
        there = os.stat(os.readlink(f"{proc}/{pid}/exe"))
    except FileNotFoundError:
        return False
    except OSError:
        return None
    return (running.st_dev, running.st_ino) == (there.st_dev, there.st_ino)


def changed_at(path: str) -> float | None:
    """When a file was changed or put there, or a link that leads to it; None where it can't be read.

    By the time that the kernel keeps for itself (st_ctime, inode(7)): a file that replaces another may be an old one.
    """
    try:
        return max(os.stat(path).st_ctime, os.lstat(path).st_ctime)
    except OSError:
        return None


def unit_of(pid: int, proc: Path = _PROC) -> str | None:
    """The systemd service or scope of the process: the innermost of its control group's path (cgroups(7)).

    systemd's own hierarchy is `name=systemd` where cgroup v1 is in use, also in part, else the one without a name. In
    a container on such a host both are there, and the manager may use the second only.
    """
    unified = named = b""
    for line in _read(f"{proc}/{pid}/cgroup").splitlines():
        _, controllers, path = line.split(b":", 2)
        if controllers == b"name=systemd":
            named = path
        elif not controllers:
            unified = path
    for path in (named, unified):
        for part in reversed(os.fsdecode(path).removesuffix(" (deleted)").split("/")):
            if part.endswith((".service", ".scope")):
                return part.removeprefix("_")  # systemd's escape of names that clash with kernel files
    return None


def started_at(pid: int, proc: Path = _PROC) -> float | None:
    """When the process had started for sure, in seconds since the epoch, a clock tick late at most; None if it is gone.

    Not by the btime of /proc/stat, which is whole seconds: a file written just before a start would look newer.
    """
    _, _, fields = _read(f"{proc}/{pid}/stat").rpartition(b")")  # the name before it may hold anything
    if not fields:
        return None
    since_boot = (int(fields.split()[19]) + 1) / os.sysconf("SC_CLK_TCK")
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + since_boot


def owner(inode: int, proc: Path = _PROC) -> Process | None:
    """The process that holds a socket, looked for among all: slow, and without root only among one's own."""
    try:
        pids = sorted(int(name) for name in os.listdir(proc) if name.isdigit())
    except OSError:
        return None
    for pid in pids:
        if holds_socket(pid, {inode}, proc):
            return describe(pid, proc)
    return None


def family(pid: int, proc: Path = _PROC) -> tuple[int, ...]:
    """The process and all that descend from it and have not been orphaned; each thread has children of its own."""
    found, todo = [], [pid]
    while todo:
        found.append(todo.pop())
        try:
            threads = os.listdir(f"{proc}/{found[-1]}/task")
        except OSError:
            continue
        for thread in threads:
            todo += map(int, _read(f"{proc}/{found[-1]}/task/{thread}/children").split())
    return tuple(found)


def open_cards(pid: int, proc: Path = _PROC) -> tuple[str, ...] | None:
    """The device nodes of cards that the process has open, sorted; None where the caller may not look."""
    folder = f"{proc}/{pid}/fd/"
    nodes = set()
    try:
        for number in os.listdir(folder):
            with suppress(FileNotFoundError):
                nodes.add(os.readlink(folder + number))
    except OSError:
        return None
    return tuple(sorted(node for node in nodes if node.startswith(_CARDS)))


def arguments(pid: int, proc: Path = _PROC) -> tuple[str, ...]:
    """The words of its command line; none where it is gone."""
    return tuple(os.fsdecode(word) for word in _read(f"{proc}/{pid}/cmdline").split(b"\0")[:-1])


def describe(pid: int, proc: Path = _PROC) -> Process:
    """A process by its number, as far as it can be read."""
    try:
        exe = os.readlink(f"{proc}/{pid}/exe")
    except OSError:
        exe = None
    command = _read(f"{proc}/{pid}/cmdline").replace(b"\0", b" ").decode(errors="replace").strip()
    if not command:
        command = f"[{_read(f'{proc}/{pid}/comm').decode(errors='replace').strip()}]"
    command = "".join(letter if letter.isprintable() else " " for letter in command)
    if len(command) > _COMMAND_LENGTH:
        command = f"{command[: _COMMAND_LENGTH - 3]}..."
    return Process(pid=pid, command=command, unit=unit_of(pid, proc), exe=exe)


def _read(path: str) -> bytes:
    """The whole file, empty where it can't be read; files of /proc have no size to ask for."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    chunks = []
    try:
        while chunk := os.read(fd, 65536):
            chunks.append(chunk)
    except OSError:
        pass  # the process ended
    finally:
        os.close(fd)
    return b"".join(chunks)
