"""Prove that the lab is worth testing in: a "no" of systemd's is silent, so look at the effect of each fence."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.lab import binaries, models
from tests.lab.cache import say
from tests.lab.container import Container
from tests.lab.roots import EXTRA, SUITES

REAL = "http://127.0.0.1:11434"


def selfcheck() -> int:
    """Boot both suites side by side and check them; returns 1 when anything is not as it should be."""
    with ThreadPoolExecutor() as pool:
        problems = [problem for found in pool.map(_check_suite, SUITES) for problem in found]
    for problem in problems:
        say(f"PROBLEM {problem}")
    say("selfcheck: " + (f"{len(problems)} problems" if problems else "all is well"))
    return 1 if problems else 0


class Checks:
    """Says what was seen, and remembers what should not have been."""

    def __init__(self, suite: str) -> None:
        self.suite = suite
        self.problems: list[str] = []

    def say(self, line: str) -> None:
        """Something to know, not to judge."""
        say(f"{self.suite}: {line}")

    def check(self, what: str, seen: object, wanted: object) -> None:
        """Something that must be so."""
        self.say(f"{what}: {seen or 'allowed'}")
        if seen != wanted:
            self.problems.append(f"{self.suite}: {what}: {seen!r} instead of {wanted!r}")


def _check_suite(suite: str) -> list[str]:
    checks = Checks(suite)
    with Container.boot(suite, store=True) as machine:
        version = machine.run(["systemctl", "--version"]).stdout.splitlines()[0]
        checks.say(f"booted in {machine.boot_seconds:.2f} s, {version}")
        checks.check("system", _state(machine), "running")
        started = time.monotonic()
        for _ in range(20):
            machine.run(["true"])
        checks.say(f"a run costs {(time.monotonic() - started) / 20 * 1000:.0f} ms")
        _check_ollama(machine, checks)
        for minor in (0, 1):
            machine.run(
                f"mknod --mode=666 /dev/lab-card{minor} c 195 {minor}"
            )  # no driver here: ENXIO, once let through
        for fence in FENCES:
            checks.check(f"{fence.what} without the fence", _try_in_unit(machine, (), fence.query), fence.without)
            checks.check(f"{fence.what}", _try_in_unit(machine, fence.properties, fence.query), fence.within)
        user = machine.user("someone")
        state = user.run(["systemctl", "--user", "is-system-running"], check=False).stdout.strip()
        checks.check("user manager", state, "running")
        machine.reboot()
        checks.check("a file is there after a reboot", machine.exists("/home/someone"), True)
        checks.check("system after a reboot", _state(machine), "running")
    return checks.problems


def _state(machine: Container) -> str:
    failed = machine.run(["systemctl", "list-units", "--failed", "--no-legend", "--plain"]).stdout
    return machine.run(["systemctl", "is-system-running"], check=False).stdout.strip() + (
        f" ({failed})" if failed else ""
    )


@dataclass(frozen=True, kw_only=True)
class Fence:
    """A fence of systemd's: what the stand-in tries, and what errno it sees without the fence and within it."""

    what: str
    properties: tuple[str, ...]
    query: str
    without: str
    within: str


CARD_1 = ("DevicePolicy=closed", "DeviceAllow=/dev/char/195:1 rw")
LOOPBACK = ("IPAddressDeny=any", "IPAddressAllow=127.0.0.1/32")
FENCES = (
    Fence(
        what="DeviceAllow= of another card", properties=CARD_1, query="op=open&path=/dev/lab-card0&mode=rw",
        without="ENXIO", within="EPERM",
    ),
    Fence(
        what="DeviceAllow= of this card", properties=CARD_1, query="op=open&path=/dev/lab-card1&mode=rw",
        without="ENXIO", within="ENXIO",
    ),
    Fence(
        what="IPAddressDeny=", properties=LOOPBACK, query="op=connect&address=127.0.0.2:1&timeout_ms=300",
        without="ECONNREFUSED", within="ETIMEDOUT",
    ),
    Fence(
        what="SystemCallFilter=", properties=("SystemCallFilter=~unshare", "SystemCallErrorNumber=EPERM"),
        query="op=unshare&flags=0x04000000", without="", within="EPERM",
    ),
    Fence(
        what="DynamicUser= and PrivateUsers=", properties=("DynamicUser=yes", "PrivateUsers=yes"),
        query="op=kill&pid=1", without="", within="EPERM",
    ),
)  # fmt: skip


def _try_in_unit(machine: Container, properties: tuple[str, ...], query: str) -> str:
    """The errno that the stand-in sees in a transient unit with these properties; empty when it was let."""
    address = "127.0.0.1:12000"
    environment = (f"OLLAMA_HOST={address}", "HOME=/tmp", "OLLAMA_MODELS=/tmp/models")
    arguments = [f"--setenv={one}" for one in environment] + [f"--property={one}" for one in properties]
    unit = ["systemd-run", "--unit=lab-fence", "--service-type=exec", "--collect"]
    machine.run([*unit, *arguments, binaries.STANDIN, "serve"])
    try:
        ask = f"curl --silent 'http://{address}/standin/try?{query}'"
        answer = machine.run(f"{_wait(f'http://{address}')} && {ask}", timeout=30).stdout
    finally:
        machine.run(["systemctl", "stop", "lab-fence"])
    return str(json.loads(answer)["errno"])


def _check_ollama(machine: Container, checks: Checks) -> None:
    environment = ("HOME=/root", "OLLAMA_NO_CLOUD=1", f"OLLAMA_MODELS={models.STORE}")
    arguments = [f"--setenv={one}" for one in environment]
    machine.run(["systemd-run", "--unit=lab-ollama", "--service-type=exec", *arguments, binaries.OLLAMA, "serve"])
    started = time.monotonic()
    machine.run(_wait(REAL), timeout=60)
    checks.say(f"ollama serve answers after {time.monotonic() - started:.2f} s")
    tags = json.loads(machine.run(["curl", "--silent", f"{REAL}/api/tags"]).stdout)
    names = sorted(model.full_name for model in models.MODELS)
    checks.check("models", sorted(model["name"] for model in tags["models"]), names)
    if machine.suite in EXTRA:  # the suite with a runner
        body = json.dumps({"model": "llama3", "prompt": "x", "stream": False, "options": {"num_predict": 2}})
        answer = json.loads(machine.run(["curl", "--silent", f"{REAL}/api/generate", "--data", body]).stdout)
        checks.check("a real generate is done", answer.get("done"), True)
    machine.run(["systemctl", "stop", "lab-ollama"])


def _wait(url: str) -> str:
    return f"until curl --silent --fail {url}/ >/dev/null; do sleep 0.02; done"
