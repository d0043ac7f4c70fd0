"""Each change can be taken back: what the history keeps, shows and brings back."""

from __future__ import annotations

import json

import pytest

from tests.system.fleethost import SPEC, STATE, FleetHost, edited
from tests.system.recorded import BROKEN, FLEET, NAMES, generations, listing, shown


def test_rollback_brings_back_the_one_before_and_then_the_one_before_that(host: FleetHost) -> None:
    states = []
    for context in (4096, 2048, 1024):
        host.applied(FLEET.replace("context_length: 4096", f"context_length: {context}"))
        states.append(listing(host))

    first, second = host.json("rollback"), host.json("rollback")

    assert (first.code, second.code) == (0, 0)
    assert "the next apply of this spec brings the newer state again" in "".join(first.notes)
    assert listing(host) == states[0]
    assert host.environ(11435)["OLLAMA_CONTEXT_LENGTH"] == "4096"
    rows = generations(host)
    assert [(row["command"], row["of"]) for row in rows[3:]] == [("rollback", 2), ("rollback", 1)]
    refused = host.json("rollback")
    assert (refused.code, "ollamactl rollback 0" in refused.hints[0]) == (2, True)
    nothing = host.json("rollback", "0")
    assert (nothing.code, host.states(*NAMES)) == (0, dict.fromkeys(NAMES, "inactive"))
    assert host.json("rollback").code == 2
    assert host.json("rollback", "3").code == 0
    assert listing(host) == states[2]


def test_a_rollback_that_fails_its_proof_is_taken_back_to_what_served(host: FleetHost) -> None:
    """The operator's file of variables is no file of a generation's: what was good with it once is broken now."""
    variables = "/etc/ollamactl/llama3.env"
    host.machine.write(variables, "STANDIN_EXIT=\n")
    host.applied(edited(FLEET, "llama3: {", f"llama3: {{environment_files: [{variables}], "))
    host.applied(FLEET)
    before, untouched = listing(host), host.invocations("mistral")
    host.machine.write(variables, "STANDIN_EXIT=3\n")

    ran = host.json("rollback")

    assert (ran.code, ran.changed) == (1, True)
    assert "unit" in ran.failed_checks("llama3")
    assert ran.envelope["data"]["rollback"]["ok"]
    assert {row["instance"]: row["ok"] for row in ran.envelope["data"]["rollback"]["proofs"]} == {"llama3": True}
    assert (listing(host), host.invocations("mistral")) == (before, untouched)
    assert [(row["command"], row["result"]) for row in generations(host)] == [
        ("apply", "done"),
        ("apply", "done"),
        ("rollback", "rolled back"),
    ]
    assert host.applied(FLEET).steps == []
    text = host.machine.ollamactl("rollback", check=False).stdout
    assert "FAIL  llama3" in text
    assert text.endswith("Rolled back: everything is as it was before; 1 of 1 server proved again.\n")


def test_rollback_brings_a_destroyed_fleet_back(host: FleetHost) -> None:
    host.applied(FLEET)
    before = listing(host)
    assert host.json("destroy", "--yes").code == 0

    ran = host.json("rollback")

    assert ran.code == 0
    assert listing(host) == before
    assert host.states(*NAMES) == dict.fromkeys(NAMES, "active")


def test_rollback_restores_a_model_as_it_was(host: FleetHost) -> None:
    host.applied(FLEET)
    view = f"{STATE}/views/llama3/registry.ollama.ai/library/llama3/latest"
    was = host.machine.read(view)
    manifests = "/var/lib/ollama/models/manifests/registry.ollama.ai/library"
    host.machine.run(["cp", f"{manifests}/mistral/latest", f"{manifests}/llama3/latest"])
    host.applied()
    assert host.machine.read(view) != was

    ran = host.json("rollback")

    assert ran.code == 0, ran.envelope
    assert host.machine.read(view) == was


def test_a_dry_run_of_a_rollback_changes_nothing_and_shows_its_plan(host: FleetHost) -> None:
    host.applied(FLEET)
    host.applied(FLEET.replace("context_length: 4096", "context_length: 2048"))
    before = host.files()

    ran = host.json("rollback", "--dry-run")

    assert (ran.code, ran.changed, ran.envelope["data"]["to"]) == (0, True, 1)
    assert [step.split(":")[0] for step in ran.steps if step.startswith("restart")] == [
        "restart ollama@llama3.service",
        "restart ollama@mistral.service",
    ]
    assert host.files() == before


def test_a_generation_tells_what_when_and_who_and_no_secret(host: FleetHost) -> None:
    host.applied(FLEET)

    one = shown(host, 1)
    text = host.machine.ollamactl("history", "show", "1", "--diff").stdout

    assert (one["command"], one["who"], one["spec"], one["result"]) == ("apply", "root", SPEC, "done")
    assert one["instances"] == list(NAMES)
    assert set(one["versions"]) == {"ollamactl", "systemd", "/usr/local/bin/ollama-standin"}
    assert "hush" not in json.dumps(one) + text
    assert host.machine.read(f"{one['folder']}/spec.yaml") == FLEET
    modes = {path: words.split()[:2] for path, words in host.files(f"{STATE}/generations").items()}
    assert {mode[-1] if mode[0] == "folder" else mode[0] for mode in modes.values()} == {"0700", "0600"}
    assert host.machine.path(f"{STATE}/generations").stat().st_mode & 0o777 == 0o700


def test_an_apply_with_nothing_to_do_makes_no_generation(host: FleetHost) -> None:
    host.applied(FLEET)
    host.applied(FLEET)

    assert len(generations(host)) == 1


def test_old_generations_go_but_never_the_last_two_that_ended_well(host: FleetHost) -> None:
    spec = f"keep_generations: 3\n{FLEET}"
    for context in (4096, 2048, 1024):
        host.applied(spec.replace("context_length: 4096", f"context_length: {context}"))
    for tries in range(3, 6):
        assert host.apply(f"keep_generations: 3\n{BROKEN}".replace("tries: 2", f"tries: {tries}")).code == 1

    rows = generations(host)

    assert [row["number"] for row in rows] == [2, 3, 4, 5, 6]
    assert [row["result"] for row in rows] == ["done", "done", *["rolled back"] * 3]
    assert host.json("rollback").code == 0
    assert host.environ(11434)["OLLAMA_CONTEXT_LENGTH"] == "2048"


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ("echo >generation.json", "generation 1 is damaged: "),
        ("rm generation.json", "generation 1 is damaged: "),
        ("sed -i s/4096/1/ files.json", "generation 1 is damaged: its files are not those that were written"),
    ],
)
def test_a_damaged_generation_is_named_and_hinders_no_other(host: FleetHost, damage: str, says: str) -> None:
    for context in (4096, 2048, 1024):
        host.applied(FLEET.replace("context_length: 4096", f"context_length: {context}"))
    host.machine.run(f"cd {STATE}/generations/1 && {damage}")
    before = listing(host)

    ran = host.json("rollback", "1")

    assert ran.code == 1
    assert ran.errors[0].startswith(f": {says}")
    assert listing(host) == before
    assert [row["number"] for row in generations(host)] == [1, 2, 3]
    assert host.json("rollback", "2").code == 0


def test_who_is_not_root_sees_no_history(host: FleetHost) -> None:
    host.applied(FLEET)

    ran = host.json("history", user="nobody")

    assert ran.code == 77
    assert ran.hints == ["type the same command with sudo"]
