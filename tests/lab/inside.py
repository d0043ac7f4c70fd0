"""Paths of a container seen from the host: symbolic links are followed as the container would follow them."""

from __future__ import annotations

import os
import shutil
from abc import ABC, abstractmethod
from pathlib import Path, PurePosixPath

MAX_LINKS = 40  # what the kernel allows, path_resolution(7)


class Files(ABC):
    """The files of a container, whether it runs or is powered off."""

    @property
    @abstractmethod
    def root(self) -> Path:
        """The host's name of the container's root directory."""

    def path(self, path: str, *, follow: bool = True) -> Path:
        """The host's name of a path in the container, for whole trees; valid until the next power-off."""
        return inside(self.root, path, follow=follow)

    def write(self, path: str, text: str | bytes, *, mode: int = 0o644) -> None:
        """Write a file of root's, with its directories, also while the container is powered off."""
        file = self.path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        file.chmod(mode)

    def read(self, path: str) -> str:
        """The text of a file; bytes that are no UTF-8 come as surrogates.  Not for /proc/self."""
        return self.path(path).read_bytes().decode(errors="surrogateescape")

    def exists(self, path: str) -> bool:
        """Whether there is anything at the path; a dangling link counts."""
        return os.path.lexists(self.path(path, follow=False))

    def remove(self, path: str) -> None:
        """Remove a file, a link or a whole directory; nothing there is fine."""
        file = self.path(path, follow=False)
        if file.is_dir() and not file.is_symlink():
            shutil.rmtree(file)
        else:
            file.unlink(missing_ok=True)


def inside(root: Path, path: str | Path, *, follow: bool = True) -> Path:
    """The host's name of the container's absolute `path`.

    Going through /proc/PID/root alone is not enough: an absolute link such as /var/run -> /run would lead to the
    host's own /run, and a test would write there.  `follow=False` leaves the last component as it is.
    """
    pending = list(PurePosixPath(path).parts)
    if not pending or pending.pop(0) != "/":
        raise ValueError(f"a path in a container is absolute: {path}")
    done: list[str] = []
    links = 0
    while pending:
        part = pending.pop(0)
        if part == "/":
            done = []
        elif part == "..":
            done = done[:-1]
        else:
            here = root.joinpath(*done, part)
            if here.is_symlink() and (pending or follow):
                links += 1
                if links > MAX_LINKS:
                    raise OSError(f"too many symbolic links in {path}")
                pending = [*PurePosixPath(os.readlink(here)).parts, *pending]  # noqa: PTH115 -- keeps "/" and ".."
            else:
                done.append(part)
    return root.joinpath(*done)
