"""A card that the spec names is gone: told with those that are left, and the server on it is not touched."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.container import Container
from tests.system.fleethost import STANDIN, FleetHost
from tests.system.test_cards import DRIVER, H100, RTX, prepare

FLEET = f"""
    version: 1
    ollama: {{binary: {STANDIN}}}
    instances:
      pinned: {{port: 11434, models: llama3, gpus: {H100}}}
      none: {{port: 11435, models: mistral, gpus: none}}
"""


@pytest.fixture
def fleet() -> Iterator[FleetHost]:
    """On two cards of NVIDIA's, as the driver tells of them."""
    with Container.boot("bookworm", store=True) as machine:
        prepare(machine)
        host = FleetHost(machine)
        host.applied(FLEET)
        yield host


def test_a_card_that_is_gone_is_told_and_its_server_serves_on(fleet: FleetHost) -> None:
    files, started = fleet.files(), fleet.invocations("pinned", "none")
    gone = f"rm -r $(dirname $(grep -rl {H100} {DRIVER}/nvidia/gpus))"
    fleet.machine.run(f"{gone} && sed -i 's/^cat /grep -v {H100} /' /usr/bin/nvidia-smi")

    plan, ran = fleet.plan(), fleet.apply(FLEET.replace("port: 11435,", "port: 11435, keep_alive: 1h,"))

    assert (plan.code, ran.code, ran.changed, plan.errors) == (1, 1, False, ran.errors)
    assert (fleet.files(), fleet.invocations("pinned", "none")) == (files, started)
    assert [fleet.models(port) for port in (11434, 11435)] == [["llama3:latest"], ["mistral:latest"]]
    assert ran.errors[0].startswith(f"instances.pinned.gpus: this host has no card {H100}; there are ")
    assert RTX in ran.errors[0]
    assert ran.hints == ["`ollamactl gpus` shows the cards of this host and what to write for each"]
