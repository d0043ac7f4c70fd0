"""The store under running servers loses a part: the model, the file and the way back are named, nothing is changed."""

from __future__ import annotations

import json

import pytest

from tests.system.faults import CHANGED, broken, serving, untouched
from tests.system.fleethost import STORE, FleetHost, edited
from tests.system.recorded import FLEET

__all__ = ["serving"]
MANIFEST = f"{STORE}/manifests/registry.ollama.ai/library/llama3/latest"
PULL = "sudo ollamactl pull llama3:latest"


def blob(host: FleetHost) -> str:
    """The weights of llama3."""
    digest = json.loads(host.machine.read(MANIFEST))["layers"][0]["digest"]
    return f"{STORE}/blobs/{digest.replace(':', '-')}"


@pytest.mark.parametrize(
    ("how", "says", "hint"),
    [
        pytest.param(
            f"rm {MANIFEST}", f"instances.llama3: llama3:latest is not in the store {STORE}, which has acme/coder:7b, ",
            PULL, id="model missing",
        ),
        pytest.param(
            f"echo '{{' >{MANIFEST}", f"{MANIFEST}: the manifest of llama3:latest is damaged", PULL,
            id="manifest corrupt",
        ),
        pytest.param(
            "rm {blob}", "{blob}: a part of llama3:latest is missing, so it can't be loaded", PULL, id="blob missing",
        ),
        pytest.param(
            "truncate -s 10 {blob}", "{blob}: a part of llama3:latest has 10 bytes instead of ", PULL,
            id="blob truncated",
        ),
        pytest.param(
            f"chmod 700 {STORE}", f"{STORE}: the servers' own users may not read {STORE}",
            f"`sudo chmod -R o+rX {STORE}`", id="store unreadable",
        ),
        pytest.param(
            "chmod 600 {blob}", f"{STORE}: the servers' own users may not read {{blob}}",
            f"`sudo chmod -R o+rX {STORE}`", id="blob unreadable",
        ),
    ],
)  # fmt: skip
def test_a_damaged_store_is_told_and_nothing_is_changed(serving: FleetHost, how: str, says: str, hint: str) -> None:
    weights = blob(serving)
    saved = f"mkdir /root/saved; cp -a {MANIFEST} {weights} /root/saved"
    back = (
        f"chmod 755 {STORE}; cp -a /root/saved/latest {MANIFEST};"
        f"cp -a /root/saved/sha* {STORE}/blobs; rm -r /root/saved"
    )
    with untouched(serving), broken(serving, f"{saved}; {how.replace('{blob}', weights)}", back):
        ran = serving.apply(CHANGED, "--no-pull")

    assert (ran.code, ran.changed, len(ran.errors)) == (1, False, 1)
    assert ran.errors[0].startswith(says.replace("{blob}", weights))
    assert hint.replace("{blob}", weights) in ran.hints[0]


def test_a_store_whose_user_is_gone_has_no_server_to_write_it(serving: FleetHost) -> None:
    writable = edited(FLEET, "llama3: {port: 11434,", "llama3: {port: 11434, store: writable,")
    with untouched(serving), broken(serving, f"chown -R 4711:4711 {STORE}", f"chown -R root:root {STORE}"):
        ran = serving.apply(writable)

    assert (ran.code, ran.changed) == (1, False)
    why = "a server that may write it runs as its owner, and none runs as root"
    assert ran.errors == [f"instances.llama3.store: {STORE} has no known owner: {why}"]
    assert ran.hints[0].startswith("make a user for it: `useradd --system ollama`")
