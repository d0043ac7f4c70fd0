"""Who can reach a file (servers run as users without rights of their own), and who can put another in its place."""

# ruff: noqa: PTH116, PTH120
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
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


def writers(path: str) -> Iterator[tuple[str, str]]:
    """Places on the way to the file, it included, that somebody other than root can change, and who that is."""
    sticky = False
    with suppress(OSError):
        for place, about in _passed(path):
            # Nobody writes to a link; in a sticky folder an entry's owner can put another in its place (unlink(2))
            if (not stat.S_ISLNK(about.st_mode) or sticky) and (who := _writer(about)):
                yield place, who
            sticky = bool(about.st_mode & stat.S_ISVTX)


def led(path: str) -> tuple[str, int, str]:
    """Where a path leads, who owns that, and the first link on the way that somebody else than root or he has made.

    Whoever may make a link can lead root to any place; where the place is his own, too, he gains nothing by it.
    Raises OSError.
    """
    real, owner, links = "/", 0, []
    for place, about in _passed(path):
        if stat.S_ISLNK(about.st_mode):
            links.append((place, about.st_uid))
        else:
            real, owner = place, about.st_uid
    return real, owner, next((place for place, maker in links if maker not in (0, owner)), "")


def astray(path: str) -> str:
    """That link; empty where there is none."""
    try:
        return led(path)[2]
    except OSError:
        return ""


def _passed(path: str) -> Iterator[tuple[str, os.stat_result]]:
    """Every folder and link that a look-up passes, and the file, as path_resolution(7) says. Raises OSError."""
    at, names, links = "/", path.split("/"), 40
    yield at, os.lstat(at)
    while names and links:
        name = names.pop(0)
        if name == "..":
            at = os.path.dirname(at)
        if name in ("", ".", ".."):
            continue
        place = os.path.join(at, name)  # noqa: PTH118
        # Asked of the open link: who may exchange it can't have one's owner go with another one's target
        fd = os.open(place, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            about = os.fstat(fd)
            target = os.readlink("", dir_fd=fd) if stat.S_ISLNK(about.st_mode) else None
        finally:
            os.close(fd)
        yield place, about
        if target is None:
            at = place
            continue
        names, links = [*target.split("/"), *names], links - 1
        at = "/" if target.startswith("/") else at


def _writer(about: os.stat_result) -> str:
    """Who but root may write, in words; in a sticky folder nobody can replace what is another's."""
    import grp
    import pwd

    if about.st_uid:
        with suppress(KeyError):
            return pwd.getpwuid(about.st_uid).pw_name
        return f"the user {about.st_uid}"
    mode = stat.S_IMODE(about.st_mode)
    if stat.S_ISLNK(about.st_mode) or mode & stat.S_ISVTX:
        return ""
    if mode & stat.S_IWOTH:
        return "everybody"
    if mode & stat.S_IWGRP and about.st_gid:
        with suppress(KeyError):
            group = grp.getgrgid(about.st_gid)
            if not group.gr_mem and all(account.pw_gid != about.st_gid for account in pwd.getpwall()):
                return ""  # as Debian's `staff`
            return f"the group {group.gr_name}"
        return f"the group {about.st_gid}"
    return ""
