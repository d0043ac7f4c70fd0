"""Models come from a real registry into the store, whole or not at all, and are served by whoever declares them."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Iterator

import pytest

from tests.system.depot import GATE, REGISTRY, UNIT, Depot, depot
from tests.system.fleethost import SPEC, STORE, FleetHost, drop_in, edited, unit

FLEET = f"""
    version: 1
    pull: {{insecure: "{REGISTRY}"}}
    defaults: {{gpus: none}}
    instances:
      one: {{port: 11434, models: ["{REGISTRY}/library/tiny"]}}
      two: {{port: 11435, models: [qwen]}}
"""
TINY = f"{REGISTRY}/library/tiny:latest"
SIZE = 60_000_000


@pytest.fixture(scope="module")
def there() -> Iterator[Depot]:
    """A machine for all tests that leave its store as it was."""
    with depot() as host:
        yield host


@pytest.fixture
def alone() -> Iterator[Depot]:
    """A machine for one test."""
    with depot() as host:
        yield host


def left(host: FleetHost) -> dict[str, str]:
    """All of the store but what a pull may go on from."""
    return {path: words for path, words in host.files(STORE).items() if "/.ollamactl-pull" not in path}


def gone(host: FleetHost) -> bool:
    """Whether the unit is."""
    return host.machine.run(["systemctl", "list-units", "--all", "--no-legend", UNIT]).stdout == ""


def test_apply_pulls_what_is_missing_and_a_newer_version_restarts_only_who_serves_it(alone: Depot) -> None:
    host = alone
    host.push("llama3", "tiny")
    host.machine.run(f"cd {STORE}; rm -r manifests/registry.ollama.ai/library/[lm]* manifests/registry.ollama.ai/acme")
    host.machine.run(f"useradd --system ollama; chown -R ollama: {STORE}")

    refused, plan = host.apply(FLEET, "--no-pull"), host.plan()
    ran = host.applied()

    assert (refused.code, refused.hints) == (1, [f"pull it: sudo ollamactl pull {TINY}"])
    assert [step for step in plan.steps if step.startswith("pull")] == [f"pull {TINY}: one declares it"]
    assert any(note.startswith(f"of {TINY} the registry tells the size") for note in plan.notes)
    assert plan.steps[0] == ran.steps[0]
    phases = [json.loads(line)["phase"] for line in ran.stderr.splitlines()]
    assert (phases[0], phases[-1]) == ("asking", "done"), "all of its parts are there"
    assert host.models(11434) == [TINY]
    answer = host.machine.run(["curl", "-sS", "http://127.0.0.1:11434/api/show", "-d", json.dumps({"model": TINY})])
    assert "model_info" in json.loads(answer.stdout), "its server's own user reads what was pulled"
    files = host.machine.run(f"find {STORE} ! -user ollama -o ! -perm -0444").stdout
    assert (files, gone(host), host.applied().steps) == ("", True, [])

    before = host.digest(TINY)
    started = host.invocations("one", "two")
    host.push("qwen", "tiny")
    pulled, verified = host.json("pull", "one"), host.json("verify")
    after = host.digest(TINY)
    (row,) = pulled.envelope["data"]["models"]
    assert (pulled.changed, row["before"], row["after"]) == (True, before, after)
    assert [note for note in pulled.notes if note.startswith("one serves")] == [f"one serves {TINY} as before"]
    assert verified.code == 3
    why = f"{TINY} {str(before)[:12]} -> {str(after)[:12]}"
    assert [step for step in host.plan().steps if step.startswith("restart")] == [f"restart {unit('one')}: {why}"]
    host.applied()
    assert [name for name, one in host.invocations("one", "two").items() if one != started[name]] == ["one"]
    assert not host.json("pull").changed
    assert (host.machine.path(drop_in("one")).exists(), gone(host)) == (True, True)


def begun(host: Depot, model: str) -> subprocess.Popen[str]:
    """A pull that is half way."""
    host.order(rate=20_000_000)
    process = host.machine.popen(["ollamactl", "pull", model, "--output", "json"], stderr=subprocess.PIPE)
    assert process.stderr is not None
    for line in process.stderr:
        if json.loads(line)["completed"] > SIZE // 3 and json.loads(line)["total"] == SIZE:
            return process
    raise AssertionError("it never got half way")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_pull_that_is_ended_leaves_nothing_behind_and_goes_on(there: Depot, how: signal.Signals) -> None:
    there.spec(FLEET)
    model = there.heavy(f"heavy-{how.name.lower()}", SIZE)
    before = left(there)
    process = begun(there, model)
    pids = there.machine.run(["systemctl", "show", "-P", "MainPID", UNIT]).stdout.strip()
    writes = there.machine.run(f"nsenter -t {pids} -m touch {STORE}/x {STORE}/blobs/x", check=False).stderr
    fence = "-p IPAddressDeny=any -p IPAddressAllow=127.0.0.1/32"
    address = there.machine.run(f"tr '\\0' '\\n' </proc/{pids}/environ | sed -n s/^OLLAMA_HOST=//p").stdout.strip()
    probe = f"curl -s -o /dev/null --max-time 0.4 http://{address}/api/version"
    ways = (probe, f"runuser -u nobody -- {probe}", f"systemd-run -q --wait {fence} {probe}")
    reached = there.machine.run("; ".join(f"{way}; echo $?" for way in ways)).stdout.split()

    assert (reached, writes.count("Read-only file system")) == (["28", "28", "28"], 2), "no answer for anybody"
    assert there.machine.run(["flock", "-n", "/run/ollamactl.lock", "true"]).returncode == 0, "servers can be healed"
    there.machine.run(["pkill", f"-{how.name.removeprefix('SIG')}", "-f", "ollamactl pull"])
    out, _ = process.communicate(timeout=30)
    there.wait_for(lambda: gone(there))
    assert left(there) == before
    if how is signal.SIGINT:
        assert (process.returncode, json.loads(out)["status"]) == (130, "interrupted")

    there.order()
    there.asked()
    again = there.json("pull", model)
    left_over = json.loads(again.stderr.splitlines()[0])
    begin = max(begin for begin, _ in there.asked())
    assert left_over["phase"] == "size"
    assert abs(SIZE - begin - left_over["total"]) < SIZE // 10, "what is there is not counted"
    assert (again.code, begin > SIZE // 4) == (0, True)
    assert there.digest(model) is not None
    there.machine.run(f"rm -r {STORE}/manifests/{REGISTRY}")
    assert not there.machine.path(f"{STORE}/.ollamactl-pull").exists()


@pytest.mark.parametrize(
    ("orders", "name", "says", "hint"),
    [
        ({}, "nothing", "has no", "look at its name"),
        ({"spoil": 1}, "spoiled", "something else than", "nothing of it was kept"),
        ({"stall": 1_000_000}, "stalled", "not a byte has come for 3 s", "goes on where it stopped"),
    ],
)
def test_what_goes_wrong_is_told_and_the_store_is_as_before(
    there: Depot, orders: dict[str, int], name: str, says: str, hint: str
) -> None:
    there.spec(FLEET)
    model = there.heavy(name, 5_000_000) if orders else f"{REGISTRY}/library/{name}:latest"
    there.order(**orders)
    before = left(there)

    ran = there.json("pull", model, "--timeout", "3s")

    assert (ran.code, ran.changed, len(ran.errors)) == (1, False, 1)
    assert (says in ran.errors[0], model in ran.errors[0], hint in ran.hints[0]) == (True, True, True), ran.errors
    assert (left(there), gone(there)) == (before, True)
    there.order()


def test_a_disk_that_is_too_small_is_told_before_anything_is_fetched(there: Depot) -> None:
    model = there.heavy("large", SIZE)
    there.machine.run("mkdir -p /mnt/small; mount -t tmpfs -o size=30M tmpfs /mnt/small; mkdir /mnt/small/models")
    spec = edited(FLEET, "    pull:", "    ollama: {models: /mnt/small/models}\n    pull:").replace("tiny", "large")
    there.asked()

    ran = there.apply(edited(spec, "      two: {port: 11435, models: [qwen]}\n", ""))

    assert there.asked() == []
    assert (ran.code, ran.changed, gone(there)) == (1, False, True)
    needs = r": (\S+) does not fit: (\d+) MB are still to come, and /mnt/small/models has (\d+) MB free"
    found = re.fullmatch(needs, ran.errors[0])
    assert found, ran.errors
    assert (found[1], found[2], int(found[3]) > 25) == (model, "60", True)
    assert ran.hints == ["make room: df -h /mnt/small/models"]


def test_a_disk_that_fills_up_meanwhile_is_told_and_the_pull_goes_on_when_there_is_room(there: Depot) -> None:
    model = there.heavy("crowded", SIZE)
    there.machine.run("mkdir -p /mnt/crowded; mount -t tmpfs -o size=90M tmpfs /mnt/crowded; mkdir /mnt/crowded/models")
    there.spec(edited(FLEET, "    pull:", "    ollama: {models: /mnt/crowded/models}\n    pull:"))
    process = begun(there, model)
    there.machine.run("head -c 90M /dev/zero >/mnt/crowded/other 2>/dev/null", check=False)
    there.order()

    ran = there.finished(process)

    assert (ran.code, ran.changed, gone(there)) == (1, False, True)
    assert (ran.errors, "make room" in ran.hints[0]) == ([f": the disk is full: {model} does not fit"], True)
    assert there.machine.run("find /mnt/crowded/models/blobs /mnt/crowded/models/manifests -type f").stdout == ""
    there.machine.run("rm /mnt/crowded/other")
    again = there.json("pull", model)
    assert (again.code, again.changed) == (0, True)


def test_a_model_that_fails_keeps_no_other_from_coming(there: Depot) -> None:
    there.spec(FLEET)
    model, missing = there.heavy("other", 1_000_000), f"{REGISTRY}/library/none:latest"

    ran = there.json("pull", missing, model)

    assert (ran.code, ran.changed, len(ran.errors)) == (1, True, 1)
    assert [(row["model"], row["ok"]) for row in ran.envelope["data"]["models"]] == [(missing, False), (model, True)]


def test_what_a_registry_breaks_off_is_fetched_from_there_on(there: Depot) -> None:
    there.spec(FLEET)
    model = there.heavy("cut", SIZE)
    there.asked()
    there.order(cut=SIZE // 3)
    process = there.machine.popen(["ollamactl", "pull", model, "--output", "json"])
    there.wait_for(lambda: there.machine.run("grep -c -v '^0-' /srv/front/asked", check=False).stdout != "0\n")
    there.order()
    out, _ = process.communicate(timeout=60)

    assert (process.returncode, json.loads(out)["changed"]) == (0, True)
    assert SIZE // 4 < max(begin for begin, _ in there.asked()) < SIZE
    assert gone(there)


def test_a_user_pulls_into_a_store_of_ones_own(there: Depot) -> None:
    there.push("llama3", "mine")
    user = there.machine.user("bob")
    store = "/home/bob/models"
    there.machine.run(f"mkdir -p {store}; chown -R bob: /home/bob")
    there.machine.write("/home/bob/fleet.yaml", f"""
version: 1
ollama: {{models: {store}}}
pull: {{insecure: "{REGISTRY}"}}
instances: {{mine: {{port: 11534, gpus: none, models: ["{REGISTRY}/library/mine"]}}}}
""")  # fmt: skip

    done = user.ollamactl("--user", "apply", "/home/bob/fleet.yaml")

    assert "1 model pulled, 1 started" in done.stdout
    assert there.models(11534) == [f"{REGISTRY}/library/mine:latest"]
    assert there.machine.run(["find", store, "!", "-user", "bob"]).stdout == ""
    assert sorted(path.name for path in there.machine.path(store).iterdir()) == ["blobs", "manifests"]
    user.ollamactl("--user", "destroy", "--yes")


def test_a_private_model_comes_with_the_key_that_stays_and_with_no_other(there: Depot) -> None:
    model = there.heavy("private", 1_000_000).replace(REGISTRY, GATE)
    spec = edited(FLEET, f'insecure: "{REGISTRY}"', f"insecure: [{REGISTRY}, {GATE}]")
    there.spec(spec)
    first = there.json("key")
    public = first.envelope["data"]["public"]
    there.machine.write("/srv/front/key", public)

    stranger = there.json("pull", model)
    there.spec(edited(spec, "pull: {", "pull: {identity: true, "))
    known, second = there.json("pull", model), there.json("key", user="nobody")

    assert (stranger.code, "does not let us have" in stranger.errors[0]) == (1, True)
    assert stranger.hints[0].endswith("tell your account there `sudo ollamactl key`")
    assert (known.code, known.changed) == (0, True), known.errors
    told = json.loads(known.stderr.splitlines()[0])
    assert (told["phase"], told["total"]) == ("size", 1_000_003), "who asks for sizes has the key, too"
    assert (first.changed, second.changed, second.envelope["data"]["public"]) == (True, False, public)
    path = first.envelope["data"]["path"]
    assert there.machine.run(["stat", "--format=%U %a", path]).stdout == "root 600\n"
    assert "PRIVATE" not in there.machine.journal(UNIT)


def test_a_registry_that_is_down_is_told_and_a_second_pull_waits_for_the_first(there: Depot) -> None:
    there.spec(FLEET)
    there.machine.run("systemctl stop registry front")
    try:
        down = there.json("pull", "one")
    finally:
        there.start()
    assert (down.code, "connection refused" in down.errors[0]) == (1, True)

    model = there.heavy("slow", SIZE)
    first = begun(there, model)
    second = there.machine.popen(["ollamactl", "pull", model, "-q", "--output", "json"])
    there.order()
    outs = [json.loads(process.communicate(timeout=60)[0]) for process in (first, second)]
    assert [(out["status"], out["changed"]) for out in outs] == [("ok", True), ("ok", False)]
    assert SPEC in there.machine.run(["ls", SPEC]).stdout
