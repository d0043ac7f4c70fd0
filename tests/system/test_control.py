"""The smaller commands on an installed fleet: start, stop, restart, logs, env, status; and who may do what."""

from __future__ import annotations

import json
import re
import subprocess

import pytest

from tests.lab.container import end
from tests.system.fleethost import SPEC, FleetHost, drop_in, unit

FLEET = """
    version: 1
    ollama: {binary: /usr/local/bin/ollama-standin}
    defaults: {gpus: none}
    instances:
      one: {port: 11434, models: [llama3], environment: {MOOD: "it's fine"}, secrets: {TOKEN: hidden}}
      two: {port: 11435, models: [mistral]}
      idle: {port: 11436, models: [qwen], state: stopped}
"""
NAMES = ("one", "two", "idle")


def test_stop_and_start_one_server(host: FleetHost) -> None:
    host.applied(FLEET)
    two = host.invocations("two")

    stopped = host.json("stop", "one")
    assert (stopped.code, stopped.changed) == (0, True)
    assert host.states(*NAMES) == {"one": "inactive", "two": "active", "idle": "inactive"}
    assert host.json("status").code == 3
    started = host.json("start", "one")

    assert (started.code, started.changed, started.proofs["one"]["ok"]) == (0, True, True)
    assert host.states(*NAMES) == {"one": "active", "two": "active", "idle": "inactive"}
    assert host.invocations("two") == two


def test_who_is_already_as_asked_for_is_left_alone_and_said_to_be_so(host: FleetHost) -> None:
    host.applied(FLEET)
    before = host.invocations("one", "two")

    started = host.json("start", "one")
    said = host.machine.ollamactl("start", "-q").stdout.splitlines()[-1]
    assert (started.code, started.changed, started.steps, started.proofs["one"]["ok"]) == (0, False, [], True)
    assert said == ("Nothing to do: 2 already running, 1 left stopped, as in the spec; 2 of 2 servers proved.")
    assert host.invocations("one", "two") == before

    assert host.machine.ollamactl("stop", "one", "idle").stdout == "Done: 1 stopped, 1 already stopped.\n"
    again = host.json("stop", "one")
    assert (again.code, again.changed, again.steps) == (0, False, [])
    assert host.machine.ollamactl("stop", "one").stdout == "Nothing to do: 1 already stopped.\n"
    restarted = host.machine.ollamactl("restart", "one", "two")
    assert restarted.stdout.splitlines()[-1] == "Done: 1 started, 1 restarted; 2 of 2 servers proved."
    assert "one: started, waiting for its answer" in restarted.stderr
    assert "two: restarted, waiting for its answer" in restarted.stderr


def test_a_port_that_a_stranger_took_meanwhile_is_told_before_a_start(host: FleetHost) -> None:
    host.applied(FLEET)
    stopped = host.machine.ollamactl("stop", "one")
    assert "note: what was stopped stays so until the next start, apply or boot" in stopped.stderr
    stranger = host.machine.popen(["python3", "-m", "http.server", "--bind", "127.0.0.1", "11434"])
    host.wait_for(lambda: host.listening(11434))

    refused = host.json("start", "one", "two")

    assert (refused.code, refused.changed) == (1, False)
    assert "127.0.0.1:11434 is taken by pid" in refused.errors[0]
    assert host.states("one") == {"one": "inactive"}
    end(stranger)
    host.wait_for(lambda: not host.listening(11434))
    assert host.json("start", "one").code == 0


def test_status_tells_of_a_server_that_an_apply_did_not_come_to(host: FleetHost) -> None:
    host.applied(FLEET)
    shown = host.machine.read(drop_in("one"))
    host.machine.write(
        drop_in("one"), re.sub("OLLAMACTL_CONFIG=([0-9a-f]+)", "OLLAMACTL_CONFIG=0123456789abcdef", shown)
    )
    host.machine.run(["systemctl", "daemon-reload"])

    status = host.json("status")
    rows = {row["instance"]: (row["healthy"], row["older"]) for row in status.envelope["data"]["instances"]}
    told = host.machine.ollamactl("status", "one", check=False)

    assert status.code == 3
    assert rows == {"one": (False, True), "two": (True, False), "idle": (True, False)}
    assert "one: it runs with an older configuration than the one that is installed" in told.stdout
    assert host.json("restart", "one").code == 0
    assert host.json("status", "one").code == 0


def test_a_server_that_runs_and_hangs_is_not_started_but_told(host: FleetHost) -> None:
    host.applied(FLEET)
    host.misbehave(11434, STANDIN_HANG="1")

    said = host.machine.ollamactl("start", "one", "--timeout", "1s", check=False)

    assert said.returncode == 1
    assert said.stdout.splitlines()[-1] == (
        "FAILED: 0 of 1 server proved; nothing was changed, 1 already running. "
        "What stands above says why; `ollamactl status` shows the state now."
    )
    assert "sudo ollamactl restart one" in said.stdout
    assert host.json("restart", "one").code == 0


def test_restart_without_names_restarts_all_that_shall_run(host: FleetHost) -> None:
    host.applied(FLEET)
    before = host.invocations("one", "two")

    ran = host.json("restart")

    after = host.invocations("one", "two")
    assert (ran.code, list(ran.proofs)) == (0, ["one", "two"])
    assert [name for name in after if after[name] != before[name]] == ["one", "two"]
    assert host.states("idle") == {"idle": "inactive"}


def test_a_server_that_shall_be_stopped_starts_when_it_is_named(host: FleetHost) -> None:
    host.applied(FLEET)

    assert host.json("start", "idle").proofs["idle"]["ok"]
    assert host.states("idle") == {"idle": "active"}
    assert host.json("stop").code == 0
    assert host.states(*NAMES) == dict.fromkeys(NAMES, "inactive")
    assert host.json("start").code == 0
    assert host.states(*NAMES) == {"one": "active", "two": "active", "idle": "inactive"}


def test_restarting_often_by_hand_never_runs_into_the_start_limit(host: FleetHost) -> None:
    host.applied(FLEET.replace("models: [mistral]", "models: [mistral], restart: {tries: 2}"))

    codes = [host.json("restart", "two").code for _ in range(4)]

    assert codes == [0, 0, 0, 0]
    assert host.states("two") == {"two": "active"}


def test_a_restart_that_fails_says_why(host: FleetHost) -> None:
    host.applied(FLEET)
    host.machine.write(f"/etc/systemd/system/{unit('one')}.d/zz.conf", "[Service]\nEnvironment=STANDIN_EXIT=1\n")
    host.machine.run(["systemctl", "daemon-reload"])

    ran = host.json("restart", "one")

    assert (ran.code, ran.seconds < 15) == (1, True)
    assert any("told to exit" in line for line in ran.proofs["one"]["journal"])


def test_env_gives_a_shell_what_the_client_needs_and_keeps_secrets(host: FleetHost) -> None:
    host.applied(FLEET)

    asked = host.machine.run('eval "$(ollamactl env two)"; curl -sS "http://$OLLAMA_HOST/api/tags"')
    assert [row["name"] for row in json.loads(asked.stdout)["models"]] == ["mistral:latest"]
    assert host.json("env", "two").envelope["data"] == {"environment": {"OLLAMA_HOST": "127.0.0.1:11435"}}
    told = host.json("env", "one", "--server").envelope["data"]["environment"]
    process = host.environ(11434)
    assert (told["MOOD"], "TOKEN" in told) == ("it's fine", False)
    assert {name: value for name, value in told.items() if process.get(name) != value} == {}
    quoted = host.machine.run('eval "$(ollamactl env one --server)"; printf %s "$MOOD"').stdout
    assert quoted == "it's fine"


def test_logs_show_the_journal_of_one_server_or_of_all(host: FleetHost) -> None:
    host.applied(FLEET)

    one = host.machine.ollamactl("logs", "one").stdout
    everybody = host.machine.ollamactl("logs").stdout

    assert ("127.0.0.1:11434" in one, "127.0.0.1:11435" in one) == (True, False)
    assert ("127.0.0.1:11434" in everybody, "127.0.0.1:11435" in everybody) == (True, True)
    assert len(host.machine.ollamactl("logs", "one", "-n", "1").stdout.splitlines()) == 1
    rows = [json.loads(line) for line in host.machine.ollamactl("logs", "one", "--output", "json").stdout.splitlines()]
    assert any("Listening on 127.0.0.1:11434" in row["MESSAGE"] for row in rows)


def test_who_may_not_read_the_journal_is_told_how_to(host: FleetHost) -> None:
    host.applied(FLEET)

    ran = host.json("logs", "one", user="nobody")
    assert (ran.code, ran.envelope["status"], ran.errors) == (77, "denied", [": the journal is not open to this user"])
    assert "sudo usermod -aG systemd-journal $USER" in ran.hints[0]
    shown = host.machine.ollamactl("logs", "one", user="nobody", check=False)
    assert (shown.returncode, shown.stdout) == (77, "")
    assert "Hint: You are currently" not in shown.stderr
    host.machine.run("usermod -aG systemd-journal nobody")
    assert "Listening on 127.0.0.1:11434" in host.machine.ollamactl("logs", "one", user="nobody").stdout


def test_logs_end_quietly_when_the_reader_has_seen_enough(host: FleetHost) -> None:
    host.applied(FLEET)
    done = host.machine.run("for i in 1 2 3; do ollamactl logs -n 5 | head -1 >/dev/null; done")
    assert done.stderr == ""


def test_logs_can_be_followed(host: FleetHost) -> None:
    host.applied(FLEET)
    following = host.machine.popen(["ollamactl", "logs", "-f", "-n", "0", "one"], stderr=subprocess.DEVNULL)
    try:
        host.wait_for(lambda: "--follow" in host.machine.run("ps -eo args").stdout)
        host.machine.run(["systemctl", "restart", unit("one")])
        assert following.stdout is not None
        while "Listening on 127.0.0.1:11434" not in following.stdout.readline():
            assert following.poll() is None
    finally:
        end(following)


@pytest.mark.parametrize("command", ["status", "verify", "start", "stop", "restart", "logs"])
def test_without_a_fleet_the_commands_say_how_to_get_one(host: FleetHost, command: str) -> None:
    ran = host.json(command)

    assert (ran.code, ran.errors, ran.hints) == (
        2, [": no fleet is installed here"], ["bring one up with: sudo ollamactl apply fleet.yaml"],
    )  # fmt: skip


@pytest.mark.parametrize("command", ["status", "start", "stop", "restart", "logs", "env"])
def test_an_unknown_name_is_told_with_those_that_there_are(host: FleetHost, command: str) -> None:
    host.applied(FLEET)

    ran = host.json(command, "three")

    assert (ran.code, ran.errors, ran.hints) == (2, [": there is no instance 'three'"], ["there are: idle, one, two"])


def test_an_ordinary_user_sees_much_and_changes_nothing(host: FleetHost) -> None:
    host.applied(FLEET)
    before = (host.files(), host.invocations("one", "two"))

    plan = host.json("plan", SPEC, user="nobody")
    status = host.json("status", user="nobody")
    verify = host.json("verify", user="nobody")
    env = host.json("env", "one", user="nobody")

    assert (plan.code, plan.steps, plan.notes) == (
        0, [], ["only root may look into this folder, so no secrets were compared"]
    )  # fmt: skip
    assert (status.code, verify.code, env.code) == (0, 0, 0)
    assert verify.notes == ["only root can prove that one and two answered, and not another process on the port"]
    assert "sudo ollamactl verify" in host.machine.ollamactl("verify", user="nobody").stderr
    rows = {row["instance"]: row["active"] for row in status.envelope["data"]["instances"]}
    assert rows == {"one": "active", "two": "active", "idle": "inactive"}
    for command in (["apply", SPEC], ["start"], ["stop", "one"], ["restart"], ["destroy", "--yes"]):
        ran = host.json(*command, user="nobody")
        assert (ran.code, ran.changed, ran.envelope["status"]) == (77, False, "denied")
        assert f"sudo ollamactl {command[0]}" in ran.hints[0]
    assert (host.files(), host.invocations("one", "two")) == before


def test_an_ordinary_user_can_plan_a_change(host: FleetHost) -> None:
    host.applied(FLEET)
    host.spec(FLEET.replace("models: [mistral]", "models: [mistral], parallel: 3"))
    mine, root_s = host.json("plan", SPEC, user="nobody"), host.json("plan", SPEC)

    assert mine.code == 0
    assert mine.steps == root_s.steps
    assert [step for step in mine.steps if step.startswith("restart")] == [f"restart {unit('two')}: parallel 1 -> 3"]


def test_an_ordinary_user_knows_the_fleets_own_servers_from_a_stranger_on_a_port(host: FleetHost) -> None:
    host.applied(FLEET)
    swapped = FLEET.replace("11434", "1").replace("11435", "11434").replace("port: 1,", "port: 11435,")
    host.machine.run(["systemctl", "stop", unit("one")])
    host.spec(swapped)

    mine, root_s = host.json("plan", SPEC, user="nobody"), host.json("plan", SPEC)

    assert f"stop {unit('two')}: frees port 11435 for one" in mine.steps
    assert (mine.steps, mine.code, root_s.notes) == (root_s.steps, 0, [])
    assert mine.notes == ["only root may look into this folder, so no secrets were compared"]
    host.background("HOME=/root OLLAMA_HOST=127.0.0.1:11434 exec /usr/local/bin/ollama-standin serve", port=11434)
    host.spec(FLEET)
    assert [note for note in host.json("plan", SPEC, user="nobody").notes if "taken" in note] == [
        "127.0.0.1:11434 is taken by a process that only root may see"
    ]


def test_a_secret_in_a_spec_that_only_root_may_read_is_no_riddle(host: FleetHost) -> None:
    host.spec(FLEET)
    host.machine.run(["chmod", "600", SPEC])

    ran = host.json("plan", SPEC, user="nobody")

    assert (ran.code, ran.errors) == (77, [f": {SPEC}: only its owner may read this spec"])
    assert "sudo" in ran.hints[0]
