"""Servers that sleep until somebody needs them, from the spec to the first answer: a real Ollama, a real runner."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.container import Container
from tests.lab.roots import EXTRA
from tests.system.fleethost import UNITS, FleetHost, edited, unit
from tests.system.inside import ask

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("on-demand")]

FLEET = """
    version: 1
    defaults: {gpus: none, context_length: 512}
    instances:
      llama3: {port: 11434, on_demand: {stop_after: 10m}}
      mistral: {port: 11435, on_demand: {stop_after: 10m}}
      plain: {port: 11436, models: [llama3]}
"""
GATE = "ollama-gate.service"


def socket(name: str) -> str:
    return f"ollama-gate-{name}.socket"


@pytest.fixture(scope="module")
def host() -> Iterator[FleetHost]:
    with Container.boot(*EXTRA, store=True) as machine:
        yield FleetHost(machine)


@pytest.fixture(autouse=True)
def asleep(host: FleetHost) -> None:
    """Every scenario begins with the fleet of the first apply, whose servers sleep."""
    host.applied(FLEET)
    host.machine.run(["systemctl", "stop", unit("llama3"), unit("mistral")])


def chat(host: FleetHost, name: str, port: int) -> int:
    body = {
        "model": name, "stream": False, "options": {"num_predict": 2}, "messages": [{"role": "user", "content": "a"}],
    }  # fmt: skip
    return ask(host, port, "POST", "/api/chat", body, seconds=100).status


def test_a_chat_wakes_its_server_and_no_other(host: FleetHost) -> None:
    assert host.states("llama3", "mistral") == {"llama3": "inactive", "mistral": "inactive"}

    assert chat(host, "llama3", 11434) == 200

    assert host.states("llama3", "mistral") == {"llama3": "active", "mistral": "inactive"}


def test_who_sleeps_is_well_and_is_woken_by_nothing_that_ollamactl_does(host: FleetHost) -> None:
    for command in ("status", "verify"):
        ran = host.json(command)
        assert (command, ran.code, ran.errors) == (command, 0, [])
    again = host.apply()
    assert (again.code, again.changed, again.steps) == (0, False, [])
    assert "asleep" in host.machine.run(["ollamactl", "status"]).stdout
    assert host.states("llama3", "mistral") == {"llama3": "inactive", "mistral": "inactive"}


def test_nobody_but_the_gate_reaches_the_server(host: FleetHost) -> None:
    chat(host, "llama3", 11434)

    listening = host.machine.run(["ss", "-Hltnp", "sport = :11434"]).stdout
    assert '"ollama"' not in listening
    inside = host.machine.run(["nsenter", "-t", str(host.pid("llama3")), "-n", "ss", "-Hltnp"]).stdout
    assert "127.0.0.1:11434" in inside
    assert '"ollama"' in inside


def test_a_port_moves_and_the_other_servers_run_on(host: FleetHost) -> None:
    chat(host, "llama3", 11434)
    before = host.invocations("llama3", "plain")

    ran = host.applied(edited(FLEET, "11435", "11450"))

    assert f"restart {GATE}: 1 port open, 1 port close" in ran.steps
    assert host.invocations("llama3", "plain") == before
    assert chat(host, "mistral", 11450) == 200
    assert not host.listening(11435)


def test_a_server_takes_its_port_from_systemd_and_gives_it_back(host: FleetHost) -> None:
    ran = host.applied(edited(FLEET, "{port: 11435, on_demand: {stop_after: 10m}}", "{port: 11435}"))
    assert ran.proofs["mistral"]["ok"]
    assert not host.machine.exists(f"{UNITS}/{socket('mistral')}")
    assert chat(host, "mistral", 11435) == 200

    ran = host.applied(FLEET)
    assert f"stop {unit('mistral')}: its port 11435 goes to systemd" in ran.steps
    assert chat(host, "mistral", 11435) == 200
    assert host.json("rollback").code == 0
    assert not host.machine.exists(f"{UNITS}/{socket('mistral')}")


def test_one_that_does_not_start_is_rolled_back(host: FleetHost) -> None:
    before = {path: words.split()[-1] for path, words in host.files(UNITS).items()}

    # Ollama panics at a web origin without a scheme
    ran = host.apply(
        edited(FLEET, "{port: 11434, on_demand", "{port: 11434, environment: {OLLAMA_ORIGINS: x}, on_demand")
    )

    assert (ran.code, ran.envelope["status"]) == (1, "failed")
    assert {path: words.split()[-1] for path, words in host.files(UNITS).items()} == before
    assert chat(host, "llama3", 11434) == 200


def test_who_is_stopped_is_not_woken_until_it_is_started(host: FleetHost) -> None:
    chat(host, "llama3", 11434)
    stopped = host.json("stop", "llama3")
    assert (stopped.code, host.states("llama3"), host.listening(11434)) == (0, {"llama3": "inactive"}, False)
    assert host.json("status", "llama3").code == 3
    assert chat(host, "mistral", 11435) == 200

    started = host.json("start", "llama3")
    assert (started.code, started.proofs["llama3"]["ok"]) == (0, True)
    assert chat(host, "llama3", 11434) == 200


def test_status_tells_what_the_gate_knows(host: FleetHost) -> None:
    chat(host, "llama3", 11434)

    rows = {row["instance"]: row for row in host.json("status").envelope["data"]["instances"]}

    assert (rows["llama3"]["gate"]["state"], rows["mistral"]["gate"]["state"], rows["plain"]["gate"]) == (
        "ready",
        "asleep",
        None,
    )
    assert rows["llama3"]["gate"]["used"] > 0
    shown = host.machine.run(["ollamactl", "status"]).stdout
    assert [line.split()[:2] for line in shown.splitlines()[1:3]] == [["llama3", "ready"], ["mistral", "asleep"]]


def test_it_sleeps_after_a_boot_and_wakes(host: FleetHost) -> None:
    host.machine.reboot()
    host.wait_for(lambda: host.listening(11434))

    assert host.states("llama3", "plain")["llama3"] == "inactive"
    assert chat(host, "llama3", 11434) == 200


def test_destroy_leaves_no_port_open_and_no_file(host: FleetHost) -> None:
    chat(host, "llama3", 11434)
    host.machine.run(["ollamactl", "destroy", "--yes"])

    assert [path for path in host.files(UNITS) if "ollama" in path] == []
    assert not any(host.listening(port) for port in (11434, 11435, 11436))
    assert not host.machine.exists("/var/lib/ollamactl-gate")
