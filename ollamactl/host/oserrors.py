"""What the kernel refused, as an error that tells the operator what to do about it."""

import errno
import os

from ollamactl.errors import HostError, NotPermitted, OllamactlError

_HINTS = {
    errno.ENOSPC: "the disk is full: `df -h {0}` and `df -i {0}` show it; nothing was left half-written",
    errno.EDQUOT: "a disk quota is used up; nothing was left half-written",
    errno.EROFS: "the file system is read-only: remount it, or use --root to prepare an image elsewhere",
    errno.ENOTDIR: "a part of the path is a file where a directory should be: `namei -l {0}` shows which",
    errno.ELOOP: "a part of the path is a symbolic link where none may be: `namei -l {0}` shows which",
    errno.ENAMETOOLONG: "choose a shorter instance or model name",
}


def translate(error: OSError, what: str, path: str) -> OllamactlError:
    """The error of a system call as NotPermitted (a right is missing) or HostError; `what` as in `cannot write`."""
    reason = (error.strerror or str(error)).lower()
    message = f"{path}: cannot {what}: {reason}"
    if error.errno in (errno.EACCES, errno.EPERM):
        if os.geteuid() != 0:
            return NotPermitted(message, hint="type the same command with sudo")
        return HostError(message, hint=f"root is refused here: `lsattr -d {path}` shows whether it is immutable")
    return HostError(message, hint=_HINTS.get(error.errno or 0, "").format(path))
