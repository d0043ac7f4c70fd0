"""Two servers that a card cannot hold together: a real Ollama and a real runner, on a card that only the spec knows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.lab.container import Container
from tests.lab.roots import EXTRA
from tests.system.fleethost import FleetHost, unit

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("turns")]

PORTS = {"llama3": 11434, "mistral": 11435}
FLEET = """
    version: 1
    gpus: {"0": 10G}
    defaults: {context_length: 512, vram: 6G}
    instances:
      llama3: {port: 11434, on_demand: {stop_after: 10m}}
      mistral: {port: 11435, on_demand: {stop_after: 10m}}
"""
CONTROL = "/run/ollamactl-gate/control.sock"
CLIENT = """
name=$1 port=$2 end=$((SECONDS + $3))
body='{"model": "'$name'", "stream": false, "options": {"num_predict": 4}, "prompt": "a"}'
while [ $SECONDS -lt $end ]; do
  curl -s -o /dev/null -w "$name %{http_code}\\n" --max-time 120 -d "$body" http://localhost:$port/api/generate
done
"""
BOTH = "[ $(systemctl is-active ollama@llama3 ollama@mistral | grep -c '^active') -lt 2 ] || echo both"


@pytest.fixture(scope="module")
def host() -> Iterator[FleetHost]:
    with Container.boot(*EXTRA, store=True) as machine:
        machine.write("/root/client", CLIENT)
        yield FleetHost(machine)


def metrics(host: FleetHost, name: str) -> dict[str, int]:
    """What the gate counts of each server."""
    told = host.machine.run(["curl", "-s", "--unix-socket", CONTROL, "http://gate/metrics"]).stdout
    found = re.findall(rf'^ollama_gate_{name}{{instance="([^"]+)"}} (\d+)', told, re.MULTILINE)
    return {instance: int(value) for instance, value in found}


def test_two_that_do_not_fit_together_are_refused_unless_they_take_turns(host: FleetHost) -> None:
    always = FLEET.replace(", on_demand: {stop_after: 10m}", "")
    ran = host.plan(always)
    assert ran.code != 0
    (told,) = [error for error in ran.errors if "card 0" in error]
    assert "card 0 has 10G, too little for llama3 6G and mistral 6G together (12G)" in told

    guessed = host.plan(FLEET.replace(", vram: 6G", ""))
    assert not guessed.errors
    assert any("are taken to need" in note for note in guessed.notes), guessed.notes

    assert host.applied(FLEET).proofs.keys() == PORTS.keys()


def test_they_alternate_under_load_without_one_error(host: FleetHost) -> None:
    host.applied(FLEET)
    host.machine.run(["systemctl", "stop", *map(unit, PORTS)])  # which an apply has started to prove them
    host.get(PORTS["llama3"], "/api/version")
    before = metrics(host, "evictions_total")
    clients = " ".join(f"bash /root/client {name} {port} 40 &" for name, port in PORTS.items() for _ in range(3))
    watch = f"(for n in $(seq 100); do {BOTH}; sleep 0.4; done) &"

    told = host.machine.run(["bash", "-c", f"{clients} {watch} wait"], timeout=300).stdout.splitlines()

    seen = Counter(told)
    assert seen.keys() == {"llama3 200", "mistral 200"}, seen
    evictions = {name: count - before.get(name, 0) for name, count in metrics(host, "evictions_total").items()}
    assert all(1 <= count <= 12 for count in evictions.values()), evictions
    assert "stopped: to make room for mistral" in host.machine.journal(unit("llama3"))
    assert "stopped: to make room for llama3" in host.machine.journal(unit("mistral"))
