"""Paths of a container seen from the host: symbolic links are followed as the container would follow them."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

MAX_LINKS = 40  # what the kernel allows, path_resolution(7)


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
