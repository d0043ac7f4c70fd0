"""Whether what is to be written has room, asked before anything is changed (statvfs(3))."""

import os
from collections.abc import Collection, Sequence

from ollamactl.errors import Problem, Severity, listed
from ollamactl.files import File
from ollamactl.quantity import shown_size

_SLACK = 64 << 10
"""Bytes for folders, links and what a generation says of itself."""
_SLACK_FILES = 16


def problem(folder: str, files: Collection[File], *, copies: int = 1) -> Problem | None:
    """What is wrong with the file system of a folder that is to take the files so many times; None if nothing.

    Where the folder is still to be made, its file system is that of the first parent that there is.
    """
    if (about := _about(folder)) is None:
        return None  # whoever writes there says it better
    if about.f_flag & os.ST_RDONLY:
        hint = f"see how: findmnt -T {folder}; remount it: mount -o remount,rw, then the same command again"
        return Problem(
            path=folder, message="the file system is read-only, and files are to be written there", hint=hint
        )
    free = (about.f_bavail if os.geteuid() else about.f_bfree) * about.f_frsize
    block = max(about.f_frsize, 1)
    need = copies * sum(-(-len(file.data) // block) * block for file in files) + _SLACK
    hint = f"`df -h {folder}` and `df -i {folder}` show it; make room, then the same command again"
    if free < need:
        message = f"the disk is full: {free >> 10} KiB are free, and about {need >> 10} KiB are to be written"
        return Problem(path=folder, message=message, hint=hint)
    if about.f_files and about.f_ffree < len(files) * copies + _SLACK_FILES:
        message = f"the file system has no room for more files: {about.f_ffree} inodes are free"
        return Problem(path=folder, message=message, hint=hint)
    return None


def models(folder: str, coming: Sequence[tuple[str, int | None]]) -> Problem | None:
    """What a store has room for, beside the models that are to come: each with its bytes, None where nobody here knows.

    That they do not fit is an error.
    """
    about = _about(folder)
    free = about.f_bavail * about.f_frsize if about else 0
    unknown = [model for model, size in coming if size is None]
    known = [(model, size) for model, size in coming if size]
    needed = sum(size for _, size in known)
    if about and needed > free:
        who = f"{listed([model for model, _ in known])} {'do' if len(known) > 1 else 'does'}"
        message = f"{who} not fit: {shown_size(needed)} are to be made, and {shown_size(free)} are free"
        return Problem(path=folder, message=message, hint=f"make room: df -h {folder}")
    parts = [f"{model} takes {shown_size(size)}" for model, size in known]
    if not known and not unknown:
        return None
    if unknown:
        parts.append(f"of {listed(unknown)} the registry tells the size, which apply asks before anything is fetched")
    has = f"{shown_size(free)} are free" if about else "it cannot be seen what is free"
    return Problem(path=folder, message="; ".join([*parts, has]), severity=Severity.NOTE)


def _about(folder: str) -> os.statvfs_result | None:
    """Of the file system of a folder, or of the first parent that there is."""
    while not os.path.isdir(folder):  # noqa: PTH112
        folder = os.path.dirname(folder)  # noqa: PTH120
    try:
        return os.statvfs(folder)
    except OSError:
        return None
