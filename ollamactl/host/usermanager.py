"""The user's own service manager: where its sockets are, and why it is not to be reached."""

import os
import pwd
from pathlib import Path

from ollamactl.errors import HostError


def runtime() -> str:
    """The caller's XDG_RUNTIME_DIR; `su` and `sudo` leave that of another user, or none, and it is always here."""
    named = os.environ.get("XDG_RUNTIME_DIR", "")
    try:
        if Path(named).stat().st_uid == os.getuid() and named.startswith("/"):
            return named
    except OSError:
        pass
    return f"/run/user/{os.getuid()}"


def unreachable(folder: str, why: str) -> HostError:
    """No manager answered there; says what is wrong and what to type (`why` is the system's own word)."""
    uid = os.getuid()
    caller = os.environ.get("SUDO_USER")
    if uid == 0 and caller and caller != "root":
        return HostError(
            "--user under sudo means root's own service manager, which does not run",
            hint=f"type the same as {caller}, without sudo",
        )
    name = _name(uid)
    if not Path(folder).is_dir():
        instead = "; the system's own servers need no --user" if uid == 0 else ""
        return HostError(
            f"{name} has no service manager running: there is no {folder}, as nobody has logged in as {name}",
            hint=f"have it run always: sudo loginctl enable-linger {name}; or log in as {name}, not by su{instead}",
        )
    return HostError(
        f"the service manager of {name} does not answer at {folder}/systemd/private: {why}",
        hint=f"see how it is: systemctl status user@{uid}.service; start it: sudo systemctl start user@{uid}.service",
    )


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
