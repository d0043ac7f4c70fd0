"""A runner hangs: its server answers as ever, and nobody is restarted for it unless that was asked for."""

from __future__ import annotations

import json

from tests.system.fleethost import FleetHost, unit
from tests.system.recorded import NAMES, listing
from tests.system.test_when_idle import RUNNER, RUNNER_2048


def hang(host: FleetHost) -> str:
    """Load llama3's model and stop its runner (signal(7)); returns its pid."""
    data = json.dumps({"model": "llama3", "prompt": "Why?", "stream": False})
    host.machine.run(["curl", "-sS", "--fail", "--data", data, "http://127.0.0.1:11434/api/generate"])
    runner = host.machine.run(["pgrep", "-P", str(host.pid("llama3"))]).stdout.strip()
    host.machine.run(["kill", "-STOP", runner])
    return runner


def test_a_runner_that_hangs_is_told_kept_by_when_idle_and_mended_by_a_restart(host: FleetHost) -> None:
    host.applied(RUNNER)
    before, started = listing(host), host.invocations("llama3")
    runner = hang(host)

    plan, patient = host.plan(RUNNER_2048), host.apply(RUNNER_2048, "--when-idle=500ms")

    silent = f"its runner (pid {runner}) does not answer"
    told = next(row for row in plan.envelope["problems"] if silent in row["message"])
    assert (told["path"], told["message"]) == (unit("llama3"), f"{silent} now, which a restart cuts off")
    assert told["hint"].startswith("if it hangs, that mends it; ")
    assert (patient.code, patient.envelope["data"]["rollback"]["ok"]) == (1, True)
    assert patient.errors == [f"{unit('llama3')}: it was not restarted: {silent}, still after 500ms"]
    assert "the same command without --when-idle" in patient.hints[0]
    assert (listing(host), host.invocations("llama3")) == (before, started)
    assert host.models(11434) == ["llama3:latest"]

    assert host.applied(RUNNER_2048).proofs["llama3"]["ok"]
    assert not host.machine.exists(f"/proc/{runner}")
    assert [note for note in host.plan(RUNNER).notes if "runner" in note] == []
    assert host.states(*NAMES) == dict.fromkeys(NAMES, "active")
