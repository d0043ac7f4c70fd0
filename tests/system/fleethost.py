"""A machine with a fleet on it: write a spec, apply it, and look at what systemd, the files and the servers say."""

from __future__ import annotations

import base64
import hashlib
import json
import stat
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from textwrap import dedent
from typing import Any

from tests import jsondoc
from tests.lab.container import Container, end

SPEC = "/etc/ollamactl/fleet.yaml"
UNITS = "/etc/systemd/system"
STATE = "/var/lib/ollamactl"
STORE = "/var/lib/ollama/models"
TARGET = "ollama-fleet.target"
TEMPLATE = f"{UNITS}/ollama@.service"
STANDIN = "/usr/local/bin/ollama-standin"
REAL = "/usr/local/bin/ollama"


def unit(name: str) -> str:
    """The unit of an instance."""
    return f"ollama@{name}.service"


def drop_in(name: str) -> str:
    """The file of ollamactl's that holds what is the instance's own."""
    return f"{UNITS}/{unit(name)}.d/10-ollamactl.conf"


def edited(text: str, old: str, new: str) -> str:
    """A spec with one change; it is an error of the test when there is not exactly one place for it."""
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the spec"
    return text.replace(old, new)


@dataclass(frozen=True)
class Ran:
    """One run of ollamactl with --output json."""

    code: int
    envelope: dict[str, Any]
    stderr: str
    seconds: float

    @property
    def changed(self) -> bool:
        """Whether the host is different now."""
        return bool(self.envelope["changed"])

    @property
    def errors(self) -> list[str]:
        """The messages of the problems that are errors, each after its path."""
        rows = [row for row in self.envelope["problems"] if row["severity"] == "error"]
        return [f"{row['path']}: {row['message']}" for row in rows]

    @property
    def hints(self) -> list[str]:
        """What to do about each of them."""
        return [row["hint"] for row in self.envelope["problems"] if row["severity"] == "error"]

    @property
    def notes(self) -> list[str]:
        """The messages of the problems that are no errors."""
        return [row["message"] for row in self.envelope["problems"] if row["severity"] != "error"]

    @property
    def steps(self) -> list[str]:
        """`restart ollama@llama3.service: context_length 4096 -> 8192` for each step but waits and proofs."""
        rows = [row for row in self.envelope["data"]["steps"] if row["step"] not in ("wait", "verify")]
        return [f"{row['step']} {row['subject']}: {row['cause']}" for row in rows]

    @property
    def proofs(self) -> dict[str, dict[str, Any]]:
        """By instance."""
        return {row["instance"]: row for row in self.envelope["data"]["proofs"]}

    def failed_checks(self, instance: str) -> dict[str, dict[str, str]]:
        """What did not hold for an instance, by the name of the check."""
        return {check["check"]: check for check in self.proofs[instance]["checks"] if not check["ok"]}


class FleetHost:
    """What scenarios do on one machine."""

    def __init__(self, machine: Container) -> None:
        self.machine = machine

    def spec(self, text: str, path: str = SPEC) -> str:
        """Write a spec, indented as it stands in a test, and return its path."""
        self.machine.write(path, dedent(text).lstrip("\n"))
        return path

    def json(self, *args: str, user: str | None = None, env: Mapping[str, str] | None = None) -> Ran:
        """Run `ollamactl ARGS --output json`, whatever its exit code is."""
        return self.finished(self.machine.popen(["ollamactl", *args, "--output", "json"], user=user, env=env))

    def finished(self, process: subprocess.Popen[str], *, timeout: float = 120) -> Ran:
        """What a run of ollamactl with --output json comes to, once it has ended."""
        started = time.monotonic()
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        finally:
            end(process)
        seconds = time.monotonic() - started
        try:
            envelope = json.loads(stdout)
        except ValueError:
            raise AssertionError(f"no JSON, status {process.returncode}:\n{stdout}{stderr}") from None
        if envelope["data"] and (words := jsondoc.wrong(envelope["data"], f"`{envelope['command']}`")):
            raise AssertionError(f"docs/json.md: {'; '.join(words)}")
        return Ran(code=process.returncode, envelope=envelope, stderr=stderr, seconds=seconds)

    def apply(self, text: str | None = None, *args: str) -> Ran:
        """Write the spec where one is given, and apply it."""
        if text is not None:
            self.spec(text)
        return self.json("apply", SPEC, *args)

    def applied(self, text: str | None = None, *args: str) -> Ran:
        """An apply that must succeed: the start of a scenario."""
        ran = self.apply(text, *args)
        assert ran.code == 0, json.dumps(ran.envelope, indent=1) + ran.stderr
        return ran

    def plan(self, text: str | None = None, *args: str) -> Ran:
        """Write the spec where one is given, and plan it."""
        if text is not None:
            self.spec(text)
        return self.json("plan", SPEC, *args)

    def show(self, name: str, *properties: str) -> dict[str, str]:
        """Properties of a unit by `systemctl show`; an instance's name stands for its unit."""
        full = name if "." in name else unit(name)
        shown = self.machine.run(["systemctl", "show", f"--property={','.join(properties)}", full]).stdout
        return dict(line.split("=", 1) for line in shown.splitlines())

    def invocations(self, *names: str) -> dict[str, str]:
        """InvocationID of each instance: another one is another start of the server."""
        command = ["systemctl", "show", "--property=Id,InvocationID", *map(unit, names)]
        blocks = self.machine.run(command).stdout.strip().split("\n\n")
        rows = [dict(line.split("=", 1) for line in block.splitlines()) for block in blocks]
        ids = {row["Id"]: row["InvocationID"] for row in rows}
        return {name: ids[unit(name)] for name in names}

    def states(self, *names: str) -> dict[str, str]:
        """ActiveState of each instance."""
        return {name: self.show(name, "ActiveState")["ActiveState"] for name in names}

    def pid(self, name: str) -> int:
        """The main process as the container numbers it."""
        return int(self.show(name, "MainPID")["MainPID"])

    def reloads(self) -> int:
        """How often the manager has read its units again since the boot."""
        self.machine.run(["journalctl", "--sync"])
        lines = self.machine.run(["journalctl", "--no-pager", "--boot", "--output=cat", "_PID=1"]).stdout.splitlines()
        return sum(line == "Reloading." or line.startswith("Reloading requested") for line in lines)

    def files(self, *folders: str) -> dict[str, str]:
        """Everything below the folders, in words to compare: each file's mode, mtime in ns and digest."""
        return {path: words for folder in folders or (UNITS, STATE) for path, words in self._walk(folder)}

    def _walk(self, folder: str) -> Iterator[tuple[str, str]]:
        top = self.machine.path(folder)
        for file in sorted(top.rglob("*")) if top.is_dir() else ():
            path = f"{folder}/{file.relative_to(top)}"
            about = file.lstat()
            if stat.S_ISLNK(about.st_mode):
                yield path, f"link to {file.readlink()}"
            elif stat.S_ISDIR(about.st_mode):
                yield path, f"folder {stat.S_IMODE(about.st_mode):04o}"
            elif stat.S_ISREG(about.st_mode):
                digest = hashlib.sha256(file.read_bytes()).hexdigest()[:12]
                yield path, f"{stat.S_IMODE(about.st_mode):04o} {about.st_mtime_ns} {digest}"

    def get(self, port: int, path: str) -> Any:
        """The JSON answer of a server to a GET."""
        return json.loads(
            self.machine.run(["curl", "-sS", "--max-time", "10", f"http://127.0.0.1:{port}{path}"]).stdout
        )

    def models(self, port: int) -> list[str]:
        """The models that a server lists."""
        return sorted(row["name"] for row in self.get(port, "/api/tags")["models"])

    def misbehave(self, port: int, **settings: str) -> None:
        """Tell a running stand-in how to behave from now on (tests/standin/main.go)."""
        command = ["curl", "-sS", "--fail", "--data", json.dumps(settings), f"http://127.0.0.1:{port}/standin/set"]
        self.machine.run(command)

    def environ(self, port: int) -> dict[str, str]:
        """The environment of a running stand-in, as its process has it."""

        def text(code: str) -> str:
            return base64.b64decode(code).decode(errors="surrogateescape")

        return {text(name): text(value) for name, value in self.get(port, "/standin/env").items()}

    def background(self, command: str, *, port: int) -> None:
        """Start a program that belongs to no unit, and wait until it listens."""
        self.machine.popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.wait_for_port(port)

    def listening(self, port: int) -> bool:
        """Whether anything listens on a port."""
        return f":{port} " in self.machine.run(["ss", "-Hltn"]).stdout

    def wait_for_port(self, port: int) -> None:
        """Wait until anything listens on a port."""
        self.wait_for(lambda: self.listening(port))

    def wait_for(self, condition: Callable[[], bool], *, seconds: float = 20) -> None:
        """Wait for what comes by itself and tells nobody; fails when it does not come."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"it did not come within {seconds} s"
            time.sleep(0.05)
