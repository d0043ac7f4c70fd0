"""Servers that do not come up, or go down: told at once, with their own last words, and never an endless loop."""

from __future__ import annotations

import pytest

from tests.system.fleethost import UNITS, FleetHost, edited, unit

FLEET = """
    version: 1
    ollama: {binary: /usr/local/bin/ollama-standin}
    defaults: {gpus: none, restart: {delay: 200ms, max_delay: 200ms, tries: 4, within: 1m}}
    instances:
      one: {port: 11434, models: [llama3]}
      two: {port: 11435, models: [mistral]}
"""


def misbehaving(**settings: str) -> str:
    """The fleet with a stand-in `one` that misbehaves from its start (tests/standin/main.go)."""
    variables = ", ".join(f'{name}: "{value}"' for name, value in settings.items())
    return edited(FLEET, "models: [llama3]", f"models: [llama3], environment: {{{variables}}}")


def test_a_crash_loop_is_told_at_once_with_its_last_words_and_ends_as_failed(host: FleetHost) -> None:
    ran = host.apply(misbehaving(STANDIN_EXIT="3"), "--keep-going", "--timeout", "100s")

    assert (ran.code, ran.seconds < 15) == (1, True)
    assert {name: proof["ok"] for name, proof in ran.proofs.items()} == {"one": False, "two": True}
    assert "unit" in ran.failed_checks("one")
    assert any("Error: told to exit" in line for line in ran.proofs["one"]["journal"])
    host.wait_for(lambda: host.states("one") == {"one": "failed"})
    shown = host.show("one", "NRestarts", "Result")
    assert shown["Result"] in ("exit-code", "start-limit-hit")
    assert int(shown["NRestarts"]) == 4
    status = host.json("status")
    assert status.code == 3
    row = status.envelope["data"]["instances"][0]
    assert (row["active"], row["healthy"], row["proof"]) == ("failed", False, False)


def test_a_crash_loop_that_was_mended_is_brought_up_by_the_next_apply(host: FleetHost) -> None:
    assert host.apply(misbehaving(STANDIN_EXIT="3"), "--keep-going").code == 1

    mended = host.applied(FLEET)

    assert [step for step in mended.steps if " two" in step] == []
    assert mended.proofs["one"]["ok"]


def test_a_server_that_crashes_twice_and_then_runs_fails_the_proof_but_not_the_next(host: FleetHost) -> None:
    first = host.apply(misbehaving(STANDIN_EXIT="3", STANDIN_EXIT_TIMES="2"), "--keep-going")
    assert (first.code, "unit" in first.failed_checks("one")) == (1, True)
    host.wait_for(lambda: host.listening(11434))

    second = host.applied()

    assert (second.changed, second.proofs["one"]["ok"]) == (False, True)


def test_a_server_that_never_answers_is_given_up_at_the_timeout(host: FleetHost) -> None:
    ran = host.apply(misbehaving(STANDIN_HANG="1"), "--keep-going", "--timeout", "3s")

    assert (ran.code, 3 <= ran.seconds < 12) == (1, True)
    assert list(ran.failed_checks("one")) == ["http"]
    assert ran.proofs["two"]["ok"]
    assert host.states("one") == {"one": "active"}


@pytest.mark.parametrize("setting", ["STANDIN_START_MS", "STANDIN_ANSWER_MS"])
def test_a_server_that_takes_its_time_is_waited_for(host: FleetHost, setting: str) -> None:
    """Before it binds the port (a cold disk), or between that and its first answer (looking for cards)."""
    ran = host.applied(misbehaving(**{setting: "2500"}), "--timeout", "60s")

    assert ran.proofs["one"]["ok"]
    assert ran.seconds >= 2.5


def test_servers_that_systemd_started_just_now_are_waited_for(host: FleetHost) -> None:
    """After a boot, or when one was killed: the unit is active long before the server answers."""
    host.applied(misbehaving(STANDIN_ANSWER_MS="2000"))
    started = host.invocations("one", "two")
    host.machine.run(["kill", "-KILL", str(host.pid("one"))])
    host.wait_for(lambda: host.invocations("one") != {"one": started["one"]})

    ran = host.applied()

    assert (ran.changed, ran.steps, ran.seconds > 1) == (False, [], True)
    host.machine.run(["systemctl", "restart", unit("one")])
    verified = host.json("verify")
    assert (verified.code, verified.proofs["one"]["ok"]) == (0, True)


def test_a_server_of_another_version_or_with_other_models_is_not_the_one_expected(host: FleetHost) -> None:
    ran = host.apply(misbehaving(STANDIN_VERSION="0.1.2", STANDIN_MODELS="mistral"))

    failed = ran.failed_checks("one")
    assert (ran.code, list(failed)) == (1, ["version", "models"])
    assert ("0.1.2" in failed["version"]["found"], "0.34.0" in failed["version"]["expected"]) == (True, True)
    assert "llama3:latest is missing" in failed["models"]["found"]
    assert "mistral:latest" in failed["models"]["found"]
    assert failed["models"]["expected"].startswith("llama3:latest ")
    assert all(check["hint"] for check in failed.values())


@pytest.mark.parametrize("status", ["404", "500"])
def test_what_answers_like_no_ollama_fails_the_proof_at_once(host: FleetHost, status: str) -> None:
    ran = host.apply(misbehaving(STANDIN_STATUS=status), "--timeout", "60s")

    assert (ran.code, list(ran.failed_checks("one")), ran.seconds < 15) == (1, ["http"], True)
    assert status in ran.failed_checks("one")["http"]["found"]


@pytest.mark.parametrize(
    "how",
    [
        pytest.param({"STANDIN_HANG": "1"}, id="silent"),
        pytest.param({"STANDIN_ENDLESS": "x", "STANDIN_DELAY_MS": "1000"}, id="drips"),
        pytest.param({"STANDIN_ENDLESS": "HTTP/1.1 100 Continue\r\n\r\n"}, id="continues"),
    ],
)
def test_a_server_that_hangs_while_its_unit_is_active_is_found_out(host: FleetHost, how: dict[str, str]) -> None:
    host.applied(FLEET)
    host.misbehave(11434, **how)

    status, verified, ran = (
        host.json("status"),
        host.json("verify", "--timeout", "4s"),
        host.apply(None, "--timeout", "4s"),
    )

    rows = {row["instance"]: (row["active"], row["healthy"]) for row in status.envelope["data"]["instances"]}
    assert (status.code, rows) == (3, {"one": ("active", False), "two": ("active", True)})
    assert (verified.code, list(verified.failed_checks("one")), verified.proofs["two"]["ok"]) == (3, ["http"], True)
    assert 4 <= verified.seconds < 8
    assert (ran.code, ran.changed, list(ran.failed_checks("one"))) == (1, False, ["http"])
    assert host.json("restart", "one").proofs["one"]["ok"]


def test_a_killed_server_comes_back_and_status_says_how_often(host: FleetHost) -> None:
    host.applied(FLEET)
    for _ in range(2):
        pid = host.pid("one")
        host.machine.run(["kill", "-KILL", str(pid)])
        host.wait_for(lambda pid=pid: host.pid("one") not in (0, pid))  # type: ignore[misc]
    host.wait_for_port(11434)

    status = host.json("status")

    rows = {row["instance"]: row for row in status.envelope["data"]["instances"]}
    assert (status.code, rows["one"]["restarts"], rows["two"]["restarts"]) == (0, 2, 0)
    assert host.json("verify").code == 0
    assert host.applied().steps == []


def test_a_server_that_dies_while_apply_waits_for_another_fails_the_proof(host: FleetHost) -> None:
    """It had answered well before; only a second look tells."""
    slow = edited(misbehaving(STANDIN_CRASH_MS="800"), "models: [mistral]",
                  'models: [mistral], environment: {STANDIN_ANSWER_MS: "3000"}')  # fmt: skip

    ran = host.apply(slow)

    assert {name: proof["ok"] for name, proof in ran.proofs.items()} == {"one": False, "two": True}
    assert (ran.code, "unit" in ran.failed_checks("one")) == (1, True)
    assert any("told to crash" in line for line in ran.proofs["one"]["journal"])


def test_a_unit_that_cannot_start_is_told_with_the_journal(host: FleetHost) -> None:
    host.machine.write(
        f"{UNITS}/{unit('one')}.d/override.conf", "[Service]\nExecStart=\nExecStart=/usr/bin/no-such-ollama serve\n"
    )

    ran = host.apply(FLEET)

    assert (ran.code, ran.errors, ran.seconds < 15) == (1, [f"{unit('one')}: the unit failed to start"], True)
    assert {name: proof["ok"] for name, proof in ran.proofs.items()} == {"one": False, "two": True}
    assert any("/usr/bin/no-such-ollama: No such file" in line for line in ran.proofs["one"]["journal"])


def test_a_unit_that_it_requires_and_that_fails_is_told(host: FleetHost) -> None:
    host.machine.write("/etc/systemd/system/broken.service", "[Service]\nType=oneshot\nExecStart=/bin/false\n")
    host.machine.run(["systemctl", "daemon-reload"])

    needs = "models: [llama3], after: [broken.service], requires: [broken.service]"
    ran = host.apply(edited(FLEET, "models: [llama3]", needs))

    assert (ran.code, ran.seconds < 15) == (1, True)
    assert f"{unit('one')}: a unit that it needs failed" in ran.errors
    assert (ran.proofs["one"]["ok"], ran.proofs["two"]["ok"]) == (False, True)
