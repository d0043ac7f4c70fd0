"""The real Ollama through its life: first apply, proof, kill, upgrade, another model, and the end."""

from __future__ import annotations

import json

from tests.lab.binaries import OLLAMA_NEXT, OLLAMA_NEXT_VERSION, OLLAMA_VERSION
from tests.system.fleethost import REAL, SPEC, STORE, FleetHost, edited, unit

FLEET = """
    version: 1
    defaults: {gpus: none, restart: {delay: 500ms, max_delay: 1s}}
    instances:
      llama3: {port: 11434}
      mistral: {port: 11435, keep_alive: forever}
      both: {port: 11436, models: [llama3, "acme/coder:7b"]}
"""
NAMES = ("llama3", "mistral", "both")


def test_a_fleet_of_real_servers_is_brought_up_and_proved(host: FleetHost) -> None:
    first = host.applied(FLEET)

    assert {name: (proof["ok"], proof["version"]) for name, proof in first.proofs.items()} == dict.fromkeys(
        NAMES, (True, OLLAMA_VERSION)
    )
    assert [host.models(port) for port in (11434, 11435, 11436)] == [
        ["llama3:latest"], ["mistral:latest"], ["acme/coder:7b", "llama3:latest"],
    ]  # fmt: skip
    started = host.invocations(*NAMES)
    assert host.applied().steps == []
    assert host.invocations(*NAMES) == started
    assert (host.json("verify").code, host.json("status").code) == (0, 0)
    other = host.machine.run(["curl", "-sS", "http://127.0.0.1:11435/api/show", "-d", '{"model": "llama3"}']).stdout
    assert json.loads(other)["error"].endswith("not found")


def test_a_killed_real_server_comes_back_by_itself(host: FleetHost) -> None:
    host.applied(FLEET)
    pid = host.pid("mistral")
    others = host.invocations("llama3", "both")

    host.machine.run(["kill", "-KILL", str(pid)])
    host.wait_for(lambda: host.pid("mistral") not in (0, pid))

    assert host.json("verify").proofs["mistral"]["ok"]
    rows = {row["instance"]: row["restarts"] for row in host.json("status").envelope["data"]["instances"]}
    assert rows == {"llama3": 0, "mistral": 1, "both": 0}
    assert (host.applied().steps, host.invocations("llama3", "both")) == ([], others)


def test_an_upgrade_of_ollama_is_drift_and_apply_carries_it_out(host: FleetHost) -> None:
    host.applied(FLEET)
    host.machine.run(["install", OLLAMA_NEXT, f"{REAL}.new"])
    host.machine.run(["mv", f"{REAL}.new", REAL])

    verified, plan = host.json("verify"), host.plan(None, "--exit-code")
    ran = host.applied()

    assert verified.code == 3
    failed = verified.failed_checks("llama3")["version"]
    assert (OLLAMA_VERSION in failed["found"], OLLAMA_NEXT_VERSION in failed["expected"]) == (True, True)
    assert (plan.code, plan.steps) == (
        3, [f"restart {unit(name)}: {REAL} was replaced since it started" for name in NAMES],
    )  # fmt: skip
    assert ran.steps == plan.steps
    assert {proof["version"] for proof in ran.proofs.values()} == {OLLAMA_NEXT_VERSION}
    assert host.applied().steps == []


def test_a_real_squatter_is_named_and_a_model_that_is_missing_too(host: FleetHost) -> None:
    host.machine.run(["systemd-run", "--unit=ollama", "--setenv=HOME=/root", "--service-type=exec", REAL, "serve"])
    host.wait_for_port(11434)

    ran = host.apply(edited(FLEET, "[llama3, ", "[qwenn, "), "--no-pull")

    assert (ran.code, ran.changed) == (1, False)
    assert [error for error in ran.errors if f"({REAL} serve) of ollama.service" in error] != []
    missing = next(row for row in ran.envelope["problems"] if "is not in the store" in row["message"])
    assert (missing["path"], missing["instance"]) == ("instances.both.models[0]", "both")
    assert missing["hint"].startswith("did you mean qwen:latest? If not, pull it: ")


def test_a_real_fleet_is_up_after_a_boot_and_gone_after_destroy(host: FleetHost) -> None:
    host.applied(FLEET)

    host.machine.reboot()

    assert host.json("verify", "--timeout", "60s").code == 0
    assert host.applied().steps == []
    assert host.json("destroy", "--yes").code == 0
    assert [host.listening(port) for port in (11434, 11435, 11436)] == [False, False, False]
    assert len([path for path in host.files(f"{STORE}/manifests") if "link" not in path]) > 0
    assert host.json("plan", SPEC).steps[0].endswith(": new")
