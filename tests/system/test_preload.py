"""Models that are in memory before the first user comes: after an apply, a crash, a boot; and loads that are slow."""

from __future__ import annotations

import re

import pytest

from tests.lab.container import Container, end
from tests.lab.roots import EXTRA
from tests.system.fleethost import SPEC, STANDIN, FleetHost, edited, unit
from tests.system.inside import ask

pytestmark = pytest.mark.system

REAL = """
    version: 1
    defaults: {gpus: none, context_length: 512, preload: true, restart: {delay: 100ms}}
    instances:
      both: {port: 11434, models: [qwen, llama3]}
      some: {port: 11435, models: [mistral, qwen], preload: mistral, keep_alive: 1h}
      embed: {port: 11436, models: "nomic-embed-text:v1.5", host: "::1"}
      none: {port: 11437, models: llama3, preload: false}
"""
PORTS = {"both": 11434, "some": 11435, "embed": 11436, "none": 11437}


def loaded(host: FleetHost, name: str) -> list[str]:
    """The models that a server has in memory."""
    at = "[::1]" if name == "embed" else "127.0.0.1"
    answer = ask(host, PORTS[name], "GET", "/api/ps", at=at)
    return sorted(row["name"] for row in answer.json["models"]) if answer.status == 200 else []


WANTED = {
    "both": ["llama3:latest", "qwen:latest"],
    "some": ["mistral:latest"],
    "embed": ["nomic-embed-text:v1.5"],
    "none": [],
}


def all_loaded(host: FleetHost) -> bool:
    return {name: loaded(host, name) for name in PORTS} == WANTED


@pytest.mark.parametrize("suite", list(EXTRA))
def test_real_models_are_in_memory_whoever_started_their_servers(suite: str) -> None:
    with Container.boot(suite, store=True) as machine:
        host = FleetHost(machine)
        host.spec(REAL)

        told = machine.run(["ollamactl", "apply", SPEC]).stderr

        assert all_loaded(host)
        assert {f"some: answers, and loads {WANTED['some'][0]}", f"both: answers, and loads {WANTED['both'][1]}"} <= {
            *told.splitlines()
        }
        assert [row["expires_at"][:2] for row in host.get(11434, "/api/ps")["models"]] == ["23", "23"]  # in 300 years
        host.wait_for(lambda: "preload" not in machine.run(["ps", "-Ao", "args"]).stdout)
        assert re.search(
            r"preload: qwen:latest is in memory after \d+ s\n.*preload: llama3:latest is in memory",
            machine.run(["journalctl", "-u", unit("both"), "-o", "cat"]).stdout,
            re.DOTALL,
        )
        assert (host.applied().steps, host.json("verify").code, host.json("heal").code) == ([], 0, 0)

        machine.run(["kill", "-KILL", str(host.pid("both"))])
        host.wait_for(lambda: loaded(host, "both") == WANTED["both"])
        machine.reboot()
        host.wait_for(lambda: set(host.states(*PORTS).values()) == {"active"})
        ran = host.json("verify", "--timeout", "60s")
        assert ran.code == 0, {name: ran.failed_checks(name) for name in ran.proofs}
        host.wait_for(lambda: all_loaded(host))

        ask(host, 11435, "POST", "/api/generate", {"model": "mistral", "keep_alive": 0})
        host.wait_for(lambda: loaded(host, "some") == [])
        verified, status = host.json("verify"), host.json("status")
        assert (verified.code, status.code, list(verified.failed_checks("some"))) == (3, 3, ["load"])
        assert verified.failed_checks("some")["load"]["found"] == "mistral:latest is not in memory"
        again = host.applied()
        assert (again.steps, loaded(host, "some"), host.json("verify").code) == ([], ["mistral:latest"], 0)


SLOW = f"""
    version: 1
    ollama: {{binary: {STANDIN}}}
    defaults: {{gpus: none}}
    instances:
      slow: {{port: 11434, models: [llama3], preload: true, environment: {{STANDIN_LOAD_MS: 20000}}}}
      quick: {{port: 11435, models: [mistral]}}
"""


def test_a_slow_load_keeps_no_start_waiting_and_a_failed_one_ends_no_server(host: FleetHost) -> None:
    ran = host.applied(SLOW, "--timeout", "2s")

    (load,) = [check for check in ran.proofs["slow"]["checks"] if check["check"] == "load"]
    assert (load["ok"], load["found"], host.states("slow")) == (
        True,
        "llama3:latest is being loaded",
        {"slow": "active"},
    )
    assert "bash -c" in host.machine.run(["systemctl", "status", unit("slow")]).stdout
    assert [host.json(command).code for command in ("verify", "status", "heal")] == [0, 0, 0]
    assert "llama3:latest is being loaded" in host.machine.run(["ollamactl", "verify"]).stdout
    started = host.invocations("slow")
    stopped = host.json("stop", "slow")
    assert (stopped.code, stopped.seconds < 5) == (0, True)
    assert "preload" not in host.machine.run(["ps", "-Ao", "args"]).stdout

    failing = edited(SLOW, "STANDIN_LOAD_MS: 20000", "STANDIN_LOAD_ERROR: out of memory")
    refused = host.apply(failing)
    assert (refused.code, refused.failed_checks("slow")["load"]["found"]) == (
        1,
        "loading llama3:latest failed: out of memory",
    )
    assert refused.envelope["data"]["rollback"]["ok"]
    kept = host.apply(None, "--keep-going")
    assert (kept.code, host.states("slow")) == (1, {"slow": "active"})
    failed = 'preload: llama3:latest was not loaded: {"error":"out of memory"}'
    journal = ["journalctl", "-u", unit("slow"), "-o", "cat"]
    host.wait_for(lambda: host.machine.run(journal).stdout.count(failed) > 2)
    host.machine.run("pkill -f 'preload 127.0.0.1'", check=False)
    assert (host.json("verify").code, host.invocations("slow") != started) == (3, True)
    without = host.applied(edited(failing, "preload: true, ", ""))
    assert "preload llama3:latest -> none" in without.steps[0]
    assert without.proofs["slow"]["ok"]


def test_a_load_that_takes_a_while_is_told_with_what_of_the_model_is_read() -> None:
    with Container.boot("sid", store=True) as machine:
        host = FleetHost(machine)
        host.spec(edited(REAL, "models: [qwen, llama3]", "models: qwen"))
        # It stands still for three seconds, once it has its model for an argument
        runner = "-f 'llama-serve[r] .*--mode[l]'"
        slow = machine.popen(f"until pkill -STOP {runner}; do :; done; sleep 3; pkill -CONT {runner}")
        try:
            told = machine.run(["ollamactl", "apply", SPEC, "--only", "both"]).stderr
        finally:
            end(slow)
    assert re.search(r"both: answers, and loads qwen:latest: \d+% of \d.* [KM]B read", told), told
