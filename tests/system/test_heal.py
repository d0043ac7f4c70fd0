"""Servers and runners that hang are restarted on a real systemd, and no other; test_heal_runner has the real runner."""

from __future__ import annotations

import pytest

from tests.system.conftest import SUITE
from tests.system.fleethost import SPEC, FleetHost, edited, unit
from tests.system.hangs import (
    FLEET,
    NAMES,
    STATE_FILE,
    figure,
    heal,
    load,
    runner,
    runner_port,
    serve,
    stop,
    told,
)
from tests.system.inside import fleet_of

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("heal")]

fleet = fleet_of(FLEET, suites=[SUITE])


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
