"""Whether the caller may change this host, and whether another ollamactl is doing so just now."""

import os
from contextlib import AbstractContextManager
from pathlib import Path

from ollamactl.errors import NotPermitted
from ollamactl.host import lock
from ollamactl.host.observe import Host
from ollamactl.protocols import Tell

LOCK = "/run/ollamactl.lock"
"""Not in /run/lock, where everybody may put a file first."""
PULL_LOCK = "/run/ollamactl-pull.lock"
"""Taken before the other one, which a pull holds for moments only: it may last for hours."""


def require_root(host: Host, command: str) -> None:
    """Raises NotPermitted, with the command to type, where the system's units are to be changed without root."""
    if os.geteuid() == 0 or host.user:
        return
    place = host.root / host.layout.unit_dir.lstrip("/")
    there = next(folder for folder in (place, *place.parents) if os.path.exists(folder))  # noqa: PTH110
    if os.access(there, os.W_OK):
        return
    if host.offline:
        raise NotPermitted(f"{command} changes files below {there}", hint="type the same command with sudo")
    raise NotPermitted(
        f"{command} changes units in {host.layout.unit_dir}, which only root may",
        hint=f"sudo ollamactl {command} ..., or run servers of your own with: ollamactl --user {command} ...",
    )


def locked(host: Host, tell: Tell, *, wait: bool = True, path: str = LOCK) -> AbstractContextManager[None]:
    """The one lock of this host's fleet, or of its pulls; waits for another, or raises HostError where `wait` is false.

    Its file stays, below a /run.
    """
    name = path.removeprefix("/run/")
    path = f"{host.root}{path}" if host.offline else path
    if host.user:
        runtime = os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}")
        # Without that folder there is no manager either, which has a better message.
        path = f"{runtime if Path(runtime).is_dir() else host.layout.state_dir}/{name}"
    return lock.acquire(Path(path), wait=wait, on_wait=lambda words: tell("", words))
