"""Whom heal leaves alone: who answers somebody, loads, computes, is starting, or is down."""

from __future__ import annotations

import pytest

from tests.lab.container import end
from tests.system.conftest import SUITE
from tests.system.fleethost import SPEC, FleetHost, edited, unit
from tests.system.hangs import FLEET, NAMES, WELL, figure, generate, heal, load, runner, runner_port, serve, stop
from tests.system.inside import fleet_of

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("heal-waits")]

fleet = fleet_of(FLEET, suites=[SUITE])


@pytest.fixture(autouse=True)
def _well(fleet: FleetHost) -> None:
    assert {row["finding"] for row in heal(fleet).values()} == {None}


def test_one_that_computes_is_told_and_never_restarted(fleet: FleetHost) -> None:
    load(fleet, 11434, "llama3")
    port = runner_port(fleet, runner(fleet, "llama3"))
    fleet.misbehave(port, STANDIN_HANG_RUNNER="1", STANDIN_RUNNER_SPINS="1")
    before = fleet.invocations("llama3")

    rows = [heal(fleet)["llama3"] for _ in range(2)]

    assert [(row["state"], row["finding"]) for row in rows] == [("busy", None), ("failing", "computing")]
    assert fleet.invocations("llama3") == before
    fleet.misbehave(port, **WELL)


def test_a_long_request_survives_any_number_of_runs(fleet: FleetHost) -> None:
    load(fleet, 11434, "llama3")
    fleet.misbehave(11434, STANDIN_GENERATE_MS="9000")
    asking = generate(fleet, 11434, "llama3")
    fleet.wait_for(lambda: heal(fleet)["llama3"]["state"] == "busy")

    looks = 0
    while asking.poll() is None:
        row = heal(fleet)["llama3"]
        assert (row["finding"], row["restarted"]) == (None, False)
        looks += row["state"] == "busy"

    assert looks > 3
    assert asking.communicate()[0] == "200"
    fleet.misbehave(11434, STANDIN_GENERATE_MS="")


def test_a_hung_server_whose_runner_is_at_work_waits(fleet: FleetHost) -> None:
    load(fleet, 11434, "llama3")
    fleet.misbehave(11434, STANDIN_GENERATE_MS="600000")
    asking = generate(fleet, 11434, "llama3")
    fleet.wait_for(lambda: heal(fleet)["llama3"]["state"] == "busy")
    before, pid = fleet.invocations("llama3"), fleet.pid("llama3")
    stop(fleet, pid)

    rows = [heal(fleet)["llama3"] for _ in range(3)]

    assert [row["held"] for row in rows] == [None, *["it is answering 1 request"] * 2]
    assert fleet.invocations("llama3") == before
    fleet.machine.run(["kill", "-KILL", str(runner(fleet, "llama3"))])
    assert heal(fleet)["llama3"]["restarted"]
    end(asking)


def test_one_that_loads_waits(fleet: FleetHost) -> None:
    fleet.misbehave(11434, STANDIN_LOAD_MS="600000")
    asking = generate(fleet, 11434, "llama3")
    fleet.wait_for(lambda: heal(fleet)["llama3"]["words"] == "it is loading a model")
    before, pid = fleet.invocations("llama3"), fleet.pid("llama3")
    stop(fleet, pid)

    rows = [heal(fleet)["llama3"] for _ in range(3)]

    assert [row["held"] for row in rows] == [None, *["it is loading a model"] * 2]
    assert fleet.invocations("llama3") == before
    fleet.machine.run(["kill", "-CONT", str(pid)])
    end(asking)
    fleet.misbehave(11434, STANDIN_LOAD_MS="")
    fleet.wait_for(lambda: heal(fleet)["llama3"]["state"] == "ok")


def test_nobody_at_work_goes_along(fleet: FleetHost) -> None:
    """systemd restarts who requires a server with it."""
    load(fleet, 11437, "llama3")
    fleet.misbehave(11437, STANDIN_GENERATE_MS="600000")
    asking = generate(fleet, 11437, "llama3")
    fleet.wait_for(lambda: heal(fleet)["embed"]["state"] == "busy")
    before = fleet.invocations("mistral", "embed")
    stop(fleet, fleet.pid("mistral"))

    rows = [heal(fleet)["mistral"] for _ in range(2)]

    assert rows[1]["held"] == f"{unit('embed')} goes along with it: it is answering 1 request"
    assert fleet.invocations("mistral", "embed") == before
    end(asking)
    fleet.wait_for(lambda: heal(fleet)["mistral"]["restarted"])
    after = fleet.invocations("mistral", "embed")
    assert all(after[name] != before[name] for name in after)
    fleet.wait_for(lambda: fleet.states("mistral", "embed") == {"mistral": "active", "embed": "active"})


def test_what_does_not_run_is_left_alone(fleet: FleetHost) -> None:
    spec = edited(FLEET, "qwen: {port: 11436}", "qwen: {port: 11436, restart: {policy: always, delay: 1m, tries: 2}}")
    fleet.applied(spec)
    assert fleet.json("stop", "llama3").code == 0
    fleet.machine.run(["kill", "-KILL", str(fleet.pid("qwen"))])
    fleet.wait_for(lambda: fleet.show("qwen", "SubState")["SubState"] == "auto-restart")
    before = fleet.invocations(*NAMES)

    rows = [heal(fleet) for _ in range(3)][-1]

    assert (rows["llama3"]["state"], rows["qwen"]["state"]) == ("down", "down")
    assert rows["qwen"]["words"] == "left to systemd: activating (auto-restart)"
    assert fleet.invocations(*NAMES) == before
    assert fleet.show("qwen", "SubState", "NRestarts") == {"SubState": "auto-restart", "NRestarts": "0"}
    serve(fleet)
    assert (figure(fleet, "server_up", "qwen"), figure(fleet, "server_wanted", "qwen")) == (0, 1)
    fleet.applied(FLEET)
    assert fleet.json("start").code == 0


def test_a_server_that_was_started_just_now_is_left_alone(fleet: FleetHost) -> None:
    """It answers HTTP only when it has found its cards."""
    slow = edited(FLEET, "qwen: {port: 11436}", "qwen: {port: 11436, environment: {STANDIN_ANSWER_MS: '3600000'}}")
    fleet.spec(slow)
    assert fleet.json("apply", SPEC, "--keep-going", "--timeout", "1s").code == 1
    before = fleet.invocations("qwen")

    rows = [heal(fleet)["qwen"] for _ in range(3)]

    assert {(row["state"], row["finding"], row["failures"]) for row in rows} == {("starting", None, 0)}
    assert fleet.invocations("qwen") == before
    fleet.applied(FLEET)
