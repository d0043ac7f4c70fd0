"""Servers and runners that hang on a real systemd are restarted, and nobody else is; the real runner's turn is in
test_heal_runner.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.container import Container, end
from tests.system.conftest import SUITE
from tests.system.fleethost import SPEC, FleetHost, edited, unit
from tests.system.hangs import (
    STATE_FILE,
    WELL,
    figure,
    generate,
    heal,
    load,
    runner,
    runner_port,
    serve,
    stop,
    told,
)  # fmt: skip

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("heal")]

FLEET = """\
version: 1
ollama: {binary: /usr/local/bin/ollama-standin}
health: {every: 1h, failures: 2}
defaults: {gpus: none, restart: {delay: 100ms, tries: 5}, environment: {STANDIN_RUNNER: "1"}}
instances:
  llama3: {port: 11434}
  mistral: {port: 11435}
  qwen: {port: 11436}
  embed: {port: 11437, models: llama3, requires: [mistral]}
"""
NAMES = ("llama3", "mistral", "qwen", "embed")


@pytest.fixture(scope="module")
def fleet() -> Iterator[FleetHost]:
    """A fleet that heal has seen well."""
    with Container.boot(SUITE, store=True) as machine:
        host = FleetHost(machine)
        host.applied(FLEET)
        yield host


@pytest.fixture(autouse=True)
def _well(fleet: FleetHost) -> None:
    assert {row["finding"] for row in heal(fleet).values()} == {None}


def others(before: dict[str, str], *names: str) -> dict[str, str]:
    return {name: invocation for name, invocation in before.items() if name not in names}


def test_a_hung_server_is_restarted_after_so_many_failures_and_no_other(fleet: FleetHost) -> None:
    fleet.applied(edited(FLEET, "failures: 2", "failures: 3"))
    before, pid = fleet.invocations(*NAMES), fleet.pid("llama3")
    stop(fleet, pid)

    for failures in (1, 2):
        serve(fleet)
        assert fleet.invocations(*NAMES) == before
        assert (figure(fleet, "heal_failures", "llama3"), figure(fleet, "server_up", "llama3")) == (failures, 0)
    serve(fleet)

    after = fleet.invocations(*NAMES)
    assert after["llama3"] != before["llama3"]
    assert others(after, "llama3") == others(before, "llama3")
    assert fleet.models(11434) == ["llama3:latest"]
    assert fleet.json("status").code == 0
    rows = told(fleet, FINDING="server", INSTANCE="llama3")
    says = f"llama3: no HTTP answer within 5s; its process (pid {pid}) is stopped by a signal"
    assert [row["MESSAGE"] for row in rows] == [
        f"{says} (1 time in a row)",
        f"{says} (2 times in a row)",
        f"{says} (3 times in a row): heal restarts it",
        f"llama3: heal has restarted {unit('llama3')}",
    ]
    assert {(row["UNIT"], row["OBJECT_SYSTEMD_UNIT"]) for row in rows} == {(unit("llama3"), unit("llama3"))}
    assert says in fleet.machine.journal(unit("llama3")), "who looks at the unit's own log sees it, too"
    assert figure(fleet, "heal_restarts_total", "llama3") == 1
    serve(fleet)
    assert (figure(fleet, "heal_failures", "llama3"), figure(fleet, "server_up", "llama3")) == (0, 1)
    assert figure(fleet, "heal_restarts_total", "llama3") == 1
    fleet.applied(FLEET)


def test_a_hung_runner_too(fleet: FleetHost) -> None:
    load(fleet, 11434, "llama3")
    load(fleet, 11436, "qwen")
    before, hung = fleet.invocations(*NAMES), runner(fleet, "llama3")
    stop(fleet, hung)

    row = heal(fleet)["llama3"]
    assert (row["finding"], row["words"]) == (
        "runner", f"its runner (pid {hung}) does not answer, and is stopped by a signal",
    )  # fmt: skip
    assert fleet.invocations(*NAMES) == before
    assert heal(fleet)["llama3"]["restarted"]

    after = fleet.invocations(*NAMES)
    assert others(after, "llama3") == others(before, "llama3")
    assert after["llama3"] != before["llama3"]
    assert not fleet.machine.exists(f"/proc/{hung}")
    load(fleet, 11434, "llama3")


def test_one_that_answers_all_but_the_one_question(fleet: FleetHost) -> None:
    load(fleet, 11434, "llama3")
    port = runner_port(fleet, runner(fleet, "llama3"))
    fleet.misbehave(port, STANDIN_HANG_RUNNER="1")
    before = fleet.invocations("llama3")

    row = heal(fleet, "--failures", "1")["llama3"]

    assert "does not generate a token: no HTTP answer within 10s" in row["words"]
    assert row["restarted"]
    assert fleet.invocations("llama3") != before


def test_one_that_computes_is_told_and_never_restarted(fleet: FleetHost) -> None:
    load(fleet, 11434, "llama3")
    port = runner_port(fleet, runner(fleet, "llama3"))
    fleet.misbehave(port, STANDIN_HANG_RUNNER="1", STANDIN_RUNNER_SPINS="1")
    before = fleet.invocations("llama3")

    rows = [heal(fleet)["llama3"] for _ in range(2)]

    assert [(row["state"], row["finding"]) for row in rows] == [("busy", None), ("failing", "computing")]
    assert fleet.invocations("llama3") == before
    fleet.misbehave(port, **WELL)


def test_two_at_once(fleet: FleetHost) -> None:
    load(fleet, 11436, "qwen")
    before = fleet.invocations(*NAMES)
    stop(fleet, fleet.pid("llama3"))
    stop(fleet, runner(fleet, "qwen"))

    first, second = heal(fleet), heal(fleet)

    assert {name for name, row in first.items() if row["finding"]} == {"llama3", "qwen"}
    assert {name for name, row in second.items() if row["restarted"]} == {"llama3", "qwen"}
    after = fleet.invocations(*NAMES)
    assert {name for name in NAMES if after[name] != before[name]} == {"llama3", "qwen"}


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


def test_a_turn_is_skipped_while_an_apply_is_at_work(fleet: FleetHost) -> None:
    slow = edited(FLEET, "qwen: {port: 11436}", "qwen: {port: 11436, environment: {STANDIN_ANSWER_MS: '8000'}}")
    stop(fleet, fleet.pid("llama3"))
    assert heal(fleet)["llama3"]["failures"] == 1
    remembered = fleet.machine.read(STATE_FILE)
    fleet.spec(slow)
    applying = fleet.machine.popen(["ollamactl", "apply", SPEC, "--only", "qwen"])
    skipped = []

    def at_work() -> bool:
        ran = fleet.json("heal")
        skipped.append(ran.envelope["data"]["skipped"] or "")
        return '"ollamactl apply /etc/ollamactl/fleet.yaml --only qwen"' in skipped[-1] and ran.code == 0

    fleet.wait_for(at_work)
    serve(fleet)
    assert fleet.machine.read(STATE_FILE) == remembered
    applying.communicate(timeout=60)
    assert "another ollamactl is at work: pid" in skipped[-1]
    assert heal(fleet)["llama3"]["restarted"], "its turn comes, and it goes on counting"
    fleet.applied(FLEET)


def test_a_dry_run_counts_nothing_and_needs_no_root(fleet: FleetHost) -> None:
    before = fleet.invocations("llama3")
    stop(fleet, fleet.pid("llama3"))
    assert heal(fleet)["llama3"]["failures"] == 1
    remembered = fleet.machine.read(STATE_FILE)

    rows = [heal(fleet, "--dry-run")["llama3"] for _ in range(2)]

    assert [(row["failures"], row["due"], row["restarted"]) for row in rows] == [(2, True, False)] * 2
    said = fleet.machine.ollamactl("heal", "--dry-run", user="nobody", check=False)
    assert (said.returncode, said.stdout.splitlines()[1]) == (3, f"  {unit('llama3')} would be restarted now")
    assert fleet.machine.ollamactl("heal", user="nobody", check=False).returncode == 77
    assert fleet.machine.read(STATE_FILE) == remembered
    assert fleet.invocations("llama3") == before
    assert heal(fleet)["llama3"]["restarted"]


def test_once_is_enough_where_one_says_so(fleet: FleetHost) -> None:
    before = fleet.invocations(*NAMES)
    stop(fleet, fleet.pid("qwen"))
    assert heal(fleet, "--failures", "1")["qwen"]["restarted"]
    assert others(fleet.invocations(*NAMES), "qwen") == others(before, "qwen")
