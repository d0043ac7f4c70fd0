"""The operator's own files of variables, which systemd reads at each start (EnvironmentFile=, systemd.exec(5))."""

import glob
import os
import pwd
import stat
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from ollamactl.errors import Problem, Severity
from ollamactl.host import atomic, processes, reach


def files(path: str, root: Path = Path("/")) -> tuple[str, ...]:
    """What systemd reads for one path, sorted: it takes each as a pattern (glob(7))."""
    below = "" if root == Path("/") else str(root)
    return tuple(sorted(glob.glob(f"{glob.escape(below)}{path}")))  # noqa: PTH207  whole paths, not below one folder


def text(path: str) -> str | None:
    """What is in one of them; None where there is none, or where the caller may not read it."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        return atomic.read(fd).decode(errors="replace")
    except OSError:
        return None
    finally:
        os.close(fd)


def problem(path: str, root: Path = Path("/")) -> str:
    """Why a unit that names the path fails to start, in words; empty where it does not, or where nobody may look."""
    pattern = glob.has_magic(path)
    real = root / path.lstrip("/")
    try:
        found = [Path(each) for each in files(path, root)] if pattern else [real]
        if folder := next((each for each in found if stat.S_ISDIR(each.stat().st_mode)), None):
            return f"{folder} is a folder"
        if not found:
            os.scandir(real.parent).close()
    except PermissionError:
        return ""
    except OSError:
        found = []
    return "" if found else "no file matches it" if pattern else "there is no such file"


def exposure(path: str, spec: str) -> Problem | None:
    """Who but root can change the spec, and so choose a program to be given what they may not read; None if nobody."""
    _, who = next(iter(reach.writers(spec)), ("", "")) if spec else ("", "")
    if not who:
        return None
    for each in files(path):
        with suppress(OSError, KeyError):
            about = Path(each).stat()
            if about.st_mode & stat.S_IROTH or pwd.getpwuid(about.st_uid).pw_name == who:
                continue
            return Problem(
                message=f"{who} can change the spec, and so the program that gets this file, which others may not read",
                hint="keep the spec where only root may write, such as /etc/ollamactl",
                path=each,
                severity=Severity.WARNING,
            )
    return None


def changed(paths: Iterable[str], started: float) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The files that were changed after a start, and those of which nobody can tell: their time is still to come."""
    now = time.time()
    times = {each: processes.changed_at(each) or 0.0 for path in paths for each in files(path)}
    return (
        tuple(each for each, changed in times.items() if started < changed <= now),
        tuple(each for each, changed in times.items() if changed > now),
    )
