"""Runs inside a machine: changes a fleet to and fro, and kills each change at another moment, as SIGKILL does.

Usage: killer.py steps FIRST LAST, killer.py moments COUNT SEED, or with FIRST LAST EVERY: killer.py taking, where the
apply takes the place of ollama.service, killer.py doors, where ports go to systemd and come back, killer.py undo, where
it fails and is killed on its way back, killer.py rollback, and killer.py destroy. The specs are /root/old.yaml,
/root/new.yaml and /root/broken.yaml, or /root/taking.yaml, or /root/awake.yaml and /root/asleep.yaml. It prints a line
of JSON for each kill: where it was, and what was wrong afterwards (nothing, when all is well). It forks from one warm
process, so that a kill costs as much as its applies alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from ollamactl import cli, wayback
from ollamactl.host import systemd

OLD, NEW, SPEC, TAKING = "/root/old.yaml", "/root/new.yaml", "/root/fleet.yaml", "/root/taking.yaml"
BROKEN = "/root/broken.yaml"
FOREIGN = ("/etc/systemd/system/ollama@old.service.d/override.conf", "/etc/systemd/system/mine.service")
TIMER = "ollamactl-heal.timer"
EFFECTS = ("rename", "unlink", "rmdir", "mkdir", "symlink", "ftruncate")
METHODS = ("Reload", "StartUnit", "StopUnit", "RestartUnit", "TryRestartUnit", "EnableUnitFiles", "DisableUnitFiles")


for name in ("jinja2", "jsonschema", "yaml", "ollamactl.spec.specfile", "ollamactl.units.render"):
    import_module(name)  # warm: what an apply imports


def main() -> None:
    before = foreign()
    for where, kill in kills():
        apply(OLD)
        shutil.copy(NEW, SPEC)
        killed = kill()
        wrong = [*recovered(), *(["a foreign file changed"] if foreign() != before else [])]
        print(json.dumps({"at": where, "killed": killed, "wrong": wrong}), flush=True)
        if not killed and sys.argv[1] == "steps":
            return  # there are no more steps than that


def taking() -> None:
    """Kills applies that take a service's place: the next one takes it, and a rollback gives it back as it was."""
    service("enable", "--now")
    before = standing()
    for number in range(*map(int, sys.argv[2:5])):
        shutil.copy(TAKING, SPEC)
        killed = killed_at(number)
        code, envelope = told("apply", SPEC)
        wrong = [] if code == 0 else [f"the next apply ends with {code}: {envelope['problems']}"]
        wrong += [f"it is still {words}" for words in standing()[:2] if words in ("active", "enabled")]
        code, envelope = told("rollback", "0")
        wrong += [] if code == 0 else [f"rollback ends with {code}: {envelope['problems']}"]
        wrong += [] if standing() == before else [f"it is {standing()}, and was {before}"]
        print(json.dumps({"at": f"effect {number}", "killed": killed, "wrong": wrong}), flush=True)
        if not killed:
            return
        service("enable", "--now")


def doors() -> None:
    """Kills applies between a fleet whose servers hold their ports, and one where systemd holds others."""
    for number in range(*map(int, sys.argv[2:5])):
        apply("/root/awake.yaml")
        shutil.copy("/root/asleep.yaml", SPEC)
        killed = killed_at(number)
        links = [f"ollama-gate-{name}.socket" for name in ("both", "moves")] + ["ollama@stays.service"]
        wrong = [*converged(links), *silent(12000, 12001, 12002)]
        print(json.dumps({"at": f"effect {number}", "killed": killed, "wrong": wrong}), flush=True)
        if not killed:
            return


def silent(*ports: int) -> list[str]:
    """The ports where no server answers."""
    ask = ["curl", "-sS", "--fail", "--max-time", "20", "-o", "/dev/null"]
    urls = {port: f"http://127.0.0.1:{port}/api/version" for port in ports}
    return [
        f"nobody answers on {port}" for port, url in urls.items() if subprocess.run([*ask, url], check=False).returncode
    ]


def backwards() -> None:
    """Kills what goes back: the next apply reaches its spec all the same, and touches nothing of others'."""
    before = foreign()
    for number in range(*map(int, sys.argv[2:5])):
        apply(OLD)
        if sys.argv[1] == "undo":
            shutil.copy(BROKEN, SPEC)
            killed = killed_at(number, "apply", SPEC, late=True)
        else:
            apply(NEW)
            killed = killed_at(number, *{"rollback": ["rollback"], "destroy": ["destroy", "--yes"]}[sys.argv[1]])
        shutil.copy(NEW, SPEC)
        wrong = [*recovered(), *(["a foreign file changed"] if foreign() != before else [])]
        print(json.dumps({"at": f"effect {number}", "killed": killed, "wrong": wrong}), flush=True)
        if not killed:
            return


def service(*words: str) -> None:
    subprocess.run(["systemctl", *words, "--quiet", "ollama.service"], check=True)


def standing() -> list[str]:
    """How the service is, and every link to it."""
    ask = "systemctl is-active ollama.service; systemctl is-enabled ollama.service"
    shown = subprocess.run(["sh", "-c", ask], capture_output=True, text=True, check=False).stdout.split()
    return [*shown, *sorted(str(path) for path in Path("/etc/systemd/system").glob("*.wants/ollama.service"))]


def kills() -> Iterator[tuple[str, Callable[[], bool]]]:
    if sys.argv[1] == "steps":
        for number in range(int(sys.argv[2]), int(sys.argv[3])):
            yield f"effect {number}", partial(killed_at, number)
    else:
        apply(OLD)
        started = time.monotonic()
        apply(NEW)
        whole = time.monotonic() - started
        chance = random.Random(int(sys.argv[3]))
        for _ in range(int(sys.argv[2])):
            seconds = chance.uniform(0, whole)
            yield f"{seconds:.3f} s", partial(killed_after, seconds)


def killed_at(number: int, *words: str, late: bool = False) -> bool:
    return forked(lambda: dying_at(number, *words or ("apply", SPEC), late=late)) == -signal.SIGKILL


def killed_after(seconds: float) -> bool:
    return forked(lambda: run("apply", SPEC), seconds) == -signal.SIGKILL


def dying_at(number: int, *words: str, late: bool) -> int:
    """A run that is killed just before it does its effect of that number; `late`: counted from its way back on."""
    counter = itertools.count()
    counting = not late
    back = wayback.taken_back

    def taken_back(*args: Any, **options: Any) -> Any:
        nonlocal counting
        counting = True
        return back(*args, **options)

    def dying(real: Callable[..., Any]) -> Callable[..., Any]:
        def effect(*args: Any, **options: Any) -> Any:
            if counting and next(counter) == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **options)

        return effect

    wayback.taken_back = taken_back
    for name in EFFECTS:
        setattr(os, name, dying(getattr(os, name)))
    call = systemd.Manager._call
    deadly = dying(call)

    def called(manager: Any, method: str, *args: Any, **options: Any) -> Any:
        return (deadly if method in METHODS else call)(manager, method, *args, **options)

    setattr(systemd.Manager, "_call", called)  # noqa: B010 - its type is another
    return run(*words)


def recovered() -> list[str]:
    """The same, for the specs that have servers looked for that hang."""
    wrong = converged(["ollama@changed.service", "ollama@new.service", TIMER])
    shown = subprocess.run(["systemctl", "is-active", TIMER], capture_output=True, text=True, check=False).stdout
    return [*wrong, *([] if shown == "active\n" else ["nobody looks for servers that hang"])]


def converged(expected: list[str]) -> list[str]:
    """What is wrong after the next apply."""
    code, envelope = told("apply", SPEC)
    wrong = [] if code == 0 else [f"the next apply ends with {code}: {envelope['problems']}"]
    wrong += [f"{proof['instance']} is not proved" for proof in envelope["data"].get("proofs", []) if not proof["ok"]]
    code, envelope = told("apply", SPEC)
    if envelope["changed"]:
        wrong.append(f"there is still something to do: {envelope['data']['steps'][0]}")
    wrong += [
        f"left behind: {path}" for top in ("/etc", "/var/lib/ollamactl") for path in Path(top).rglob(".ollamactl-*")
    ]
    shown = subprocess.run(
        ["systemctl", "show", "--property=Id,NeedDaemonReload", "ollama@*", "ollama-*", "ollamactl-*"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    if "NeedDaemonReload=yes" in shown:
        wrong.append("systemd has not read its files")
    links = sorted(path.name for path in Path("/etc/systemd/system/ollama-fleet.target.wants").iterdir())
    if links != expected:
        wrong.append(f"links: {links}")
    return wrong


def apply(spec: str) -> None:
    shutil.copy(spec, SPEC)
    code, envelope = told("apply", SPEC)
    assert code == 0, envelope


def told(*words: str) -> tuple[int, dict[str, Any]]:
    """A whole run in a process of its own, with what it says."""
    reading, writing = os.pipe()

    def work() -> int:
        os.dup2(writing, 1)
        return run(*words, "--output", "json")

    pid = os.fork()
    if not pid:
        os.close(reading)
        leave(work)
    os.close(writing)
    with os.fdopen(reading) as stream:
        text = stream.read()
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), json.loads(text)


def forked(work: Callable[[], int], seconds: float | None = None) -> int:
    """The end of a process that does the work, killed after some seconds if it still runs."""
    pid = os.fork()
    if not pid:
        with open(os.devnull, "w") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
        leave(work)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def leave(work: Callable[[], int]) -> None:
    code = 99
    try:
        code = work()
    finally:
        sys.stdout.flush()
        os._exit(code)


def run(*words: str) -> int:
    with contextlib.suppress(io.UnsupportedOperation):
        try:
            cli.main(list(words))
        except SystemExit as stop:
            return int(stop.code or 0)
    return 0


def foreign() -> list[str]:
    return [hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in FOREIGN]


if __name__ == "__main__":
    {"taking": taking, "doors": doors, "steps": main, "moments": main}.get(sys.argv[1], backwards)()
