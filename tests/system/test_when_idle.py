"""Nobody is cut off where --when-idle asks for that; the real runner's turn is in test_runner."""

from __future__ import annotations

import json
import subprocess

from tests.system.fleethost import SPEC, FleetHost, edited
from tests.system.recorded import FLEET, NAMES, listing

RUNNER = edited(FLEET, "llama3: {port: 11434,", "llama3: {port: 11434, environment: {STANDIN_RUNNER: '1'},")


def generating(host: FleetHost, milliseconds: int) -> subprocess.Popen[str]:
    """A request to llama3 that is in work for so long, and is so already."""
    host.misbehave(11434, STANDIN_GENERATE_MS=str(milliseconds))
    data = json.dumps({"model": "llama3", "prompt": "Why?", "stream": False})
    asking = host.machine.popen(
        ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--data", data, "http://127.0.0.1:11434/api/generate"]
    )
    host.wait_for(lambda: "is answering 1 request" in " ".join(host.plan(RUNNER_2048).notes))
    return asking


RUNNER_2048 = RUNNER.replace("context_length: 4096", "context_length: 2048")


def test_without_when_idle_a_restart_cuts_off_what_is_in_flight(host: FleetHost) -> None:
    host.applied(RUNNER)
    asking = generating(host, 20_000)

    assert host.apply().code == 0
    assert asking.communicate(timeout=10)[0] != "200"


def test_when_idle_waits_for_who_is_at_work_and_for_nobody_else(host: FleetHost) -> None:
    host.applied(RUNNER)
    asking = generating(host, 8_000)
    started = host.invocations(*NAMES)
    applying = host.machine.popen(["ollamactl", "apply", SPEC, "--when-idle", "1m"])
    host.wait_for(lambda: host.invocations("mistral")["mistral"] != started["mistral"])
    assert host.invocations("llama3")["llama3"] == started["llama3"]

    stdout, stderr = applying.communicate(timeout=60)

    assert asking.communicate(timeout=20)[0] == "200"
    assert applying.returncode == 0, stdout
    assert "llama3: it is answering 1 request: waiting until it is done" in stderr
    assert host.invocations("llama3")["llama3"] != started["llama3"]


def test_patience_ends_and_the_fleet_is_as_before(host: FleetHost) -> None:
    host.applied(RUNNER)
    before = listing(host)
    asking = generating(host, 20_000)

    ran = host.apply(None, "--when-idle=500ms")

    assert ran.code == 1
    assert "it was not restarted: it is answering 1 request, still after 500ms" in ran.errors[0]
    assert listing(host) == before
    assert host.environ(11435)["OLLAMA_CONTEXT_LENGTH"] == "4096"
    assert asking.poll() is None, "nobody cut it off"
    asking.kill()
    asking.wait()
