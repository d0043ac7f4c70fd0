"""Servers that fall asleep, with a real Ollama and a real runner: what leaves memory, who polls, what is left."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.lab.roots import EXTRA
from tests.system.fleethost import FleetHost, unit
from tests.system.inside import ask, fleet_of

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("gate-idle")]

GATE = "ollama-gate.service"
BROKER = "ollamactl-broker.service"
fleet = fleet_of(
    """
    version: 1
    defaults: {gpus: none, context_length: 512}
    instances:
      llama3: {port: 11434, on_demand: {stop_after: 3s}}
      mistral: {port: 11435, on_demand: {stop_after: 10m, unload_after: 2s}}
      embed: {port: 11437, models: "nomic-embed-text:v1.5", on_demand: {stop_after: 10m, unload_after: 2s}}
    """,
    suites=list(EXTRA),
)
NAMES = ("llama3", "mistral", "embed")
POLLS = ("/", "/api/version", "/api/tags", "/v1/models", "/favicon.ico")


def loaded(fleet: FleetHost, port: int) -> list[str]:
    return [row["name"] for row in fleet.get(port, "/api/ps")["models"]]


def sleeps(fleet: FleetHost, name: str) -> bool:
    return fleet.states(name) == {name: "inactive"}


def told(fleet: FleetHost, port: int) -> dict[str, tuple[int, str]]:
    """What a server says of itself, asleep or not."""
    said = {path: ask(fleet, port, "GET", path, seconds=60) for path in POLLS}
    show = ask(fleet, port, "POST", "/api/show", {"model": "llama3"}, seconds=60)
    return {**{path: (each.status, each.text) for path, each in said.items()}, "show": (show.status, show.text)}


@pytest.mark.parametrize(
    ("port", "path", "body"),
    [
        (11435, "/api/generate", {"model": "mistral", "prompt": "a", "keep_alive": -1, "options": {"num_predict": 2}}),
        (11437, "/api/embed", {"model": "nomic-embed-text:v1.5", "input": "a", "keep_alive": -1}),
    ],
)
def test_a_model_leaves_memory_though_its_client_would_keep_it(
    fleet: FleetHost, port: int, path: str, body: dict[str, Any]
) -> None:
    assert ask(fleet, port, "POST", path, body, seconds=100).status == 200
    assert loaded(fleet, port)

    fleet.wait_for(lambda: not loaded(fleet, port))

    name = {11435: "mistral", 11437: "embed"}[port]
    assert fleet.states(name) == {name: "active"}
    fleet.wait_for(lambda: "left memory: no request for 2s" in fleet.machine.journal(unit(name)))


def test_who_polls_wakes_nobody_and_hears_what_the_server_would_say(fleet: FleetHost) -> None:
    awake = told(fleet, 11434)
    assert json.loads(awake["/api/tags"][1])["models"][0]["name"] == "llama3:latest"
    fleet.wait_for(lambda: sleeps(fleet, "llama3"))
    before = fleet.invocations("llama3")

    for _ in range(15):
        assert told(fleet, 11434) == awake
        assert fleet.get(11434, "/api/ps") == {"models": []}
    fleet.machine.run(["systemctl", "restart", GATE])
    assert told(fleet, 11434) == awake

    assert fleet.invocations("llama3") == before
    assert sleeps(fleet, "llama3")


def test_a_load_goes_on_for_who_still_waits(fleet: FleetHost) -> None:
    body = {"model": "llama3", "prompt": "a", "stream": False, "options": {"num_predict": 2}}
    fleet.machine.write("/root/body", json.dumps(body))
    one = "curl -sS -o /dev/null -w '%{http_code}\\n' --data @/root/body http://127.0.0.1:11434/api/generate"
    fleet.wait_for(lambda: sleeps(fleet, "llama3"))

    done = fleet.machine.run(f"timeout 0.3 {one} & for i in 1 2 3; do {one} & done; wait").stdout.split()

    assert done == ["200"] * 3
    said = fleet.machine.journal(unit("llama3"))
    assert "aborting load" not in said


def test_an_idle_fleet_costs_no_process(fleet: FleetHost) -> None:
    for name in NAMES:
        fleet.machine.run(["systemctl", "stop", unit(name)])

    fleet.wait_for(lambda: fleet.show(GATE, "ActiveState")["ActiveState"] == "inactive", seconds=90)
    fleet.wait_for(lambda: fleet.show(BROKER, "ActiveState")["ActiveState"] == "inactive", seconds=30)

    assert fleet.machine.run(["pgrep", "-f", "ollama"], check=False).stdout == ""
    body = {"model": "llama3", "prompt": "a", "stream": False, "options": {"num_predict": 2}}
    assert ask(fleet, 11434, "POST", "/api/generate", body, seconds=100).status == 200
