"""Looking at a real runner disturbs nobody, and one that hangs is found; which needs the suite that has one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.lab.container import end
from tests.lab.roots import EXTRA
from tests.system.fleethost import FleetHost, unit
from tests.system.hangs import heal, load, runner, serve, stop
from tests.system.inside import ask, fleet_of

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("heal-runner")]

fleet = fleet_of(
    """
    version: 1
    health: {every: 1h, failures: 2}
    defaults: {gpus: none, context_length: 512}
    instances:
      llama3: {port: 11434}
      mistral: {port: 11435, keep_alive: 6s}
      embed: {port: 11437, models: "nomic-embed-text:v1.5"}
      well: {port: 11438, models: llama3}
    """,
    suites=list(EXTRA),
)
NAMES = ("llama3", "mistral", "embed", "well")
ENDLESS = {"type": "array", "items": {"type": "integer"}, "minItems": 1500}
"""A grammar that lets no random model come to an end soon."""
EMBED = {"model": "nomic-embed-text:v1.5", "input": "a"}


def memory(fleet: FleetHost, port: int) -> Any:
    """What is in a server's memory, how long it stays, and with which context."""
    return [(row["name"], row["expires_at"], row["context_length"]) for row in fleet.get(port, "/api/ps")["models"]]


def test_an_idle_model_is_looked_at_without_a_trace(fleet: FleetHost) -> None:
    """A client's own context stays, too: a question to Ollama itself would load the model anew."""
    load(fleet, 11434, "llama3", options={"num_ctx": 256})
    assert ask(fleet, 11437, "POST", "/api/embed", EMBED).status == 200
    before = [(memory(fleet, port), runner(fleet, name)) for name, port in (("llama3", 11434), ("embed", 11437))]

    for _ in range(4):
        rows = heal(fleet)
        assert (rows["llama3"]["state"], rows["embed"]["state"]) == ("ok", "ok")
    serve(fleet)

    assert [
        (memory(fleet, port), runner(fleet, name)) for name, port in (("llama3", 11434), ("embed", 11437))
    ] == before
    assert before[0][0][0][2] == 256
    answered = [line for line in fleet.machine.journal(unit("llama3")).splitlines() if "total time" in line]
    assert len(answered) == 5, "each of the runs has had its token"


def test_keep_alive_ends_though_heal_looks_every_second(fleet: FleetHost) -> None:
    load(fleet, 11435, "mistral")
    (before,) = memory(fleet, 11435)
    looking = fleet.machine.popen("while sleep 1; do systemctl start ollamactl-heal.service; done")
    seen = []

    def unloaded() -> bool:
        seen.append(memory(fleet, 11435))
        return not seen[-1]

    fleet.wait_for(unloaded, seconds=15)

    end(looking)
    assert all(each == [before] for each in seen[:-1]), "it was to stay as long as ever"
    assert heal(fleet)["mistral"]["state"] == "ok"


def test_one_long_answer_survives_many_runs(fleet: FleetHost) -> None:
    options = {"num_predict": -1, "num_ctx": 1024}
    body = {"model": "llama3", "prompt": "Count!", "format": ENDLESS, "options": options}
    fleet.machine.write("/root/long.json", json.dumps({**body, "stream": False}))
    asking = fleet.machine.popen("curl -sS --data @/root/long.json http://127.0.0.1:11434/api/generate")
    before = fleet.invocations(*NAMES)
    busy = 0
    while asking.poll() is None:
        row = heal(fleet, "--failures", "1")["llama3"]
        busy += row["state"] == "busy"
        assert row["finding"] is None

    answer = json.loads(asking.communicate()[0])
    assert answer.get("done"), answer
    assert answer["eval_count"] > 8000, "as much as Ollama lets it, which is ten times the context"
    assert busy, "a look while it was at work"
    assert fleet.invocations(*NAMES) == before


def test_a_queue_of_real_requests_survives(fleet: FleetHost) -> None:
    """Those that wait are in the server alone, so heal meets the runner between two of them, too."""
    body = {"model": "llama3", "prompt": "Count!", "format": ENDLESS, "stream": False, "options": {"num_predict": 200}}
    fleet.machine.write("/root/body.json", json.dumps(body))
    asking = fleet.machine.popen(
        "seq 100 | xargs -P 100 -I{} curl -sS -o /dev/null -w '%{http_code}/%{exitcode}\\n' --data @/root/body.json "
        "http://127.0.0.1:11434/api/generate"
    )
    before = fleet.invocations(*NAMES)
    states = []
    while asking.poll() is None:
        row = heal(fleet, "--failures", "1")["llama3"]
        states.append(row["state"])
        assert row["finding"] is None

    assert "busy" in states
    assert asking.communicate()[0].split() == ["200/0"] * 100
    assert fleet.invocations(*NAMES) == before


def test_what_hangs_costs_its_server_a_restart_and_nobody_else(fleet: FleetHost) -> None:
    """A runner that generates, one that embeds, and a server with a model."""
    models = {"llama3": 11434, "mistral": 11435, "embed": 11437}

    def use_all() -> None:
        load(fleet, 11434, "llama3")
        load(fleet, 11435, "mistral", keep_alive=-1)
        fleet.wait_for(lambda: ask(fleet, 11437, "POST", "/api/embed", EMBED).status == 200)

    use_all()
    hung = {"llama3": runner(fleet, "llama3"), "embed": runner(fleet, "embed"), "mistral": fleet.pid("mistral")}
    healthy, before = heal(fleet), fleet.invocations(*NAMES)
    assert {row["state"] for row in healthy.values()} == {"ok"}
    for pid in hung.values():
        stop(fleet, pid)
    for name in ("llama3", "embed"):
        assert ask(fleet, models[name], "GET", "/api/version").status == 200, "the server itself says that all is well"

    first, second = heal(fleet), heal(fleet)

    findings = {"llama3": "runner", "embed": "runner", "mistral": "server", "well": None}
    assert {name: row["finding"] for name, row in first.items()} == findings
    assert not any(row["restarted"] for row in first.values())
    assert {name for name, row in second.items() if row["restarted"]} == set(hung)
    after = fleet.invocations(*NAMES)
    assert {each for each in NAMES if after[each] != before[each]} == set(hung)
    assert not any(fleet.machine.exists(f"/proc/{pid}") for pid in hung.values())
    use_all()
