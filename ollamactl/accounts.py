"""Users and groups by name: on this host as systemd resolves them (nsswitch.conf(5)), below another root by files."""

import grp
import pwd
from collections.abc import Iterator
from pathlib import Path

_HOST = Path("/")
_CARDS = ("render", "video")
"""Groups to which the device nodes of cards belong (50-udev-default.rules of systemd)."""


def card_groups(root: Path = _HOST) -> tuple[str, ...]:
    """Those of the cards' groups that there are: a unit that names another one fails to start (216/GROUP)."""
    if root == _HOST:
        return tuple(name for name in _CARDS if _has_group(name))
    there = {fields[0] for fields in _entries(root / "etc/group")}
    return tuple(name for name in _CARDS if name in there)


def owner(path: Path, root: Path = _HOST) -> str:
    """The user who owns a file or folder; empty where nothing is there, or the owner has no name."""
    try:
        uid = path.stat().st_uid
    except OSError:
        return ""
    if root == _HOST:
        try:
            return pwd.getpwuid(uid).pw_name
        except KeyError:
            return ""
    return next((fields[0] for fields in _entries(root / "etc/passwd") if fields[2:3] == [str(uid)]), "")


def home(name: str) -> str:
    """A user's home; empty where there is no such user."""
    try:
        return pwd.getpwnam(name).pw_dir if name else ""
    except KeyError:
        return ""


def _has_group(name: str) -> bool:
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


def _entries(path: Path) -> Iterator[list[str]]:
    """The lines of passwd(5) and group(5), each as its fields."""
    try:
        text = path.read_text("utf-8", "replace")
    except OSError:
        return
    for line in text.splitlines():
        yield line.split(":")
