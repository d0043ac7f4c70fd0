"""What scripts and people read: one envelope and one set of exit codes for every command, on real results."""

from __future__ import annotations

import re

import pytest

from tests.system.fleethost import SPEC, STANDIN, FleetHost, edited

FLEET = f"""
    version: 1
    ollama: {{binary: {STANDIN}}}
    defaults: {{gpus: none, restart: {{policy: never}}}}
    instances:
      one: {{port: 11434, models: [llama3]}}
      two: {{port: 11435, models: [mistral]}}
"""
ENVELOPE = ["changed", "command", "data", "ollamactl", "problems", "status"]
PROBLEM = ["column", "file", "hint", "instance", "line", "message", "path", "severity"]
COMMANDS = (
    "check", "render", "plan", "apply", "verify", "status", "start", "stop", "restart", "env", "gpus", "schema", "init",
    "adopt", "destroy", "logs",
)  # fmt: skip
STATUS = {0: "ok", 1: "failed", 2: "usage", 3: "drift", 77: "denied", 78: "invalid"}
CRASHING = edited(FLEET, "models: [llama3]", 'models: [llama3], environment: {STANDIN_EXIT: "1"}')


@pytest.fixture(scope="module")
def fleet(shared: FleetHost) -> FleetHost:
    """One fleet that is up; who uses it leaves it as it was."""
    shared.applied(FLEET)
    return shared


@pytest.mark.parametrize(
    ("arguments", "code", "keys"),
    [
        (["check", SPEC], 0, ["instances"]),
        (["render", SPEC], 0, ["files"]),
        (["render", "--diff", SPEC], 0, ["steps"]),
        (["plan", SPEC], 0, ["steps"]),
        (["plan", "--exit-code", SPEC], 0, ["steps"]),
        (["apply", "--dry-run", SPEC], 0, ["steps"]),
        (["apply", SPEC], 0, ["proofs", "steps"]),
        (["verify"], 0, ["proofs", "steps"]),
        (["verify", SPEC, "--only", "one"], 0, ["proofs", "steps"]),
        (["status"], 0, ["instances"]),
        (["status", "one"], 0, ["instances"]),
        (["start", "one"], 0, ["proofs", "steps"]),
        (["restart", "two"], 0, ["proofs", "steps"]),
        (["env", "one"], 0, ["environment"]),
        (["gpus"], 0, ["gpus"]),
        (["schema"], 0, ["schema"]),
        (["init"], 0, ["spec"]),
        (["adopt"], 1, []),
        (["adopt", "cron"], 2, []),
        (["destroy", "--dry-run"], 0, ["steps"]),
        (["destroy"], 77, []),
        (["apply", "/etc/no-such.yaml"], 78, []),
        (["apply", SPEC, "--only", "nobody"], 2, []),
        (["apply", "--timeout", "soon", SPEC], 2, []),
        (["frobnicate"], 2, []),
        (["status", "--root", "/srv"], 2, []),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) and value and value[0] in COMMANDS else None,
)
def test_every_command_prints_one_envelope(fleet: FleetHost, arguments: list[str], code: int, keys: list[str]) -> None:
    ran = fleet.json(*arguments)

    assert (ran.code, ran.envelope["status"], sorted(ran.envelope["data"])) == (code, STATUS[code], keys)
    assert sorted(ran.envelope) == ENVELOPE
    assert ran.envelope["command"] == (arguments[0] if arguments[0] in COMMANDS else "")
    assert {tuple(sorted(problem)) for problem in ran.envelope["problems"]} <= {tuple(PROBLEM)}
    assert [problem for problem in ran.envelope["problems"] if code and problem["severity"] == "error"] or code in (
        0,
        3,
    )
    assert ran.stderr == ""


def test_a_proof_has_these_checks_in_this_order(fleet: FleetHost) -> None:
    """Which keys there are is in docs/json.md, which each document is held against."""
    proof = fleet.json("verify").envelope["data"]["proofs"][0]

    assert [check["check"] for check in proof["checks"]] == ["unit", "http", "listener", "version", "models"]


def test_status_is_a_table_that_a_person_reads(fleet: FleetHost) -> None:
    shown = fleet.machine.ollamactl("status")

    table = re.sub(r"\b\d+(ms|s|m)\b", "AGE", shown.stdout)
    assert [line.split() for line in table.splitlines()] == [
        ["INSTANCE", "UNIT", "SINCE", "LISTEN", "PROOF", "LOADED", "GPU", "MEMORY", "RESTARTS"],
        ["one", "active", "(running)", "AGE", "127.0.0.1:11434", "ok", "-", "none", "-", "0"],
        ["two", "active", "(running)", "AGE", "127.0.0.1:11435", "ok", "-", "none", "-", "0"],
    ]
    assert shown.stderr == ""


def test_a_loaded_model_shows_in_status(fleet: FleetHost) -> None:
    load = """curl -sS http://127.0.0.1:11434/api/generate -d '{"model": "llama3"}'"""
    fleet.machine.run(load)

    row = fleet.json("status", "one").envelope["data"]["instances"][0]

    assert [model["name"] for model in row["loaded"]] == ["llama3:latest"]
    fleet.json("restart", "one")


def test_progress_goes_to_stderr_and_is_silent_with_quiet(host: FleetHost) -> None:
    host.spec(FLEET)
    first = host.machine.ollamactl("apply", SPEC)
    quiet = host.machine.ollamactl("restart", "-q")

    assert first.stdout.splitlines()[-1] == "Done: 2 started, 8 files written; 2 of 2 servers proved."
    progress = [line for line in first.stderr.splitlines() if re.match(r"(one|two): ", line)]
    assert sorted(progress) == [
        "one: answers on 127.0.0.1:11434", "one: started, waiting for its answer",
        "two: answers on 127.0.0.1:11435", "two: started, waiting for its answer",
    ]  # fmt: skip
    assert (quiet.stderr, quiet.stdout.splitlines()[-1]) == ("", "Done: 2 restarted; 2 of 2 servers proved.")


def test_on_a_terminal_each_server_has_a_line_of_its_own_that_goes_away(host: FleetHost) -> None:
    host.spec(FLEET)

    shown = host.machine.run(
        ["script", "--quiet", "--return", "--command", f"ollamactl apply {SPEC}", "/dev/null"], env={"TERM": "xterm"}
    ).stdout

    lines = re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown))
    drawn = {" ".join(line.split()) for line in lines}
    assert {"one answers on 127.0.0.1:11434", "two answers on 127.0.0.1:11435"} <= drawn
    assert "\x1b[1A" in shown  # it was drawn over itself
    assert [line for line in lines if line.strip()][-1] == "Done: 2 started, 8 files written; 2 of 2 servers proved."


def test_a_failure_tells_a_person_what_was_expected_and_found_and_what_to_do(host: FleetHost) -> None:
    host.spec(CRASHING)

    failed = host.machine.ollamactl("apply", SPEC, "--keep-going", check=False)

    assert failed.returncode == 1
    shown = failed.stdout
    assert re.search(r"^FAIL  one  127\.0\.0\.1:11434", shown, re.M)
    assert re.search(r"^ok    two  127\.0\.0\.1:11435", shown, re.M)
    assert re.search(r"^ +unit: found +failed\n +expected +active \(running\), without restarts$", shown, re.M)
    assert "journalctl -u ollama@one.service" in shown
    assert "| Error: told to exit" in shown
    assert shown.splitlines()[-1] == (
        "FAILED: 1 of 2 servers proved; 2 started, 8 files written. "
        "What stands above says why; `ollamactl status` shows the state now."
    )
    verified = host.machine.ollamactl("verify", check=False).stdout.splitlines()[-1]
    assert verified == "FAILED: 1 of 2 servers proved. What stands above says why."


def test_exit_codes_tell_how_the_fleet_is(host: FleetHost) -> None:
    codes = {
        "no spec": host.json("plan").code,
        "a spec that is wrong": host.apply("version: 1\ninstances: {one: {prot: 11434}}\n").code,
        "an option that there is not": host.json("plan", "--frobnicate").code,
        "a user": host.json("apply", host.spec(FLEET), user="nobody").code,
        "drift": host.plan(FLEET, "--exit-code").code,
        "a server that fails": host.apply(CRASHING, "--keep-going").code,
        "unhealthy": host.json("status").code,
        "not proved": host.json("verify").code,
        "done": host.apply(FLEET).code,
        "nothing to do": host.apply(FLEET).code,
        "healthy": host.json("status").code,
        "proved": host.json("verify").code,
    }
    assert codes == {
        "no spec": 2,
        "a spec that is wrong": 78,
        "an option that there is not": 2,
        "a user": 77,
        "drift": 3,
        "a server that fails": 1,
        "unhealthy": 3,
        "not proved": 3,
        "done": 0,
        "nothing to do": 0,
        "healthy": 0,
        "proved": 0,
    }


def test_a_wrong_spec_changes_nothing_and_says_all_that_is_wrong_at_once(host: FleetHost) -> None:
    before = host.files()

    ran = host.apply("version: 1\ninstances:\n  one: {port: 99999}\n  two: {prot: 11434}\n")

    assert (ran.code, ran.changed, host.files()) == (78, False, before)
    places = [
        (row["path"], row["line"], row["column"]) for row in ran.envelope["problems"] if row["severity"] == "error"
    ]
    assert places == [("instances.one.port", 3, 15), ("instances.two.prot", 4, 9)]
