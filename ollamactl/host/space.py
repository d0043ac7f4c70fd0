"""Whether what is to be written has room, asked before anything is changed (statvfs(3))."""

import os
from collections.abc import Collection

from ollamactl.errors import Problem
from ollamactl.files import File

_SLACK = 64 << 10
"""Bytes for folders, links and what a generation says of itself."""
_SLACK_FILES = 16


def problem(folder: str, files: Collection[File], *, copies: int = 1) -> Problem | None:
    """What is wrong with the file system of a folder that is to take the files so many times; None if nothing.

    Where the folder is still to be made, its file system is that of the first parent that there is.
    """
    there = folder
    while not os.path.isdir(there):  # noqa: PTH112
        there = os.path.dirname(there)  # noqa: PTH120
    try:
        about = os.statvfs(there)
    except OSError:
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
