"""Users and groups by name: on this host as systemd resolves them (nsswitch.conf(5)), below another root by files."""

import grp
import os
import pwd
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_HOST = Path("/")
_CARDS = ("render", "video")
"""Groups to which the device nodes of cards belong (50-udev-default.rules of systemd)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A user of this host."""

    uid: int
    gids: tuple[int, ...]
    """The primary group first."""
    home: str


def account(user: str) -> Account | None:
    """The user by name or number; None where there is none."""
    try:
        found = pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
    except KeyError:
        return None
    others = (gid for gid in os.getgrouplist(found.pw_name, found.pw_gid) if gid != found.pw_gid)
    return Account(uid=found.pw_uid, gids=(found.pw_gid, *others), home=found.pw_dir)


def gid(group: str) -> int | None:
    """A group's number, by its name or as it is; None where there is none."""
    if group.isdecimal():
        return int(group)
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        return None


def group(number: int) -> str:
    """A group's name by its number; empty where it has none."""
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return ""


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
    return gid(name) is not None


def _entries(path: Path) -> Iterator[list[str]]:
    """The lines of passwd(5) and group(5), each as its fields."""
    try:
        text = path.read_text("utf-8", "replace")
    except OSError:
        return
    for line in text.splitlines():
        yield line.split(":")
