"""The gate before real servers: systemd holds the ports, and the first request that needs a server starts its unit."""

from __future__ import annotations

import json
import time
from collections import Counter

import pytest

from tests.lab.binaries import SOURCE_IN_CONTAINER
from tests.lab.roots import EXTRA
from tests.system.fleethost import UNITS, FleetHost, unit
from tests.system.inside import fleet_of

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("gate")]

GATE = "ollama-gate.service"
PORTS = {"llama3": 11434, "mistral": 11435}

fleet = fleet_of(
    """
    version: 1
    defaults: {gpus: none, context_length: 512, on_demand: {stop_after: 1h}}
    instances:
      llama3: {port: 11434}
      mistral: {port: 11435}
    """,
    suites=list(EXTRA),
)


@pytest.fixture(scope="module", autouse=True)
def asleep(fleet: FleetHost) -> None:
    """apply has started each once, to prove it."""
    fleet.machine.run(["systemctl", "stop", *map(unit, PORTS)])


def chats(fleet: FleetHost, name: str, count: int = 1) -> Counter[str]:
    """So many chats at once; how many ended with which status."""
    body = json.dumps({
        "model": name, "stream": False, "options": {"num_predict": 2}, "messages": [{"role": "user", "content": "a"}],
    })  # fmt: skip
    fleet.machine.write("/root/body", body)
    url = f"http://localhost:{PORTS[name]}/api/chat"
    one = f"curl -s -o /dev/null -w '%{{http_code}}\\n' --max-time 100 -d @/root/body {url}"
    told = fleet.machine.run(["sh", "-c", f"seq {count} | xargs -P {count} -I NUMBER {one}"]).stdout
    return Counter(told.split())


def starts(fleet: FleetHost, name: str) -> int:
    return fleet.machine.journal(unit(name)).count(f"Started {unit(name)}")


def test_fifty_chats_at_once_wake_a_server_once_and_its_sibling_sleeps_on(fleet: FleetHost) -> None:
    assert set(fleet.states(*PORTS).values()) == {"inactive"}
    before = starts(fleet, "llama3")

    assert chats(fleet, "llama3", 50) == {"200": 50}

    assert starts(fleet, "llama3") == before + 1
    assert fleet.states(*PORTS) == {"llama3": "active", "mistral": "inactive"}


def test_a_gate_that_is_killed_loses_no_port_and_stops_no_server(fleet: FleetHost) -> None:
    chats(fleet, "llama3")
    server, gate = fleet.pid("llama3"), fleet.show(GATE, "MainPID")["MainPID"]

    for _ in range(7):
        fleet.machine.run(["systemctl", "kill", "-s", "KILL", GATE])
        assert chats(fleet, "llama3") == {"200": 1}

    assert fleet.pid("llama3") == server
    assert fleet.show(GATE, "MainPID")["MainPID"] != gate


def test_a_server_that_was_stopped_or_killed_is_woken_by_the_next_request(fleet: FleetHost) -> None:
    chats(fleet, "mistral")
    fleet.machine.run(["systemctl", "stop", unit("mistral")])
    assert chats(fleet, "mistral", 5) == {"200": 5}
    fleet.machine.run(["systemctl", "kill", "-s", "KILL", unit("mistral")])
    fleet.wait_for(lambda: fleet.states("mistral") != {"mistral": "active"})

    assert chats(fleet, "mistral", 5) == {"200": 5}


def test_a_server_that_does_not_start_is_told_with_what_to_look_at(fleet: FleetHost) -> None:
    fleet.machine.run(["systemctl", "stop", unit("mistral")])
    broken = f"{UNITS}/{unit('mistral')}.d/99-broken.conf"
    fleet.machine.write(broken, "[Service]\nExecStartPre=/bin/false\nRestart=no\n")
    fleet.machine.run(["systemctl", "daemon-reload"])
    started = time.monotonic()
    answer = fleet.machine.run(["curl", "-si", "-d", "{}", "http://localhost:11435/api/generate"]).stdout
    assert time.monotonic() - started < 30
    fleet.machine.run(["rm", broken])
    fleet.machine.run(["systemctl", "daemon-reload"])

    assert answer.startswith("HTTP/1.1 503 ")
    assert "Retry-After: " in answer
    assert f"journalctl -u {unit('mistral')}" in answer
    assert chats(fleet, "mistral") == {"200": 1}


def test_a_page_that_resolves_to_this_machine_wakes_nothing(fleet: FleetHost) -> None:
    fleet.machine.run(["systemctl", "stop", unit("mistral")])
    answer = fleet.machine.run(["curl", "-si", "-H", "Host: evil.com", "http://localhost:11435/api/generate"]).stdout

    assert answer.startswith("HTTP/1.1 403 ")
    assert fleet.states("mistral") == {"mistral": "inactive"}


def test_a_gate_without_sockets_says_who_starts_it(fleet: FleetHost) -> None:
    done = fleet.machine.run(
        ["env", f"PYTHONPATH={SOURCE_IN_CONTAINER}", "/usr/bin/python3", "-P", "-m", "ollamactl", "gate"], check=False
    )
    assert done.returncode == 78
    assert "ollama-gate.service is started by its socket units" in done.stderr
