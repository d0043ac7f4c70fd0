"""Prove that the lab is worth testing in: a "no" of systemd's is silent, so look at the effect of each fence."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor

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


def _check_suite(suite: str) -> list[str]:
    problems = []

    def check(what: str, seen: object, wanted: object) -> None:
        say(f"{suite}: {what}: {seen}")
        if seen != wanted:
            problems.append(f"{suite}: {what}: {seen!r} instead of {wanted!r}")

    with Container.boot(suite, store=True) as machine:
        version = machine.run(["systemctl", "--version"]).stdout.splitlines()[0]
        say(f"{suite}: booted in {machine.boot_seconds:.2f} s, {version}")
        state = machine.run(["systemctl", "is-system-running"], check=False).stdout.strip()
        check("system", state, "running")
        if state != "running":
            say(machine.run(["systemctl", "--failed", "--no-legend"]).stdout)
        started = time.monotonic()
        for _ in range(20):
            machine.run(["true"])
        say(f"{suite}: a run costs {(time.monotonic() - started) / 20 * 1000:.0f} ms")
        _check_ollama(machine, check)
        for what, properties, query, without, within in FENCES:
            for fenced, wanted in ((False, without), (True, within)):
                name = f"{what} {'on' if fenced else 'off'}"
                check(name, _try_in_unit(machine, properties if fenced else (), query), wanted)
        user = machine.user("someone")
        check("user manager", user.run(["systemctl", "--user", "is-system-running"], check=False).stdout.strip(), "running")
        machine.reboot()
        check("a file after a reboot", machine.exists("/home/someone"), True)
        check("system after a reboot", machine.run(["systemctl", "is-system-running"], check=False).stdout.strip(), "running")
    return problems


FENCES = (
    # what, properties, /standin/try query, errno without them, errno with them
    ("DeviceAllow", ("DevicePolicy=closed", "DeviceAllow=/dev/char/195:1 rw"), "op=open&path=/dev/lab-card0&mode=rw", "ENXIO", "EPERM"),
    ("DeviceAllow, the card allowed", ("DevicePolicy=closed", "DeviceAllow=/dev/char/195:1 rw"), "op=open&path=/dev/lab-card1&mode=rw", "ENXIO", "ENXIO"),
    ("IPAddressDeny", ("IPAddressDeny=any", "IPAddressAllow=127.0.0.1/32"), "op=connect&address=127.0.0.2:1&timeout_ms=300", "ECONNREFUSED", "ETIMEDOUT"),
    ("SystemCallFilter", ("SystemCallFilter=~unshare", "SystemCallErrorNumber=EPERM"), "op=unshare&flags=0x04000000", "", "EPERM"),
    ("PrivateUsers and DynamicUser", ("DynamicUser=yes", "PrivateUsers=yes"), "op=kill&pid=1", "", "EPERM"),
)  # fmt: skip


def _try_in_unit(machine: Container, properties: tuple[str, ...], query: str) -> str:
    """The errno that the stand-in sees in a transient unit with these properties; empty when it was let."""
    for minor in (0, 1):
        if not machine.exists(f"/dev/lab-card{minor}"):
            machine.run(["mknod", f"/dev/lab-card{minor}", "c", "195", str(minor)])
            machine.run(["chmod", "666", f"/dev/lab-card{minor}"])
    settings = ("Environment=OLLAMA_HOST=127.0.0.1:12000", "Environment=HOME=/tmp", "Environment=OLLAMA_MODELS=/tmp/models")
    machine.run(
        ["systemd-run", "--unit=lab-fence", "--service-type=exec", "--collect"]
        + [f"--property={one}" for one in (*settings, *properties)]
        + [binaries.STANDIN, "serve"]
    )
    try:
        answer = machine.run(f"{_wait('http://127.0.0.1:12000')} && curl --silent 'http://127.0.0.1:12000/standin/try?{query}'", timeout=30)
    finally:
        machine.run(["systemctl", "stop", "lab-fence"])
    return str(json.loads(answer.stdout)["errno"])


def _check_ollama(machine: Container, check: object) -> None:
    assert callable(check)
    machine.run(
        ["systemd-run", "--unit=lab-ollama", "--service-type=exec", "--setenv=HOME=/root", "--setenv=OLLAMA_NO_CLOUD=1"]
        + [f"--setenv=OLLAMA_MODELS={models.STORE}", binaries.OLLAMA, "serve"]
    )
    started = time.monotonic()
    machine.run(_wait(REAL), timeout=60)
    say(f"{machine.suite}: ollama serve answers after {time.monotonic() - started:.2f} s")
    tags = json.loads(machine.run(["curl", "--silent", f"{REAL}/api/tags"]).stdout)
    names = sorted(name if ":" in name else f"{name}:latest" for name in (model.name for model in models.MODELS))
    check("models", sorted(model["name"] for model in tags["models"]), names)
    if machine.suite in EXTRA:  # the suite with a runner
        body = json.dumps({"model": "llama3", "prompt": "x", "stream": False, "options": {"num_predict": 2}})
        answer = json.loads(machine.run(["curl", "--silent", f"{REAL}/api/generate", "--data", body]).stdout)
        check("generate", answer.get("done"), True)
    machine.run(["systemctl", "stop", "lab-ollama"])


def _wait(url: str) -> str:
    return f"until curl --silent --fail {url}/ >/dev/null; do sleep 0.02; done"
