"""What a gate that is restarted cuts off, and what whoever is killed takes along: nothing, and no more than its own."""

from __future__ import annotations

import json
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.container import Container
from tests.lab.roots import EXTRA
from tests.system.fleethost import FleetHost, unit

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("gate-cuts")]

GATE = "ollama-gate.service"
FLEET = """
    version: 1
    {program}
    defaults: {{gpus: none, context_length: 512, restart: {{delay: 100ms}}}}
    instances:
      llama3: {{port: 11434, on_demand: {{stop_after: 10m}}}}
      mistral: {{port: 11435, on_demand: {{stop_after: 2s}}, environment: {{STANDIN_GENERATE_MS: "9000"}}}}
"""
STANDIN = "ollama: {binary: /usr/local/bin/ollama-standin}"
PORTS = {"llama3": 11434, "mistral": 11435}
ENDLESS = {"type": "array", "items": {"type": "integer"}, "minItems": 1500}
"""A grammar that lets no random model come to an end soon."""


@pytest.fixture(scope="module", params=["bookworm", "sid"])
def host(request: pytest.FixtureRequest) -> Iterator[FleetHost]:
    """Where there is no runner, the stand-in answers."""
    with Container.boot(request.param, store=True) as machine:
        machine.write("/root/callers.py", (Path(__file__).parent / "callers.py").read_text())
        host = FleetHost(machine)
        host.applied(FLEET.format(program="" if request.param in EXTRA else STANDIN))
        yield host


def calls(host: FleetHost, name: str, *, clients: int, seconds: float, tokens: int = 4) -> subprocess.Popen[str]:
    """Clients that ask for chats on end."""
    said = {"model": name, "messages": [{"role": "user", "content": "a"}], "options": {"num_predict": tokens}}
    host.machine.write("/root/chat", json.dumps(said))
    words = (str(PORTS[name]), "/api/chat", "/root/chat", str(clients), str(seconds))
    return host.machine.popen(["python3", "/root/callers.py", *words])


def told(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    return dict(json.loads(out))


def gate(host: FleetHost) -> int:
    return int(host.show(GATE, "MainPID")["MainPID"])


def gates(host: FleetHost) -> list[str]:
    """Its processes, those that only bring answers to their end among them."""
    return host.machine.run(["pgrep", "-f", "ollamactl gate$"], check=False).stdout.split()


def test_a_restart_of_the_gate_cuts_nothing_and_holds_nobody_up(host: FleetHost) -> None:
    said = {"model": "mistral", "prompt": "a", "format": ENDLESS, "options": {"num_predict": -1}, "stream": False}
    host.machine.write("/root/long", json.dumps(said))
    calls(host, "llama3", clients=1, seconds=0.1).communicate(timeout=100)  # it is awake
    long = host.machine.popen(["curl", "-sS", "--data", "@/root/long", "http://127.0.0.1:11435/api/generate"])
    calling = calls(host, "llama3", clients=6, seconds=12)
    started = time.monotonic()
    before = gate(host)

    for _ in range(6):
        time.sleep(1)
        host.machine.run(["systemctl", "restart", GATE])

    answer = json.loads(long.communicate(timeout=150)[0])
    took = time.monotonic() - started
    seen = told(calling)
    assert answer["done"], answer
    assert took > 6, "it has lasted through all of them, and through several stop_after"
    assert seen["failed"] == []
    assert seen["whole"] > 20
    assert seen["longest"] < 6, "nobody waited for the long answer"
    assert gate(host) != before
    host.wait_for(lambda: len(gates(host)) == 1)
    host.wait_for(lambda: host.states("mistral") == {"mistral": "inactive"})


def test_a_gate_that_is_stopped_ends_what_it_has_begun_and_lets_go_of_nobody(host: FleetHost) -> None:
    server = host.pid("llama3")
    calling = calls(host, "llama3", clients=4, seconds=3)
    time.sleep(1)
    host.machine.run(["systemctl", "stop", GATE])

    seen = told(calling)
    assert seen["failed"] == []
    assert seen["whole"]
    assert host.pid("llama3") == server


def ends(host: FleetHost, pid: int) -> float:
    """Kills a process, and tells when it had ended."""
    host.machine.run(["kill", "-KILL", str(pid)], check=False)
    host.wait_for(lambda: not host.machine.exists(f"/proc/{pid}/exe"))
    return time.time()


def runner(host: FleetHost) -> int:
    found = host.machine.run(["pgrep", "-P", str(host.pid("llama3")), "llama-server"], check=False).stdout.split()
    return int(found[0]) if found else 0


def test_who_is_killed_takes_along_what_it_had_in_hand_and_no_more(host: FleetHost) -> None:
    victims: list[Callable[[FleetHost], int]] = [gate, lambda host: host.pid("llama3"), runner]
    chance = random.Random(6)
    calling = calls(host, "llama3", clients=6, seconds=25, tokens=20)
    kills = []
    while calling.poll() is None:
        time.sleep(chance.uniform(0.2, 2.5))
        if calling.poll() is None and (pid := chance.choice(victims)(host)):
            kills.append((time.time(), ends(host, pid)))

    seen = told(calling)
    assert len(kills) >= 5
    assert seen["whole"] > 20
    for failure in seen["failed"]:
        assert failure["how"] != "torn"
        assert any(failure["began"] <= end and start <= failure["ended"] for start, end in kills), (failure, kills)
    assert len(seen["failed"]) <= 6 * len(kills)
    assert fleet_answers(host)


def fleet_answers(host: FleetHost) -> bool:
    seen = told(calls(host, "llama3", clients=6, seconds=1))
    return bool(seen["whole"]) and not seen["failed"] and host.states("llama3") == {"llama3": "active"}


def test_the_journal_says_why_it_was_started_and_stopped(host: FleetHost) -> None:
    host.wait_for(lambda: host.states("mistral") == {"mistral": "inactive"})
    assert told(calls(host, "mistral", clients=1, seconds=0.1))["whole"]
    host.wait_for(lambda: host.states("mistral") == {"mistral": "inactive"})

    said = host.machine.journal(unit("mistral"))
    assert "mistral: started for POST /api/chat, and answers after " in said
    assert "mistral: stopped: no request for 2s" in said
