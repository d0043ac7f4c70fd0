"""An apply reaches the new state with proof, or leaves the old fleet serving; each change can be taken back."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.system.fleethost import SPEC, STATE, UNITS, FleetHost, drop_in, edited

FLEET = """\
version: 1
ollama: {binary: /usr/local/bin/ollama-standin}
defaults: {gpus: none, restart: {delay: 100ms, tries: 2}}
instances:
  llama3: {port: 11434, context_length: 4096}
  mistral: {port: 11435, context_length: 4096, secrets: {TOKEN: hush-hush}}
"""
BROKEN = edited(FLEET, "llama3: {port: 11434,", "llama3: {port: 11434, environment: {STANDIN_EXIT: '3'},")
NAMES = ("llama3", "mistral")


def listing(host: FleetHost) -> dict[str, str]:
    """What is installed, without the history and without times."""
    rows = host.files(UNITS, f"{STATE}/views", f"{STATE}/secrets")
    return {path: " ".join((words.split()[0], words.split()[-1])) for path, words in rows.items()}


def generations(host: FleetHost) -> list[dict[str, Any]]:
    return list(host.json("history").envelope["data"]["generations"])


def shown(host: FleetHost, number: int) -> dict[str, Any]:
    return dict(host.json("history", "show", str(number)).envelope["data"]["generation"])


def test_a_change_that_fails_its_proof_is_rolled_back_and_both_stories_are_told(host: FleetHost) -> None:
    host.applied(FLEET)
    before, started = listing(host), host.invocations("mistral")

    ran = host.apply(BROKEN)

    assert (ran.code, ran.changed) == (1, True)
    assert "unit" in ran.failed_checks("llama3")
    back = ran.envelope["data"]["rollback"]
    assert back["ok"]
    assert {(proof["instance"], proof["ok"]) for proof in back["proofs"]} == {("llama3", True)}
    assert listing(host) == before
    assert host.invocations("mistral") == started
    assert host.environ(11434)["OLLAMA_CONTEXT_LENGTH"] == "4096"
    assert [row["result"] for row in generations(host)] == ["done", "rolled back"]
    failed = [proof for proof in shown(host, 2)["proofs"] if not proof["ok"]]
    assert [proof["instance"] for proof in failed] == ["llama3"]
    assert host.json("plan", SPEC, "--exit-code").code == 3  # the spec still says what failed
    assert host.applied(FLEET).steps == []


def test_a_person_reads_what_failed_and_that_it_was_taken_back(host: FleetHost) -> None:
    host.applied(FLEET)
    host.spec(BROKEN)

    text = host.machine.ollamactl("apply", SPEC, check=False).stdout

    assert "FAIL  llama3" in text
    assert "Rolled back: everything is as it was before; 1 of 1 server proved again." in text


def test_a_first_apply_that_fails_leaves_nothing(host: FleetHost) -> None:
    before = listing(host)

    ran = host.apply(BROKEN)

    assert (ran.code, ran.envelope["data"]["rollback"]["ok"]) == (1, True)
    assert listing(host) == before
    assert host.json("status").code == 2  # no fleet is installed here
    assert [path for path in host.files("/var/lib/ollamactl") if "generations" not in path] == []


def test_keep_going_leaves_the_new_state(host: FleetHost) -> None:
    host.applied(FLEET)

    ran = host.apply(BROKEN, "--keep-going")

    assert (ran.code, "rollback" in ran.envelope["data"]) == (1, False)
    assert "STANDIN_EXIT" in host.machine.read(drop_in("llama3"))
    host.wait_for(lambda: host.states(*NAMES) == {"llama3": "failed", "mistral": "active"})
    assert [row["result"] for row in generations(host)] == ["done", "failed"]


def test_a_server_that_the_change_did_not_touch_makes_nothing_roll_back(host: FleetHost) -> None:
    host.applied(FLEET)
    host.misbehave(11435, STANDIN_HANG="1")

    ran = host.apply(edited(FLEET, "11434, context_length: 4096", "11434, context_length: 2048"), "--timeout", "3s")

    assert (ran.code, "rollback" in ran.envelope["data"]) == (1, False)
    assert list(ran.failed_checks("mistral")) == ["http"]
    assert host.environ(11434)["OLLAMA_CONTEXT_LENGTH"] == "2048"


def test_a_canary_that_does_not_hold_keeps_the_others_as_they_are(host: FleetHost) -> None:
    host.applied(FLEET)
    before, started = listing(host), host.invocations("mistral")
    both = BROKEN.replace("context_length: 4096", "context_length: 2048")

    ran = host.apply(both, "--canary", "llama3")

    assert ran.code == 1
    assert set(ran.proofs) == {"llama3"}
    assert "the canary llama3 did not hold, so nothing else was changed" in " ".join(ran.notes)
    assert (listing(host), host.invocations("mistral")) == (before, started)


def test_a_canary_that_holds_is_followed_by_the_rest(host: FleetHost) -> None:
    host.applied(FLEET)

    ran = host.applied(FLEET.replace("context_length: 4096", "context_length: 2048"), "--canary", "llama3")

    assert {name: proof["ok"] for name, proof in ran.proofs.items()} == dict.fromkeys(NAMES, True)
    restarts = [step.split(":")[0] for step in ran.steps if step.startswith("restart")]
    assert restarts == ["restart ollama@llama3.service", "restart ollama@mistral.service"]
    assert {host.environ(port)["OLLAMA_CONTEXT_LENGTH"] for port in (11434, 11435)} == {"2048"}
    assert host.applied().steps == []


def test_a_canary_that_there_is_not_changes_nothing(host: FleetHost) -> None:
    host.applied(FLEET)
    before = listing(host)

    ran = host.apply(BROKEN, "--canary", "lama")

    assert (ran.code, ran.errors) == (2, [": there is no instance 'lama'"])
    assert listing(host) == before


def test_rollback_brings_back_the_one_before_and_then_the_one_before_that(host: FleetHost) -> None:
    states = []
    for context in (4096, 2048, 1024):
        host.applied(FLEET.replace("context_length: 4096", f"context_length: {context}"))
        states.append(listing(host))

    first, second = host.json("rollback"), host.json("rollback")

    assert (first.code, second.code) == (0, 0)
    assert listing(host) == states[0]
    assert host.environ(11435)["OLLAMA_CONTEXT_LENGTH"] == "4096"
    rows = generations(host)
    assert [(row["command"], row["of"]) for row in rows[3:]] == [("rollback", 2), ("rollback", 1)]
    assert host.json("rollback").code == 2
    assert host.json("rollback", "3").code == 0
    assert listing(host) == states[2]


def test_rollback_brings_a_destroyed_fleet_back(host: FleetHost) -> None:
    host.applied(FLEET)
    before = listing(host)
    assert host.json("destroy", "--yes").code == 0

    ran = host.json("rollback")

    assert ran.code == 0
    assert listing(host) == before
    assert host.states(*NAMES) == dict.fromkeys(NAMES, "active")


def test_rollback_restores_a_model_as_it_was(host: FleetHost) -> None:
    host.applied(FLEET)
    view = f"{STATE}/views/llama3/registry.ollama.ai/library/llama3/latest"
    was = host.machine.read(view)
    manifests = "/var/lib/ollama/models/manifests/registry.ollama.ai/library"
    host.machine.run(["cp", f"{manifests}/mistral/latest", f"{manifests}/llama3/latest"])
    host.applied()
    assert host.machine.read(view) != was

    ran = host.json("rollback")

    assert ran.code == 0, ran.envelope
    assert host.machine.read(view) == was


def test_a_dry_run_of_a_rollback_changes_nothing_and_shows_its_plan(host: FleetHost) -> None:
    host.applied(FLEET)
    host.applied(FLEET.replace("context_length: 4096", "context_length: 2048"))
    before = host.files()

    ran = host.json("rollback", "--dry-run")

    assert (ran.code, ran.changed, ran.envelope["data"]["to"]) == (0, True, 1)
    assert [step.split(":")[0] for step in ran.steps if step.startswith("restart")] == [
        "restart ollama@llama3.service",
        "restart ollama@mistral.service",
    ]
    assert host.files() == before


def test_a_generation_tells_what_when_and_who_and_no_secret(host: FleetHost) -> None:
    host.applied(FLEET)

    one = shown(host, 1)
    text = host.machine.ollamactl("history", "show", "1", "--diff").stdout

    assert (one["command"], one["who"], one["spec"], one["result"]) == ("apply", "root", SPEC, "done")
    assert one["instances"] == list(NAMES)
    assert set(one["versions"]) == {"ollamactl", "systemd", "/usr/local/bin/ollama-standin"}
    assert "hush" not in json.dumps(one) + text
    assert host.machine.read(f"{one['folder']}/spec.yaml") == FLEET
    modes = {path: words.split()[:2] for path, words in host.files(f"{STATE}/generations").items()}
    assert {mode[-1] if mode[0] == "folder" else mode[0] for mode in modes.values()} == {"0700", "0600"}
    assert host.machine.path(f"{STATE}/generations").stat().st_mode & 0o777 == 0o700


def test_an_apply_with_nothing_to_do_makes_no_generation(host: FleetHost) -> None:
    host.applied(FLEET)
    host.applied(FLEET)

    assert len(generations(host)) == 1


def test_old_generations_go_but_never_the_last_two_that_ended_well(host: FleetHost) -> None:
    spec = f"keep_generations: 3\n{FLEET}"
    for context in (4096, 2048, 1024):
        host.applied(spec.replace("context_length: 4096", f"context_length: {context}"))
    for tries in range(3, 6):
        assert host.apply(f"keep_generations: 3\n{BROKEN}".replace("tries: 2", f"tries: {tries}")).code == 1

    rows = generations(host)

    assert [row["number"] for row in rows] == [2, 3, 4, 5, 6]
    assert [row["result"] for row in rows] == ["done", "done", *["rolled back"] * 3]
    assert host.json("rollback").code == 0
    assert host.environ(11434)["OLLAMA_CONTEXT_LENGTH"] == "2048"


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ("echo >generation.json", "generation 1 is damaged: "),
        ("rm generation.json", "generation 1 is damaged: "),
        ("sed -i s/4096/1/ files.json", "generation 1 is damaged: its files are not those that were written"),
    ],
)
def test_a_damaged_generation_is_named_and_hinders_no_other(host: FleetHost, damage: str, says: str) -> None:
    for context in (4096, 2048, 1024):
        host.applied(FLEET.replace("context_length: 4096", f"context_length: {context}"))
    host.machine.run(f"cd {STATE}/generations/1 && {damage}")
    before = listing(host)

    ran = host.json("rollback", "1")

    assert ran.code == 1
    assert ran.errors[0].startswith(f": {says}")
    assert listing(host) == before
    assert [row["number"] for row in generations(host)] == [1, 2, 3]
    assert host.json("rollback", "2").code == 0


def test_who_is_not_root_sees_no_history(host: FleetHost) -> None:
    host.applied(FLEET)

    ran = host.json("history", user="nobody")

    assert ran.code == 77
    assert ran.hints == ["type the same command with sudo"]


def test_a_second_one_that_does_not_want_to_wait_says_who_is_at_work(host: FleetHost) -> None:
    host.spec(FLEET.replace("context_length: 4096", "environment: {STANDIN_START_MS: '3000'}"))
    first = host.machine.popen(["ollamactl", "apply", SPEC, "--output", "json"])
    host.wait_for(lambda: host.machine.exists(f"{UNITS}/ollama@.service"))

    second = host.apply(None, "--no-wait")

    assert second.code == 1
    assert second.errors[0].startswith(": another ollamactl is at work: pid ")
    assert host.finished(first).code == 0


RUNNER = edited(FLEET, "llama3: {port: 11434,", "llama3: {port: 11434, environment: {STANDIN_RUNNER: '1'},")


def generating(host: FleetHost, milliseconds: int) -> subprocess.Popen[str]:
    """A request to llama3 that is in work for so long, and is so already."""
    host.misbehave(11434, STANDIN_GENERATE_MS=str(milliseconds))
    data = json.dumps({"model": "llama3", "prompt": "Why?", "stream": False})
    asking = host.machine.popen(
        ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--data", data, "http://127.0.0.1:11434/api/generate"]
    )
    host.wait_for(lambda: "is answering 1 request" in " ".join(host.plan(RUNNER_2048).notes))
    return asking


RUNNER_2048 = RUNNER.replace("context_length: 4096", "context_length: 2048")


def test_without_when_idle_a_restart_cuts_off_what_is_in_flight(host: FleetHost) -> None:
    host.applied(RUNNER)
    asking = generating(host, 20_000)

    assert host.apply().code == 0
    assert asking.communicate(timeout=10)[0] != "200"


def test_when_idle_waits_for_who_is_at_work_and_for_nobody_else(host: FleetHost) -> None:
    host.applied(RUNNER)
    asking = generating(host, 3_000)
    started = host.invocations(*NAMES)
    applying = host.machine.popen(["ollamactl", "apply", SPEC, "--when-idle"])
    host.wait_for(lambda: host.invocations("mistral")["mistral"] != started["mistral"])
    assert host.invocations("llama3")["llama3"] == started["llama3"]

    stdout, stderr = applying.communicate(timeout=30)

    assert asking.communicate(timeout=10)[0] == "200"
    assert applying.returncode == 0, stdout
    assert "llama3: it is answering 1 request: waiting until it is done" in stderr
    assert host.invocations("llama3")["llama3"] != started["llama3"]


def test_patience_ends_and_the_fleet_is_as_before(host: FleetHost) -> None:
    host.applied(RUNNER)
    before = listing(host)
    asking = generating(host, 20_000)

    ran = host.apply(None, "--when-idle=500ms")

    assert ran.code == 1
    assert "it was not restarted: it is answering 1 request, still after 500ms" in ran.errors[0]
    assert listing(host) == before
    assert host.environ(11435)["OLLAMA_CONTEXT_LENGTH"] == "4096"
    assert asking.poll() is None, "nobody cut it off"
    asking.kill()
    asking.wait()
