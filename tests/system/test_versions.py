"""Versions of models: a tag that moves under its servers, and models that are fixed to a digest; a real Ollama."""

from __future__ import annotations

import json
from hashlib import sha256

from tests.system.fleethost import REAL, STATE, STORE, FleetHost, drop_in, edited, unit

FLEET = """
    version: 1
    defaults: {gpus: none}
    instances:
      loose: {port: 11434, models: [llama3]}
      fixed: {port: 11435, models: ["llama3@sha256:DIGEST"]}
      other: {port: 11436, models: [mistral]}
"""
NAMES = ("loose", "fixed", "other")
LIBRARY = "manifests/registry.ollama.ai/library"


def digest(host: FleetHost, model: str) -> str:
    """Of a model's manifest in the store."""
    return sha256(host.machine.path(f"{STORE}/{LIBRARY}/{model}/latest").read_bytes()).hexdigest()


def by_hand(host: FleetHost, *commands: str) -> None:
    """What somebody has a server of the moment do to the store."""
    variables = f"-E HOME=/root -E OLLAMA_NOPRUNE=1 -E OLLAMA_MODELS={STORE} -E OLLAMA_HOST=127.0.0.1:11999"
    host.machine.run(f"systemd-run --unit=by-hand --service-type=exec {variables} {REAL} serve")
    host.wait_for_port(11999)
    for command in commands:
        host.machine.run(f"OLLAMA_HOST=127.0.0.1:11999 {REAL} {command}")
    host.machine.run(["systemctl", "stop", "by-hand"])


def served(host: FleetHost, port: int) -> dict[str, str]:
    return {row["name"]: row["digest"] for row in host.get(port, "/api/tags")["models"]}


def listed(host: FleetHost) -> list[tuple[str, str, bool, list[str], bool]]:
    """What `models` tells of the fleet's store."""
    (stock,) = host.json("models").envelope["data"]["stores"]
    assert (stock["path"], stock["fleet"]) == (STORE, True)
    keys = ("name", "digest", "stored", "instances", "unused")
    return [tuple(row[key] for key in keys) for row in stock["models"]]


def test_models_are_listed_with_those_of_other_stores(host: FleetHost) -> None:
    stock = "/usr/share/ollama/.ollama/models"
    host.machine.run(f"mkdir -p {stock} && cp -a {STORE}/. {stock}")
    before = host.json("models").envelope["data"]["stores"]
    host.applied(FLEET.replace("DIGEST", digest(host, "llama3")))
    told = host.machine.run(["ollamactl", "models"], user="nobody").stdout
    ours, other, last = told.split("\n\n")

    assert [(row["path"], row["fleet"], len(row["models"])) for row in before] == [(STORE, False, 5), (stock, False, 5)]
    assert ours.splitlines()[0].startswith(f"{STORE}: the fleet's store, ")
    assert [line.split()[4:] for line in ours.splitlines() if "llama3:latest" in line] == [["fixed,", "loose"]]
    assert other.splitlines()[0].startswith(f"{stock}: another store, ")
    assert last == "3 of the fleet's store are unused; what may go: sudo ollamactl prune\n"


def test_a_tag_that_moves_restarts_only_who_serves_it_and_leaves_alone_who_is_fixed(host: FleetHost) -> None:
    old, new = digest(host, "llama3"), digest(host, "qwen")
    spec = FLEET.replace("DIGEST", old)
    host.applied(spec)
    assert host.applied().steps == []
    started = host.invocations(*NAMES)

    by_hand(host, "cp qwen llama3")
    assert [served(host, port) for port in (11434, 11435)] == [{"llama3:latest": old}] * 2
    verified, plan = host.json("verify"), host.plan(None, "--exit-code")
    ran = host.applied()

    warning = f"llama3:latest is fixed to {old[:12]}, and the store {STORE} has {new[:12]} under that name now"
    assert verified.code == 3
    assert verified.failed_checks("loose")["models"]["found"] == f"llama3:latest is {old[:12]} instead of {new[:12]}"
    assert verified.proofs["fixed"]["ok"]
    assert f"{warning}; fixed keeps the fixed one" in verified.notes
    why = f"llama3:latest {old[:12]} -> {new[:12]}"
    assert (plan.code, plan.steps) == (
        3,
        [
            f"write {drop_in('loose')}: records the new configuration",
            f"write {STATE}/views/loose/registry.ollama.ai/library/llama3/latest: {why}",
            "reload systemd: 1 file written",
            f"restart {unit('loose')}: {why}",
        ],
    )
    assert (ran.steps, [note for note in ran.notes if note.startswith(warning)]) == (plan.steps, [ran.notes[-1]])
    assert [name for name, one in host.invocations(*NAMES).items() if one != started[name]] == ["loose"]
    assert [served(host, port) for port in (11434, 11435)] == [{"llama3:latest": new}, {"llama3:latest": old}]
    assert (host.applied().steps, host.json("verify").code, host.json("status").code) == ([], 0, 0)

    assert [row for row in listed(host) if row[0] in ("llama3:latest", "qwen:latest")] == [
        ("llama3:latest", new, True, ["loose"], False),
        ("llama3:latest", old, False, ["fixed"], False),
        ("qwen:latest", new, True, [], True),
    ]

    back = host.json("rollback")
    assert (back.code, served(host, 11434), served(host, 11435)) == (0, {"llama3:latest": old}, {"llama3:latest": old})
    assert host.applied().code == 0

    by_hand(host, "rm llama3")
    missing = host.apply(None, "--no-pull")
    assert (missing.code, [each.partition(",")[0] for each in missing.errors]) == (
        1, ["instances.loose.models[0]: llama3:latest"],
    )  # fmt: skip
    assert host.applied(edited(spec, "models: [llama3]", "models: [mistral]")).proofs["fixed"]["ok"]
    assert served(host, 11435) == {"llama3:latest": old}


def test_a_digest_that_is_nowhere_is_refused_and_nothing_is_changed(host: FleetHost) -> None:
    there = digest(host, "llama3")

    refused = host.apply(FLEET.replace("DIGEST", "ab" * 32))
    short = host.apply(FLEET.replace("DIGEST", there[:12]))

    assert (refused.code, refused.changed) == (1, False)
    why = f"is fixed to abababababab, and the store {STORE} has {there[:12]} under that name now"
    assert refused.errors == [f"instances.fixed.models[0]: llama3:latest {why}"]
    assert refused.hints[0].startswith(f"to take the new one: llama3:latest@sha256:{there}; ")
    assert (short.code, short.errors) == (
        78, [f"instances.fixed.models[0]: 'sha256:{there[:12]}' is not the digest of a model"],
    )  # fmt: skip
    assert not host.machine.path(STATE).exists()
    host.spec(edited(FLEET, "DIGEST", there))
    assert json.loads(host.machine.run(["ollamactl", "apply", "-o", "json"]).stdout)["status"] == "ok"
