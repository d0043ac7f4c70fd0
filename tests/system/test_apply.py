"""The first apply brings a fleet up and proves it; the second one has nothing to do and does nothing."""

from __future__ import annotations

from tests.system.fleethost import FleetHost

FLEET = """
    version: 1
    ollama: {binary: /usr/local/bin/ollama-standin}
    instances:
      llama3: {port: 11434, gpus: none}
      mistral: {port: 11435, gpus: none, secrets: {TOKEN: s3cret}}
      both: {port: 11436, gpus: none, models: [llama3, "acme/coder:7b"]}
"""


def test_the_first_apply_brings_the_fleet_up_and_the_second_changes_nothing(host: FleetHost) -> None:
    first = host.applied(FLEET)
    assert first.changed
    files, reloads = host.files(), host.reloads()
    started = host.invocations("llama3", "mistral", "both")

    second = host.applied(FLEET)

    assert (second.changed, second.steps) == (False, [])
    assert host.invocations("llama3", "mistral", "both") == started
    assert (host.files(), host.reloads()) == (files, reloads)
    assert reloads == 1
