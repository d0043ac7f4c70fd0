"""A user with a manager of its own, for what is run with --user."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.lab.container import Command, Container


@dataclass(frozen=True)
class User:
    """Runs commands as one user of a container, with the environment that a login would have."""

    container: Container
    name: str
    uid: int
    home: str

    @classmethod
    def make(cls, container: Container, name: str) -> User:
        """Add the user unless it is there, let it linger, and wait until its manager and its bus are up."""
        if container.run(["id", "-u", name], check=False).returncode != 0:
            container.run(["useradd", "--create-home", "--shell", "/bin/bash", name])
        uid = int(container.run(["id", "-u", name]).stdout)
        container.run(["loginctl", "enable-linger", name])
        container.run(["systemctl", "start", f"user@{uid}.service"])  # returns when the manager has said READY=1
        return cls(container=container, name=name, uid=uid, home=f"/home/{name}")

    @property
    def environment(self) -> dict[str, str]:
        """What tells systemctl --user where the manager is."""
        runtime = f"/run/user/{self.uid}"
        bus = f"unix:path={runtime}/bus"
        return {"XDG_RUNTIME_DIR": runtime, "DBUS_SESSION_BUS_ADDRESS": bus, "LOGNAME": self.name}

    def run(
        self, command: Command, *, check: bool = True, timeout: float = 120, env: Mapping[str, str] | None = None,
        cwd: str | None = None, input: str | None = None,  # noqa: A002
    ) -> subprocess.CompletedProcess[str]:  # fmt: skip
        """Run a command as this user, in its home; otherwise like `Container.run`."""
        return self.container.run(
            command, check=check, timeout=timeout, env={**self.environment, **(env or {})}, user=self.name,
            cwd=cwd or self.home, input=input,
        )  # fmt: skip

    def popen(self, command: Command, *, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start a command as this user; otherwise like `Container.popen`."""
        return self.container.popen(command, env={**self.environment, **(env or {})}, user=self.name, cwd=self.home)

    def ollamactl(self, *args: str, check: bool = True, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run the checkout's `ollamactl` as this user."""
        return self.run(["ollamactl", *args], check=check, timeout=timeout)
