"""Traps of model stores, made real: doctor finds each and nothing else, and its mend leaves none."""

from __future__ import annotations

import json

import pytest

from tests.system.fleethost import STORE
from tests.system.patient import Patient


def test_two_servers_that_prune_one_store(patient: Patient) -> None:
    patient.install(variables={"OLLAMA_NOPRUNE": None})
    assert patient.examine() == []
    patient.install("second.service", port=11435)

    found = patient.mended("prunes-shared-store")

    assert found["path"] == "/var/lib/ollama/models"
    assert "what second.service is pulling" in found["message"]


@pytest.mark.parametrize("closed", [STORE, "/var/lib/ollama"])
def test_a_store_that_the_user_may_not_read(patient: Patient, closed: str) -> None:
    patient.machine.run(f"useradd -r ollama && chown ollama /srv && chmod 700 {closed}")
    patient.install(lines="User=ollama", variables={"HOME": "/srv/home"})

    found = patient.mended("store-closed")

    assert found["evidence"] == [f"{closed} belongs to uid 0 and group root, mode 0700"]


def test_a_store_that_the_user_may_not_make(patient: Patient) -> None:
    patient.machine.run(f"useradd -r ollama && chown ollama /srv && rm -r {STORE}")
    patient.install(lines="User=ollama", variables={"HOME": "/srv/home", "OLLAMA_MODELS": "/opt/models"})
    patient.host.wait_for(lambda: "permission denied" in patient.machine.journal("ollama.service"))

    found = patient.among("store-closed")
    patient.mend(found)

    assert "make its model store" in found["message"]
    assert patient.host.models(11434) == []


@pytest.mark.parametrize(
    ("folder", "setting"), [("/home/ada/models", "ProtectHome=yes"), ("/tmp/models", "PrivateTmp=yes")]
)
def test_a_store_that_its_unit_hides(patient: Patient, folder: str, setting: str) -> None:
    patient.machine.run(f"mkdir -p {folder} && mv {STORE}/* {folder}")
    patient.install(lines=setting, variables={"OLLAMA_MODELS": folder})

    found = patient.mended("store-hidden")

    assert found["evidence"][0].startswith(setting)
    patient.host.wait_for_port(11434)
    assert "llama3:latest" in patient.host.models(11434)


def test_models_that_lie_twice(patient: Patient) -> None:
    patient.machine.run(f"mkdir -p /root/.ollama && cp -a {STORE} /root/.ollama/models")
    patient.install()

    found = patient.mended("two-stores", "")

    assert (found["path"], patient.machine.exists("/root/.ollama/models")) == ("/root/.ollama/models", False)
    assert "take their room twice" in found["message"]


def test_models_that_no_server_serves(patient: Patient) -> None:
    """What somebody pulled with a server by hand."""
    patient.machine.run(f"mkdir -p /root/.ollama && cp -a {STORE} /root/.ollama/models")
    patient.machine.run(f"rm -r {STORE}/manifests/registry.ollama.ai/library/qwen")
    patient.install()
    assert "qwen:latest" not in patient.host.models(11434)

    first = patient.only("two-stores", "")
    patient.mend(first)

    assert "qwen:latest" in patient.host.models(11434)
    patient.mended("two-stores", "")
    assert "qwen:latest" in patient.host.models(11434)


def test_two_servers_that_pulled_the_same(patient: Patient) -> None:
    patient.machine.run(f"cp -a {STORE} /srv/models")
    patient.install()
    patient.install("second.service", port=11435, variables={"OLLAMA_MODELS": "/srv/models"})

    found = patient.only("two-stores", "")

    assert found["evidence"] == [STORE, "/srv/models"][:: 1 if found["path"] == STORE else -1]
    assert "llama3:latest" in found["message"]


def test_parts_of_downloads_that_nobody_goes_on_with(patient: Patient) -> None:
    patient.install()
    new, old = f"{STORE}/blobs/sha256-{'a' * 64}-partial", f"{STORE}/blobs/sha256-{'b' * 64}-partial"
    patient.machine.run(f"echo 1 >{new}; echo 1 >{new}-0")
    assert patient.examine() == []
    patient.machine.run(f"echo 1 >{old}; echo 1 >{old}-0; touch -d '2 hours ago' {old} {old}-0")

    found = patient.mended("partial-downloads", "")

    assert found["evidence"][0].startswith("2 files")
    assert (patient.machine.exists(new), patient.machine.exists(old)) == (True, False)


def test_a_blob_that_is_cut_short(patient: Patient) -> None:
    patient.install()
    manifest = json.loads(patient.machine.read(f"{STORE}/manifests/registry.ollama.ai/library/qwen/latest"))
    blob = f"{STORE}/blobs/{manifest['layers'][0]['digest'].replace(':', '-')}"
    patient.machine.run(["truncate", "--size=-1", blob])

    found = patient.examine()

    assert {(row["id"], row["path"]) for row in found} == {("model-damaged", blob)}
    assert found[0]["hint"].startswith(f"`sudo rm -f {blob}`")


def test_a_manifest_that_is_none(patient: Patient) -> None:
    manifest = f"{STORE}/manifests/registry.ollama.ai/library/qwen/latest"
    patient.machine.write(manifest, "{")
    patient.install()

    assert patient.mended("model-damaged", "")["path"] == manifest


def test_a_store_that_only_root_may_look_into_is_said(patient: Patient) -> None:
    patient.machine.run(f"chmod 700 {STORE}")
    patient.install()

    ran = patient.host.json("doctor", user="nobody")

    assert f"the models in {STORE}: only root may look there" in ran.notes
    assert ran.envelope["data"]["findings"] == []
