"""Models: what a server's port serves is what its spec declares, and nothing that a client asks changes the store."""

from __future__ import annotations

import hashlib
import json

import pytest

from tests.lab.binaries import SOURCE_IN_CONTAINER
from tests.lab.container import Container
from tests.lab.models import MODELS
from tests.system.fleethost import STORE, FleetHost
from tests.system.inside import Answer, ask, fleet_of

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("isolation")]

ALL = sorted(model.full_name for model in MODELS)
READ_ONLY = "read-only file system"
NEW = "127.0.0.1:5000/library/new"
LIBRARY = f"{STORE}/manifests/registry.ollama.ai/library"
REGISTRY = "/srv/registry"


def prepare(machine: Container) -> None:
    """Give the store an owner, and put up a registry that has one more model: llama3 with a licence."""
    machine.run("useradd --system ollama && chown -R ollama:ollama /var/lib/ollama")
    manifest = json.loads(machine.read(f"{LIBRARY}/llama3/latest"))
    text = b"Do as you like."
    digest = f"sha256:{hashlib.sha256(text).hexdigest()}"
    licence = {"mediaType": "application/vnd.ollama.image.license", "digest": digest, "size": len(text)}
    machine.write(f"{REGISTRY}/blobs/{digest}", text)
    machine.write(f"{REGISTRY}/manifests/new", json.dumps({**manifest, "layers": [*manifest["layers"], licence]}))
    machine.popen(["python3", f"{SOURCE_IN_CONTAINER}/tests/system/registry.py", REGISTRY])
    machine.run("until ss -Hltn | grep -q ':5000 '; do sleep 0.05; done")


fleet = fleet_of(
    """
    version: 1
    defaults: {gpus: none}
    instances:
      llama3: {port: 11434}
      both: {port: 11435, models: [qwen, "acme/coder:7b"]}
      everything: {port: 11436, models: [mistral], store: shared}
      loose: {port: 11437, models: [llama3], hardening: "off"}
      writer: {port: 11438, models: [llama3], store: writable}
    """,
    before=prepare,
)


def changes(fleet: FleetHost, port: int, name: str) -> dict[str, Answer]:
    """Everything that a client can ask of a server that would change its store."""
    create = {"model": "other", "from": name, "system": "Answer briefly.", "stream": False}
    return {
        "delete": ask(fleet, port, "DELETE", "/api/delete", {"model": name}),
        "copy": ask(fleet, port, "POST", "/api/copy", {"source": name, "destination": "other"}),
        "create": ask(fleet, port, "POST", "/api/create", create),
        "upload": ask(fleet, port, "POST", f"/api/blobs/sha256:{hashlib.sha256(b'1').hexdigest()}", 1),
        "pull": ask(fleet, port, "POST", "/api/pull", {"model": NEW, "insecure": True, "stream": False}),
    }


@pytest.mark.parametrize(
    ("port", "models"),
    [
        (11434, ["llama3:latest"]),
        (11435, ["acme/coder:7b", "qwen:latest"]),
        (11436, ALL),
        (11437, ["llama3:latest"]),
    ],
)
def test_a_server_lists_exactly_what_its_spec_gives_it(fleet: FleetHost, port: int, models: list[str]) -> None:
    assert fleet.models(port) == models


def test_to_a_client_another_model_does_not_exist(fleet: FleetHost) -> None:
    answers = [ask(fleet, 11434, "POST", path, {"model": "qwen:latest"}) for path in ("/api/generate", "/api/show")]

    not_found = (404, {"error": "model 'qwen:latest' not found"})
    assert [(answer.status, answer.json) for answer in answers] == [not_found] * 2


def test_ollama_itself_as_the_client_sees_the_same(fleet: FleetHost) -> None:
    listed = fleet.machine.run('eval "$(ollamactl env both)" && ollama list').stdout

    assert sorted(line.split()[0] for line in listed.splitlines()) == ["NAME", "acme/coder:7b", "qwen:latest"]


@pytest.mark.parametrize(("port", "name"), [(11434, "llama3"), (11435, "qwen"), (11436, "mistral"), (11437, "llama3")])
def test_nothing_that_a_client_asks_changes_the_store(fleet: FleetHost, port: int, name: str) -> None:
    before = fleet.files(STORE)
    listed = fleet.models(port)

    answers = changes(fleet, port, name)

    assert {what: READ_ONLY in answer.text for what, answer in answers.items()} == dict.fromkeys(answers, True), answers
    assert {answer.status for answer in answers.values()} == {500}
    assert fleet.files(STORE) == before
    assert fleet.models(port) == listed


def test_a_writable_store_takes_changes_and_its_siblings_can_read_them(fleet: FleetHost) -> None:
    pulled = ask(fleet, 11438, "POST", "/api/pull", {"model": NEW, "insecure": True, "stream": False})
    try:
        assert (pulled.status, pulled.json) == (200, {"status": "success"})
        assert fleet.models(11438) == sorted([*ALL, "127.0.0.1:5000/library/new:latest"])
        shown = ask(fleet, 11436, "POST", "/api/show", {"model": NEW})
        assert shown.json["license"] == "Do as you like."
        assert fleet.models(11434) == ["llama3:latest"]
    finally:
        assert ask(fleet, 11438, "DELETE", "/api/delete", {"model": NEW}).status == 200
    assert fleet.models(11436) == ALL


def test_no_server_runs_as_root_to_write_a_store_of_roots(host: FleetHost) -> None:
    refused = host.apply("version: 1\ninstances: {llama3: {port: 11434, gpus: none, store: writable}}\n")

    assert (refused.code, refused.changed) == (1, False)
    why = "a server that may write it runs as its owner, and none runs as root"
    assert refused.errors == [f"instances.llama3.store: {STORE} belongs to root: {why}"]
    for command in refused.hints[0].split("`")[1::2]:
        host.machine.run(command)
    assert host.apply().code == 0
    assert host.machine.run(["ps", "-o", "user=", "-p", str(host.pid("llama3"))]).stdout == "ollama\n"
