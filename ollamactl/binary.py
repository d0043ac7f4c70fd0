"""The `ollama` program: is it one, does it run here, and which version is it."""

import errno
import os
import re
import stat
from functools import cache
from pathlib import Path

from ollamactl import reach
from ollamactl.errors import HostError, Problem

_TIMEOUT = 10.0
_NOWHERE = "127.0.0.1:1"
"""No server listens here: the program asks the running one for its version, and that is not the one in question."""
_VERSION = re.compile(r"(client version is|ollama version(?: is)?) v?(\S+)")
_INSTALL = "install Ollama from https://ollama.com/download, or set `ollama.binary` to where it is"


@cache
def version(path: str) -> str:
    """The version of the program at the path, as /api/version would tell it (cmd.versionHandler in Ollama).

    Raises HostError where it can't be run or is not Ollama. Asked once a run: it takes some 50 ms.
    """
    import subprocess

    environment = {"OLLAMA_HOST": _NOWHERE, "HOME": "/nonexistent", "PATH": os.defpath}
    try:
        done = subprocess.run(
            [path, "--version"],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise HostError(f"{path}: `--version` did not end within {_TIMEOUT:.0f} s", hint=_INSTALL) from None
    except OSError as error:
        raise _unrunnable(path, error) from error
    told = dict(_VERSION.findall((done.stdout + b"\n" + done.stderr).decode(errors="replace")))
    # "client" is the program itself; the other is the server, where one answers or the two are the same.
    found = told.get("client version is") or next(iter(told.values()), "")
    if not found:
        raise HostError(f"{path}: is not Ollama: `{path} --version` names no version of it", hint=_INSTALL)
    return found


def problem(path: str, *, others: bool = True) -> Problem | None:
    """Why the program can't serve, or None: missing, not executable, for another machine, not Ollama.

    `others`: it must run for users without rights of their own, as DynamicUser= makes them.
    """
    program = Path(path)
    try:
        mode = program.stat().st_mode
    except FileNotFoundError:
        return Problem(message="there is no such file", hint=_INSTALL, path=path)
    except OSError as error:
        return Problem(message=f"can't be read: {error.strerror}", hint=f"`namei -l {path}` shows why", path=path)
    if not stat.S_ISREG(mode):
        return Problem(message="is not a file", hint=_INSTALL, path=path)
    if others and mode & 0o555 != 0o555:
        message = "the servers' own users may not run it"
        return Problem(message=message, hint=f"`sudo chmod a+rx {path}`", path=path)
    for parent in reach.closed_parents(path) if others else ():
        message = f"the servers' own users may not pass {parent}"
        return Problem(message=message, hint=f"`sudo chmod o+x {parent}`, or move the program", path=path)
    try:
        version(path)
    except HostError as error:
        return Problem(message=str(error).removeprefix(f"{path}: "), hint=error.hint, path=path)
    return None


def _unrunnable(path: str, error: OSError) -> HostError:
    reasons = {
        errno.ENOENT: "there is no such file",
        errno.EACCES: "may not be run: no right to execute it, or its file system is mounted noexec",
        errno.EPERM: "may not be run",
        errno.ENOEXEC: f"is no program for this machine ({os.uname().machine})",
    }
    if error.errno == errno.ENOENT and Path(path).exists():
        # execve(2): what is missing is the interpreter or the loader that the file names.
        reason = f"is a program for another system than this ({os.uname().machine}): its loader is missing"
    else:
        reason = reasons.get(error.errno or 0, f"can't be run: {error.strerror}")
    return HostError(f"{path}: {reason}", hint=_INSTALL)
