"""More of it: a large fleet, and a server that takes long."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.container import Container
from tests.soak import amount
from tests.system.fleethost import SPEC, STANDIN, FleetHost

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("soak")]

INSTANCES = amount("INSTANCES", 20)
SECONDS = amount("SECONDS", 3)
"""How long a server looks for cards before it answers anybody."""


@pytest.fixture
def host() -> Iterator[FleetHost]:
    """A machine with the tiny models and no fleet."""
    with Container.boot("bookworm", store=True) as machine:
        yield FleetHost(machine)


def apply(host: FleetHost, *args: str) -> tuple[int, bool, int, list[str]]:
    """Exit code, whether anything was changed, how many servers were proved, and what was wrong."""
    command = ["ollamactl", "apply", SPEC, "--timeout", "30m", "--output", "json", *args]
    ran = host.finished(host.machine.popen(command), timeout=1800)
    return ran.code, ran.changed, sum(proof["ok"] for proof in ran.proofs.values()), ran.errors


def test_a_large_fleet_is_applied_and_left_alone(host: FleetHost) -> None:
    names = [f"i{number:04}" for number in range(INSTANCES)]
    lines = [f"  {name}: {{port: {12000 + number}, models: [llama3]}}" for number, name in enumerate(names)]
    host.spec(
        "\n".join(["version: 1", f"ollama: {{binary: {STANDIN}}}", "defaults: {gpus: none}", "instances:", *lines])
    )

    assert apply(host) == (0, True, INSTANCES, [])
    started, files = host.invocations(*names), host.files()
    assert apply(host) == (0, False, INSTANCES, [])
    assert (host.invocations(*names), host.files(), host.reloads()) == (started, files, 1)


def test_a_server_that_looks_for_cards_for_long_is_waited_for(host: FleetHost) -> None:
    """And the one beside it, which serves already, is left alone while it does."""
    fleet = (
        f"version: 1\nollama: {{binary: {STANDIN}}}\ndefaults: {{gpus: none}}\ninstances:\n  llama3: {{port: 11434}}\n"
    )
    host.applied(fleet)
    started = host.invocations("llama3")
    host.spec(f"{fleet}  mistral: {{port: 11435, environment: {{STANDIN_ANSWER_MS: '{SECONDS}000'}}}}\n")

    ran = host.finished(host.machine.popen(["ollamactl", "apply", SPEC, "--output", "json"]), timeout=SECONDS + 120)

    assert (ran.code, ran.proofs["mistral"]["ok"], ran.seconds >= SECONDS) == (0, True, True)
    assert (host.invocations("llama3"), host.models(11434)) == (started, ["llama3:latest"])
