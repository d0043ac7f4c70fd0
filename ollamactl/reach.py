"""Whether a user without rights of his own can reach a file: servers run as such users (DynamicUser=)."""

# ruff: noqa: PTH116
import os
import stat
from collections.abc import Iterator
from pathlib import PurePath

_HIDDEN = ("/home/", "/root/", "/run/user/")
"""Below these a unit sees a folder of its own in place of the real parents (ProtectHome=, systemd.exec(5))."""


def closed_parents(path: str) -> Iterator[str]:
    """Folders above the path that others may not pass (no `o+x`), the outermost first."""
    if path.startswith(_HIDDEN):
        return
    for parent in reversed(PurePath(path).parents):
        if not others_may(str(parent), stat.S_IXOTH):
            yield str(parent)


def others_may(path: str, rights: int) -> bool:
    """Whether others have all the rights (stat.S_IROTH, ...); True where nobody can say."""
    try:
        return os.stat(path).st_mode & rights == rights
    except OSError:
        return True
