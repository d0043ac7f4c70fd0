"""A port that a new server is to have is somebody else's: told by name, and the fleet that serves never notices."""

from __future__ import annotations

import pytest

from tests.system.faults import broken, serving, untouched
from tests.system.fleethost import REAL, FleetHost
from tests.system.recorded import FLEET
from tests.system.test_ports import run_as_service

__all__ = ["serving"]
WEBSITE = "python3 -m http.server --bind {} 11436"


@pytest.mark.parametrize("wanted", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("squatted", ["the same address", "every address"])
@pytest.mark.parametrize("squatter", ["Ollama", "not Ollama"])
def test_a_squatter_is_named_and_a_serving_fleet_is_left_alone(
    serving: FleetHost, squatter: str, squatted: str, wanted: str
) -> None:
    every = "::" if wanted == "::1" else "0.0.0.0"
    address = every if squatted == "every address" else wanted
    shown = f"[{address}]" if ":" in address else address
    command = f"{REAL} serve" if squatter == "Ollama" else WEBSITE.format(address)
    spec = f'{FLEET}  qwen: {{port: 11436, host: "{wanted}"}}\n'
    serving.machine.run("systemctl reset-failed squatter.service", check=False)
    pid = run_as_service(serving, "squatter", command, 11436, "HOME=/root", f"OLLAMA_HOST={shown}:11436")
    with untouched(serving), broken(serving, "true", "systemctl stop squatter.service"):
        plan, ran = serving.plan(spec), serving.apply(spec)
        assert serving.pid("squatter.service") == pid

    listen = f"[{wanted}]:11436" if ":" in wanted else f"{wanted}:11436"
    assert (plan.code, ran.code, ran.changed, plan.errors) == (1, 1, False, ran.errors)
    assert ran.errors == [f"instances.qwen.port: {listen} is taken by pid {pid} ({command}) of squatter.service"]
    assert "sudo systemctl stop squatter.service" in ran.hints[0]
