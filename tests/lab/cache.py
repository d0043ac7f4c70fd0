"""Keep what is slow to make: artifacts named by a digest of their recipe, shared by any number of processes."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path


class LabError(Exception):
    """The lab itself cannot do what was asked: a tool is missing, a download failed, a machine does not boot."""


def cache_dir() -> Path:
    """The one place outside the checkout that the lab writes to: $OLLAMACTL_CACHE or ~/.cache/ollamactl."""
    set_by_hand = os.environ.get("OLLAMACTL_CACHE")
    return Path(set_by_hand).absolute() if set_by_hand else Path.home() / ".cache" / "ollamactl"


def say(line: str) -> None:
    """Print one line of progress at once; threads share standard output, so it is one write."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the lock `name` of the cache, against other processes and threads alike (each opens the file itself)."""
    directory = cache_dir() / "locks"
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / name).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """Something in the cache: `build` fills an empty directory, `recipe` is the text that its content depends on."""

    name: str
    says: str
    """What building it does, for the line of progress."""
    recipe: str
    build: Callable[[Path], None] = field(repr=False)

    @property
    def path(self) -> Path:
        """Where it lies once it is built; existing there means complete, because it is renamed into place."""
        digest = hashlib.sha256(self.recipe.encode()).hexdigest()[:12]
        return cache_dir() / f"{self.name}-{digest}"

    def ensure(self) -> Path:
        """Build it unless it is there, and return its path.  A second process waits for the first one's result."""
        path = self.path
        if path.exists():
            return path
        with locked(self.name):
            if path.exists():
                return path
            unfinished = f".{self.name}.building-"
            for left_over in cache_dir().glob(unfinished + "*"):  # nobody else builds it: this process has the lock
                shutil.rmtree(left_over)
            started = time.monotonic()
            work = Path(tempfile.mkdtemp(prefix=unfinished, dir=cache_dir()))
            try:
                work.chmod(0o755)  # it becomes "/" or a layer of it, where mkdtemp's 0700 would lock out other users
                self.build(work)
                work.rename(path)
            except BaseException:
                shutil.rmtree(work, ignore_errors=True)
                raise
            say(f"{self.name}: {self.says} ({time.monotonic() - started:.1f} s)")
        return path


def clean() -> None:
    """Empty the cache.  Containers that still run on it break, so end them first.

    The lock files stay: with another file of the same name, two processes would no longer exclude each other.
    """
    for entry in sorted(cache_dir().glob("*")):  # hidden ones too, which are unfinished
        name = re.match(r"\.?(.+?)(\.building-.*|-[0-9a-f]{12})?$", entry.name)
        if name and entry.name != "locks":
            with locked(name[1]):
                shutil.rmtree(entry, ignore_errors=True)
