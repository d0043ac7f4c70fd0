"""Who requires another server goes up and down with it: systemd sees to that, and ollamactl says and proves it."""

from __future__ import annotations

from tests.system.fleethost import FleetHost, edited, unit

ONE = "one: {port: 11434, models: [llama3], requires: [two], after: [two], environment: {STANDIN_START_MS: '1500'}}"
FLEET = f"""
    version: 1
    ollama: {{binary: /usr/local/bin/ollama-standin}}
    defaults: {{gpus: none}}
    instances:
      {ONE}
      two: {{port: 11435, models: [mistral]}}
      three: {{port: 11436, models: [qwen]}}
"""
NAMES = ("one", "two", "three")
WITH_TWO = f"requires {unit('two')}, which restarts"


def starts(host: FleetHost, name: str) -> int:
    """How often systemd has started a server since the boot."""
    host.machine.run(["journalctl", "--sync"])
    lines = host.machine.run(["journalctl", "--boot", "--output=cat", "_PID=1", f"UNIT={unit(name)}"]).stdout
    return lines.count("Started ")


def test_who_requires_a_server_that_changes_is_restarted_once_along_with_it(host: FleetHost) -> None:
    host.applied(FLEET)
    three = host.invocations("three")

    ran = host.applied(edited(FLEET, "models: [mistral]", "models: [mistral], parallel: 3"))

    assert ran.steps[-2:] == [f"restart {unit('two')}: parallel 1 -> 3", f"restart {unit('one')}: {WITH_TWO}"]
    assert {name: proof["ok"] for name, proof in ran.proofs.items()} == dict.fromkeys(NAMES, True)
    assert {name: starts(host, name) for name in NAMES} == {"one": 2, "two": 2, "three": 1}
    assert host.invocations("three") == three
    assert host.applied().steps == []


def test_who_requires_a_server_that_swaps_its_port_is_stopped_and_started_with_it(host: FleetHost) -> None:
    host.applied(FLEET)
    swapped = FLEET.replace("11435", "1").replace("11436", "11435").replace("port: 1,", "port: 11436,")

    ran = host.applied(swapped)

    assert [step for step in ran.steps if unit("one") in step] == [
        f"stop {unit('one')}: requires {unit('two')}, which stops",
        f"start {unit('one')}: {WITH_TWO}",
    ]
    assert host.states(*NAMES) == dict.fromkeys(NAMES, "active")
    assert {name: starts(host, name) for name in NAMES} == dict.fromkeys(NAMES, 2)
    assert host.applied().steps == []


def test_a_server_that_leaves_takes_nobody_along_who_required_it_before(host: FleetHost) -> None:
    host.applied(FLEET)

    host.applied(
        edited(
            edited(FLEET, ", requires: [two], after: [two]", ""), "      two: {port: 11435, models: [mistral]}\n", ""
        )
    )

    assert host.states(*NAMES) == {"one": "active", "two": "inactive", "three": "active"}
    assert host.applied().steps == []


def test_only_says_whom_it_takes_along_and_proves_them_as_they_are_installed(host: FleetHost) -> None:
    host.applied(FLEET)
    other = edited(FLEET, "models: [mistral]", "models: [mistral], parallel: 3")

    ran = host.applied(edited(other, "port: 11434, models: [llama3]", "port: 12000, models: [qwen]"), "--only", "two")

    assert ran.steps[-2:] == [f"restart {unit('two')}: parallel 1 -> 3", f"restart {unit('one')}: {WITH_TWO}"]
    assert {name: proof["ok"] for name, proof in ran.proofs.items()} == {"one": True, "two": True}
    assert host.models(11434) == ["llama3:latest"]


def test_start_stop_and_restart_take_along_whom_systemd_takes_along(host: FleetHost) -> None:
    host.applied(FLEET)

    restarted = host.json("restart", "two")
    stopped = host.json("stop", "two")
    down = host.states(*NAMES)
    started = host.json("start", "one")

    assert restarted.steps == [f"restart {unit('two')}: asked for", f"restart {unit('one')}: {WITH_TWO}"]
    assert (restarted.code, sorted(restarted.proofs)) == (0, ["one", "two"])
    assert stopped.steps == [
        f"stop {unit('two')}: asked for",
        f"stop {unit('one')}: requires {unit('two')}, which stops",
    ]
    assert (stopped.code, down) == (0, {"one": "inactive", "two": "inactive", "three": "active"})
    assert started.steps == [f"start {unit('one')}: asked for", f"start {unit('two')}: required by {unit('one')}"]
    assert (started.code, sorted(started.proofs)) == (0, ["one", "two"])
    assert {name: starts(host, name) for name in NAMES} == {"one": 3, "two": 3, "three": 1}


def test_more_than_can_be_started_at_once_go_along_and_are_restarted_once(host: FleetHost) -> None:
    names = [f"i{number:02}" for number in range(40)]
    lines = "".join(
        f"      {name}: {{port: {12000 + at}, models: [qwen], requires: [two]}}\n" for at, name in enumerate(names)
    )
    fleet = FLEET + lines
    host.applied(fleet)

    ran = host.applied(edited(fleet, "models: [mistral]", "models: [mistral], parallel: 3"))

    assert all(proof["ok"] for proof in ran.proofs.values())
    assert {starts(host, name) for name in ("one", "two", *names)} == {2}


def test_an_apply_that_is_undone_brings_back_those_who_went_along(host: FleetHost) -> None:
    host.applied(FLEET)

    ran = host.apply(edited(FLEET, "models: [mistral]", "models: [mistral], environment: {STANDIN_EXIT: '1'}"))

    assert ran.code == 1
    assert host.states(*NAMES) == dict.fromkeys(NAMES, "active")
    assert host.json("verify").code == 0
    assert host.applied(FLEET).steps == []
