"""The main job with a real runner: models load, generate, chat and embed through units that ollamactl installed."""

from __future__ import annotations

import json

import pytest

from tests.lab.roots import EXTRA
from tests.system.fleethost import SPEC, FleetHost, Ran, edited, unit
from tests.system.inside import Answer, ask, fleet_of

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("runner")]

fleet = fleet_of(
    """
    version: 1
    defaults: {gpus: none, context_length: 512}
    instances:
      llama3: {port: 11434}
      mistral: {port: 11435}
      two: {port: 11436, models: [qwen, "acme/coder:7b"], aliases: {gpt-4o: qwen}}
      embed: {port: 11437, models: "nomic-embed-text:v1.5"}
      compat: {port: 11438, models: llama3, hardening: compat, restart: {delay: 100ms}}
      loose: {port: 11439, models: llama3, hardening: "off"}
      cards: {port: 11440, models: llama3, gpus: all}
      narrow: {port: 11441, models: [qwen, llama3], max_loaded_models: 1}
    """,
    suites=list(EXTRA),
)

MODELS = [
    (11434, "llama3"),
    (11435, "mistral"),
    (11436, "qwen"),
    (11436, "acme/coder:7b"),
    (11438, "llama3"),
    (11439, "llama3"),
    (11440, "llama3"),
]


def generate(fleet: FleetHost, port: int, model: str) -> Answer:
    """The request that everybody tries first, cut short."""
    body = {"model": model, "prompt": "Why is the sky blue?", "stream": False, "options": {"num_predict": 4}}
    return ask(fleet, port, "POST", "/api/generate", body)


def runners(fleet: FleetHost, name: str) -> list[int]:
    """The processes below a server's."""
    return [int(pid) for pid in fleet.machine.run(f"pgrep -P {fleet.pid(name)}", check=False).stdout.split()]


def loaded(fleet: FleetHost, port: int) -> list[str]:
    """The models in memory."""
    return sorted(row["name"] for row in fleet.get(port, "/api/ps")["models"])


@pytest.mark.parametrize(("port", "model"), MODELS)
def test_a_model_answers(fleet: FleetHost, port: int, model: str) -> None:
    answer = generate(fleet, port, model)
    chat = {"model": model, "messages": [{"role": "user", "content": "Hello"}], "stream": False}
    said = ask(fleet, port, "POST", "/api/chat", {**chat, "options": {"num_predict": 4}})

    assert (answer.status, answer.json["model"], answer.json["done"]) == (200, model, True)
    assert (said.status, said.json["message"]["role"], said.json["done"]) == (200, "assistant", True)
    # Random weights may say of any token that it was the last one
    assert {answer.json["eval_count"], said.json["eval_count"]} <= {1, 2, 3, 4}


def test_the_api_of_openai_answers_too(fleet: FleetHost) -> None:
    body = {"model": "llama3", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 3}

    answer = ask(fleet, 11434, "POST", "/v1/chat/completions", body)

    assert answer.status == 200
    assert answer.json["usage"]["completion_tokens"] in (1, 2, 3)


def test_an_alias_is_the_same_model_under_another_name(fleet: FleetHost) -> None:
    generate(fleet, 11436, "qwen")
    before = runners(fleet, "two")
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 3}

    said, answer = ask(fleet, 11436, "POST", "/v1/chat/completions", body), generate(fleet, 11436, "gpt-4o")

    assert (said.status, said.json["model"]) == (200, "gpt-4o")
    assert said.json["usage"]["completion_tokens"] in (1, 2, 3)
    assert (answer.status, answer.json["model"], answer.json["done"]) == (200, "gpt-4o", True)
    listed = [row["id"] for row in fleet.get(11436, "/v1/models")["data"]]
    assert sorted(listed) == ["acme/coder:7b", "gpt-4o:latest", "qwen:latest"]
    assert (runners(fleet, "two"), fleet.json("verify", "--only", "two").code) == (before, 0)


def test_an_embedding_model_embeds(fleet: FleetHost) -> None:
    answer = ask(fleet, 11437, "POST", "/api/embed", {"model": "nomic-embed-text:v1.5", "input": ["a", "b"]})

    assert answer.status == 200
    assert [len(vector) > 8 for vector in answer.json["embeddings"]] == [True, True]


def test_a_model_is_refused_on_another_ones_port(fleet: FleetHost) -> None:
    answer = generate(fleet, 11435, "llama3")

    assert (answer.status, answer.json) == (404, {"error": "model 'llama3' not found"})


def test_verify_loads_every_model_and_says_where_it_landed(fleet: FleetHost) -> None:
    proved = fleet.json("verify", "--load")

    assert proved.code == 0
    placed = {
        name: [check["found"] for check in proof["checks"] if check["check"] in ("load", "placement")]
        for name, proof in proved.proofs.items()
    }
    llama3 = ["llama3:latest loads", "llama3:latest is on the CPU"]
    assert placed == {
        "llama3": llama3,
        "mistral": ["mistral:latest loads", "mistral:latest is on the CPU"],
        "two": [
            *("qwen:latest loads", "qwen:latest is on the CPU"),
            *("acme/coder:7b loads", "acme/coder:7b is on the CPU"),
        ],
        "embed": ["nomic-embed-text:v1.5 loads", "nomic-embed-text:v1.5 is on the CPU"],
        "narrow": ["qwen:latest loads", "qwen:latest is on the CPU", *llama3],
        "compat": llama3,
        "loose": llama3,
        "cards": llama3,
    }
    assert loaded(fleet, 11436) == ["acme/coder:7b", "qwen:latest"]
    assert loaded(fleet, 11441) == ["llama3:latest"], "where the first was is known, though the next took its place"


def test_status_shows_what_is_in_memory(fleet: FleetHost) -> None:
    generate(fleet, 11435, "mistral")

    rows = {row["instance"]: row for row in fleet.json("status").envelope["data"]["instances"]}

    assert [one["name"] for one in rows["mistral"]["loaded"]] == ["mistral:latest"]
    assert rows["mistral"]["loaded"][0]["size_vram"] == 0


def test_the_runner_is_held_by_the_same_fences(fleet: FleetHost) -> None:
    generate(fleet, 11434, "llama3")
    (runner,) = runners(fleet, "llama3")

    own, inherited = (
        dict(line.split(":\t", 1) for line in fleet.machine.read(f"/proc/{pid}/status").splitlines() if ":\t" in line)
        for pid in (fleet.pid("llama3"), runner)
    )

    same = ("Uid", "Gid", "CapBnd", "NoNewPrivs", "Seccomp")
    assert {key: inherited[key] for key in same} == {key: own[key] for key in same}
    cgroup = fleet.machine.read(f"/proc/{runner}/cgroup").splitlines()[-1]
    assert cgroup.endswith(f"/system-ollama.slice/{unit('llama3')}")


def test_a_model_is_unloaded_when_asked_and_its_runner_ends(fleet: FleetHost) -> None:
    generate(fleet, 11434, "llama3")
    assert runners(fleet, "llama3")

    answer = ask(fleet, 11434, "POST", "/api/generate", {"model": "llama3", "keep_alive": 0})

    assert (answer.status, answer.json["done_reason"]) == (200, "unload")
    fleet.wait_for(lambda: not runners(fleet, "llama3"))
    assert loaded(fleet, 11434) == []


def test_after_its_runner_was_killed_a_server_answers_the_next_request(fleet: FleetHost) -> None:
    generate(fleet, 11435, "mistral")
    (killed,) = runners(fleet, "mistral")
    before = fleet.invocations("mistral")

    fleet.machine.run(["kill", "-KILL", str(killed)])

    assert generate(fleet, 11435, "mistral").status == 200
    assert killed not in runners(fleet, "mistral")
    assert fleet.invocations("mistral") == before


def test_no_runner_outlives_its_server(fleet: FleetHost) -> None:
    generate(fleet, 11438, "llama3")
    (runner,) = runners(fleet, "compat")
    fleet.machine.run(["kill", "-KILL", str(fleet.pid("compat"))])
    fleet.wait_for(lambda: generate(fleet, 11438, "llama3").status == 200)

    assert fleet.show("compat", "NRestarts") == {"NRestarts": "1"}
    assert not fleet.machine.exists(f"/proc/{runner}")


def test_an_apply_when_idle_cuts_none_of_a_queue_off(fleet: FleetHost) -> None:
    """The tiny model answers in an instant; a queue of requests keeps it at work for some seconds."""
    spec = fleet.machine.read(SPEC)
    body = {"model": "mistral", "prompt": "Why?", "stream": False, "options": {"num_predict": 200}}
    fleet.machine.write("/root/body.json", json.dumps(body))
    asking = fleet.machine.popen(
        "seq 80 | xargs -P 80 -I{} curl -sS -o /dev/null -w '%{http_code}/%{exitcode}\\n' --data @/root/body.json "
        "http://127.0.0.1:11435/api/generate"
    )
    fleet.wait_for(lambda: any("which a restart cuts" in note for note in changed(fleet, spec, "plan").notes))
    started = fleet.invocations("mistral")

    ran = changed(fleet, spec, "apply", "--when-idle")

    codes, _ = asking.communicate(timeout=60)
    assert ran.code == 0, ran.envelope
    assert codes.split() == ["200/0"] * 80
    assert fleet.invocations("mistral") != started
    fleet.applied(spec)


def changed(fleet: FleetHost, spec: str, *words: str) -> Ran:
    """The command with a spec that restarts mistral."""
    fleet.spec(edited(spec, "mistral: {port: 11435}", "mistral: {port: 11435, keep_alive: 4m}"))
    return fleet.json(words[0], SPEC, *words[1:])
