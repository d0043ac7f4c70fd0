"""A machine whose Ollama servers somebody set up by hand: one trap at a time in units that are sound otherwise."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.lab.container import Container
from tests.system.fleethost import STANDIN, STORE, UNITS, FleetHost

Finding = dict[str, Any]
FIXTURES = "/opt/ollamactl-src/tests/fixtures"


@dataclass(frozen=True)
class Patient:
    """What a test of doctor does with a machine."""

    host: FleetHost

    @property
    def machine(self) -> Container:
        """The machine."""
        return self.host.machine

    def install(
        self,
        name: str = "ollama.service",
        lines: str = "",
        *,
        unit: str = "StartLimitIntervalSec=5min\nStartLimitBurst=5",
        command: str = f"{STANDIN} serve",
        port: int = 11434,
        variables: Mapping[str, str | None] | None = None,
        start: bool = True,
    ) -> str:
        """A unit without any trap, but for `lines` in its [Service]; a variable that is None is left out."""
        home = f"/srv/{name.removesuffix('.service')}"
        self.machine.run(["mkdir", "-p", home])
        given = {
            "HOME": home,
            "OLLAMA_HOST": f"127.0.0.1:{port}",
            "OLLAMA_MODELS": STORE,
            "OLLAMA_NOPRUNE": "1",
            **(variables or {}),
        }
        assignments = "".join(f"Environment={key}={value}\n" for key, value in given.items() if value is not None)
        text = f"[Unit]\n{unit}\n[Service]\nExecStart={command}\nRestart=on-failure\n{assignments}{lines}\n"
        self.machine.write(f"{UNITS}/{name}", f"{text}[Install]\nWantedBy=multi-user.target\n")
        self.reload()
        if start:
            self.machine.run(["systemctl", "enable", "--now", "--quiet", name], check=False)
        return name

    def reload(self) -> None:
        """Has systemd read its files."""
        self.machine.run(["systemctl", "daemon-reload"])

    def examine(self, *, user: str | None = None) -> list[Finding]:
        """What doctor finds; its exit code must fit."""
        ran = self.host.json("doctor", user=user)
        found: list[Finding] = ran.envelope["data"]["findings"]
        assert (ran.code, ran.envelope["status"]) == ((3, "drift") if found else (0, "ok"))
        return found

    def traps(self, *, user: str | None = None) -> set[tuple[str, str]]:
        """The same, as pairs of id and unit."""
        return {(row["id"], row["unit"] or "") for row in self.examine(user=user)}

    def only(self, trap: str, unit: str = "ollama.service") -> Finding:
        """The one finding that there is."""
        found = self.examine()
        assert [(row["id"], row["unit"] or "") for row in found] == [(trap, unit)], found
        return found[0]

    def among(self, trap: str, unit: str = "ollama.service") -> Finding:
        """The one finding that there is, but for what it leads to: a server that does not come up."""
        found = [row for row in self.examine() if row["id"] not in {"crash-loop", "failed"} - {trap}]
        assert [(row["id"], row["unit"] or "") for row in found] == [(trap, unit)], found
        return found[0]

    def mend(self, finding: Finding) -> None:
        """Do what the finding says: the drop-in, as `systemctl edit` would write it, and the commands."""
        if finding["drop_in"]:
            path = f"{UNITS}/{finding['unit']}.d/{finding['id']}.conf"
            self.machine.write(path, finding["drop_in"])
            self.reload()
        for command in commands(finding):
            self.machine.run(command)

    def mended(self, trap: str, unit: str = "ollama.service") -> Finding:
        """The finding, after its mend has been carried out and has left none."""
        finding = self.among(trap, unit)
        self.mend(finding)
        left = self.examine()
        assert left == [], left
        return finding


def commands(finding: Finding) -> Iterator[str]:
    """What stands in backquotes, as root types it; a drop-in is written by other means."""
    for command in re.findall("`([^`]+)`", finding["hint"]):
        if " edit " not in command:
            yield command.replace("sudo ", "")


@contextmanager
def booted() -> Iterator[Patient]:
    """A machine with the tiny models and no server."""
    with Container.boot("bookworm", store=True) as machine:
        yield Patient(FleetHost(machine))
