"""Root sees into the networks that servers behind the gate have; who is not root is told what cannot be seen."""

from __future__ import annotations

import re

import pytest

from tests.system.fleethost import SPEC, FleetHost, edited
from tests.system.hangs import SERVICE, generate, heal, load, runner, runner_port, serve, stop, told
from tests.system.inside import ask, fleet_of

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("private-looks")]

FLEET = """
    version: 1
    health: {every: 1h, failures: 2}
    defaults: {gpus: none, binary: /usr/local/bin/ollama-standin, environment: {STANDIN_RUNNER: "1"}}
    instances:
      llama3: {port: 11434, on_demand: {stop_after: 1h}}
      mistral: {port: 11435, network: private}
      sleeper: {port: 11436, models: mistral, on_demand: {stop_after: 1h}}
"""

fleet = fleet_of(FLEET)


@pytest.fixture(autouse=True)
def at_work(fleet: FleetHost) -> None:
    """Two with their models in memory, and one that sleeps."""
    load(fleet, 11434, "llama3")
    load(fleet, 11435, "mistral")
    fleet.machine.run(["systemctl", "stop", "ollama@sleeper.service"])


def states(fleet: FleetHost) -> dict[str, str]:
    return {name: row["state"] for name, row in heal(fleet).items()}


def test_root_sees_who_listens_which_version_and_what_is_in_memory(fleet: FleetHost) -> None:
    ran = fleet.json("verify", "--load")
    assert ran.code == 0, ran.envelope
    for name in ("llama3", "mistral"):
        checks = {check["check"]: check for check in ran.proofs[name]["checks"]}
        assert checks["listener"]["found"].startswith(f"pid {fleet.pid(name)} of ollama@{name}.service")
        assert checks["load"]["ok"]
    rows = {row["instance"]: row for row in fleet.json("status").envelope["data"]["instances"]}
    assert [row["name"] for row in rows["mistral"]["loaded"]] == ["mistral:latest"]


def test_who_is_not_root_is_told_what_cannot_be_seen(fleet: FleetHost) -> None:
    fleet.machine.run("id ada || useradd -m ada")
    ran = fleet.json("verify", user="ada")
    assert ran.code == 0
    assert any("only root can prove that llama3" in note for note in ran.notes), ran.notes
    rows = {row["instance"]: row for row in fleet.json("heal", "--dry-run", user="ada").envelope["data"]["servers"]}
    assert (rows["llama3"]["state"], rows["sleeper"]["state"]) == ("hidden", "down")
    assert rows["llama3"]["words"] == "not looked at: a server's network of its own is open to nobody but root"


def test_heals_own_unit_sees_inside_and_has_the_rights_for_that_only(fleet: FleetHost) -> None:
    stop(fleet, runner(fleet, "mistral"))
    serve(fleet)
    assert [entry["FINDING"] for entry in told(fleet, INSTANCE="mistral", FINDING="runner")]
    serve(fleet)
    load(fleet, 11435, "mistral")
    assert states(fleet) == {"llama3": "ok", "mistral": "ok", "sleeper": "down"}
    text = fleet.machine.read(f"/etc/systemd/system/{SERVICE}")
    assert "CapabilityBoundingSet=CAP_SYS_ADMIN CAP_SYS_PTRACE\n" in text
    exposure = fleet.machine.run(["systemd-analyze", "security", "--no-pager", SERVICE]).stdout
    assert float(re.findall(r"Overall exposure level for \S+: ([0-9.]+)", exposure)[0]) <= 2.5


@pytest.mark.parametrize("which", ["server", "runner"])
def test_what_stands_still_behind_the_gate_is_restarted_and_the_sleeper_sleeps_on(fleet: FleetHost, which: str) -> None:
    before = fleet.invocations("llama3", "mistral")
    stop(fleet, fleet.pid("mistral") if which == "server" else runner(fleet, "mistral"))

    rows = heal(fleet)
    assert (rows["mistral"]["finding"], rows["mistral"]["restarted"]) == (which, False)
    rows = heal(fleet)
    assert (rows["mistral"]["finding"], rows["mistral"]["restarted"]) == (which, True)

    assert fleet.invocations("llama3")["llama3"] == before["llama3"]
    assert fleet.invocations("mistral")["mistral"] != before["mistral"]
    assert fleet.states("sleeper") == {"sleeper": "inactive"}
    load(fleet, 11435, "mistral")
    assert states(fleet) == {"llama3": "ok", "mistral": "ok", "sleeper": "down"}


def test_who_is_answering_behind_the_gate_is_neither_healed_nor_cut_off(fleet: FleetHost) -> None:
    before = fleet.invocations("mistral")
    fleet.misbehave(11435, STANDIN_GENERATE_MS="20000")
    asking = generate(fleet, 11435, "mistral")
    changed = edited(FLEET, "{port: 11435, ", "{port: 11435, keep_alive: 7m, ")
    fleet.wait_for(lambda: "is answering 1 request" in " ".join(fleet.plan(changed).notes))

    assert [states(fleet)["mistral"] for _ in range(2)] == ["busy"] * 2
    assert fleet.invocations("mistral") == before
    applying = fleet.machine.popen(["ollamactl", "apply", SPEC, "--when-idle", "1m"])
    _, stderr = applying.communicate(timeout=90)

    assert asking.communicate(timeout=30)[0] == "200"
    assert (applying.returncode, "it is answering 1 request: waiting until it is done" in stderr) == (0, True)
    assert fleet.invocations("mistral") != before
    fleet.applied(FLEET)


def test_one_that_loads_behind_the_gate_is_left_alone(fleet: FleetHost) -> None:
    fleet.machine.run(["systemctl", "restart", "ollama@mistral.service"])
    fleet.wait_for(lambda: ask(fleet, 11435, "GET", "/api/version").status == 200)
    fleet.misbehave(11435, STANDIN_LOAD_MS="6000")
    loading = generate(fleet, 11435, "mistral")
    fleet.wait_for(lambda: states(fleet)["mistral"] == "busy")
    assert heal(fleet)["mistral"]["words"] == "it is loading a model"
    assert loading.communicate(timeout=30)[0] == "200"


def test_one_that_is_started_again_by_systemd_is_found_in_its_new_network(fleet: FleetHost) -> None:
    fleet.machine.run(["systemctl", "kill", "-s", "KILL", "ollama@mistral.service"])
    fleet.wait_for(lambda: fleet.states("mistral") == {"mistral": "active"})
    load(fleet, 11435, "mistral")
    assert runner_port(fleet, runner(fleet, "mistral"))
    assert states(fleet)["mistral"] == "ok"
    assert fleet.json("verify").code in (0, 3), "3: systemd has restarted it"


def test_doctor_finds_no_clash_where_networks_differ(fleet: FleetHost) -> None:
    ran = fleet.json("doctor")
    assert [
        row["trap"] for row in ran.envelope["data"]["findings"] if "port" in row["trap"] or "address" in row["trap"]
    ] == []
