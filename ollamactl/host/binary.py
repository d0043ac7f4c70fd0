"""The `ollama` program: is it one, does it run here, and which version is it."""

import errno
import os
import pwd
import re
import select
import signal
import stat
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from ollamactl.errors import HostError, Problem, Severity
from ollamactl.host import reach

_TIMEOUT = 10.0
_MAX_WORDS = 1 << 16
"""Bytes read of what it says at most."""
_NOBODY = 65534
_NOWHERE = "127.0.0.1:1"
"""No server listens here: the program asks the running one for its version, and that is not the one in question."""
_VERSION = re.compile(r"(client version is|ollama version(?: is)?) v?(\S+)")
_INSTALL = "install Ollama from https://ollama.com/download, or set `ollama.binary` to where it is"


@cache
def version(path: str, *, others: bool = True) -> str:
    """The version of the program at the path, as /api/version would tell it (cmd.versionHandler in Ollama).

    Raises HostError where it can't be run or is not Ollama. Asked once a run: it takes some 50 ms. `others` as in
    `problem`: root then runs it without its own rights, since whoever can write the program would have them.
    """
    try:
        said = _said_to_root(path) if others and os.geteuid() == 0 else _said(path)
    except TimeoutError:
        raise HostError(f"{path}: `--version` did not end within {_TIMEOUT:.0f} s", hint=_INSTALL) from None
    except OSError as error:
        raise _unrunnable(path, error) from error
    told = dict(_VERSION.findall(said.decode(errors="replace")))
    # "client" is the program itself; the other is the server, where one answers or the two are the same.
    found = told.get("client version is") or next(iter(told.values()), "")
    if not found:
        raise HostError(f"{path}: is not Ollama: `{path} --version` names no version of it", hint=_INSTALL)
    return found


def _said_to_root(path: str) -> bytes:
    """The same without root's rights: as its owner, or as nobody where that is root."""
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        owner = os.fstat(fd).st_uid
        try:
            account = pwd.getpwuid(owner) if owner else pwd.getpwnam("nobody")
            user, group = account.pw_uid, account.pw_gid
        except KeyError:
            user, group = owner or _NOBODY, _NOBODY
        # By the open file: it may lie where only root can pass, and nobody can exchange it meanwhile.
        opened = f"/proc/self/fd/{fd}"
        return _said(path, executable=opened, pass_fds=(fd,), user=user, group=group, extra_groups=[])
    finally:
        os.close(fd)


def _said(path: str, **how: Any) -> bytes:
    """What `--version` prints: with nothing of the caller's, not even the terminal, and nothing left running."""
    import subprocess

    with subprocess.Popen(
        [path, "--version"],
        env={"OLLAMA_HOST": _NOWHERE, "HOME": "/nonexistent", "PATH": os.defpath},
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        **how,
    ) as process:
        try:
            return _read(process.stdout.fileno() if process.stdout else -1, time.monotonic() + _TIMEOUT)
        finally:
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)


def _read(fd: int, until: float) -> bytes:
    told = b""
    while len(told) < _MAX_WORDS:
        if not select.select([fd], [], [], max(0.0, until - time.monotonic()))[0]:
            raise TimeoutError
        if not (part := os.read(fd, _MAX_WORDS)):
            break
        told += part
    return told


def problem(path: str, *, others: bool = True) -> Problem | None:
    """Why the program can't serve, or None: missing, not executable, for another machine, not Ollama.

    `others`: it must run for users without rights of their own, as DynamicUser= makes them.
    """
    program = Path(path)
    try:
        mode = program.stat().st_mode
    except FileNotFoundError:
        from ollamactl.host import discover

        there = next(iter(discover.programs()), "")
        hint = f"Ollama is at {there}: write `binary: {there}` below `ollama:`" if there else _INSTALL
        return Problem(message="there is no such file", hint=hint, path=path)
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
        version(path, others=others)
    except HostError as error:
        return Problem(message=str(error).removeprefix(f"{path}: "), hint=error.hint, path=path)
    return None


def exposure(path: str) -> Problem | None:
    """Who but root can put another program there, to be run by the system's units; None where nobody can."""
    place, who = next(iter(reach.writers(path)), ("", ""))
    if not place:
        return None
    return Problem(
        message=f"{who} can change {place if place != path else 'it'}, and so decides what the servers run",
        hint="keep the program where only root may write, such as /usr/local/bin",
        path=path,
        severity=Severity.WARNING,
    )


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
