"""What prune removes from a real store, and what it leaves: what somebody needs, or may be making just now."""

from __future__ import annotations

import hashlib
import json
import subprocess

from tests.system.depot import REGISTRY, UNIT, depot
from tests.system.fleethost import REAL, STORE, FleetHost, Ran, edited

FLEET = """
    version: 1
    keep_generations: 2
    defaults: {gpus: none}
    instances:
      one: {port: 11434, models: [llama3], aliases: {gpt-4o: llama3}}
      two: {port: 11435, models: [mistral]}
"""
SERVER = f"systemd-run --unit=by-hand --service-type=exec -E HOME=/root -E OLLAMA_NOPRUNE=1 -E OLLAMA_MODELS={STORE}"
BY_HAND = f"{SERVER} -E OLLAMA_HOST=127.0.0.1:11999 {REAL} serve"


def there(host: FleetHost) -> list[str]:
    """The models of the store by their files."""
    top = host.machine.path(f"{STORE}/manifests")
    return sorted("/".join(file.relative_to(top).parts[1:]) for file in top.rglob("*") if file.is_file())


def blobs(host: FleetHost) -> set[str]:
    return {file.name for file in host.machine.path(f"{STORE}/blobs").iterdir()}


def needed(host: FleetHost) -> set[str]:
    """The blobs that the models in the store refer to."""
    found = set()
    for file in host.machine.path(f"{STORE}/manifests").rglob("*"):
        if file.is_file():
            told = json.loads(file.read_text())
            found |= {row["digest"].replace(":", "-") for row in (told["config"], *told["layers"])}
    return found


def prune(host: FleetHost, *args: str) -> Ran:
    return host.json("prune", *args)


def names(ran: Ran) -> list[str]:
    return [row["name"] for row in ran.envelope["data"]["models"]]


def test_what_neither_the_fleet_nor_its_history_has_goes_and_every_server_goes_on(host: FleetHost) -> None:
    host.applied(edited(FLEET, "[mistral]", '["acme/coder:7b"]'))
    host.applied(FLEET)
    started = host.invocations("one", "two")
    spared = f"{STORE}/blobs/sha256-{'a' * 64}"
    host.machine.run(
        f"echo x > {spared}; echo y > {STORE}/blobs/sha256-{'b' * 64}-partial-0; echo > {STORE}/blobs/README"
    )
    before = host.files(STORE)

    shown, unasked = prune(host, "--dry-run"), prune(host)
    told = host.machine.run(["ollamactl", "prune", "--dry-run"]).stdout.splitlines()

    assert (shown.code, shown.changed, names(shown)) == (0, True, ["nomic-embed-text:v1.5", "qwen:latest"])
    kept = {row["name"]: row["why"] for row in shown.envelope["data"]["kept"]}
    assert kept == {
        "acme/coder:7b": "generation 1 has it: ollamactl history show 1",
        "llama3:latest": "one serves it",
        "mistral:latest": "two serves it",
    }
    assert (told[0], told[1].split()[1]) == (f"To be removed from {STORE}:", "nomic-embed-text:v1.5")
    assert (unasked.code, unasked.changed, host.files(STORE)) == (77, False, before)
    assert unasked.envelope["problems"][0]["message"] == "nothing was removed: there is no terminal to ask at"
    host.spec(edited(FLEET, "models: [mistral]}", "models: [mistral, qwen]}"))
    assert names(prune(host, "--dry-run")) == ["nomic-embed-text:v1.5"]  # the spec will want the other
    host.spec(FLEET)

    ran = prune(host, "--yes", "--keep", "nomic-embed-text:v1.5")

    assert (ran.code, names(ran)) == (0, ["qwen:latest"])
    assert there(host) == [
        "acme/coder/7b",
        "library/llama3/latest",
        "library/mistral/latest",
        "library/nomic-embed-text/v1.5",
    ]
    young = {f"sha256-{'a' * 64}", f"sha256-{'b' * 64}-partial-0", "README"}
    assert blobs(host) == needed(host) | young
    entry = json.loads(host.machine.run("journalctl MODEL=qwen:latest -o json").stdout)
    assert entry["MESSAGE"].startswith("prune has removed qwen:latest (")
    assert prune(host, "--yes", "--older-than", "0s").changed
    assert blobs(host) == needed(host) | {"README"}
    assert not prune(host, "--yes", "--older-than", "0s").changed

    host.applied(edited(FLEET, "port: 11435", "port: 11436"))
    assert names(prune(host, "--dry-run")) == ["acme/coder:7b"]  # generation 1 has gone
    assert host.json("rollback").code == 0
    assert (host.json("verify").code, host.invocations("one")) == (0, {"one": started["one"]})


def test_a_version_that_only_a_servers_view_has_keeps_its_blobs(host: FleetHost) -> None:
    digest = hashlib.sha256(
        host.machine.path(f"{STORE}/manifests/registry.ollama.ai/library/llama3/latest").read_bytes()
    )
    host.applied(edited(FLEET, "models: [llama3]", f'models: ["llama3@sha256:{digest.hexdigest()}"]'))
    host.machine.run(f"{BY_HAND}; until ss -Hltn | grep -q 11999; do sleep 0.05; done")
    host.machine.run(f"OLLAMA_HOST=127.0.0.1:11999 {REAL} cp qwen llama3")

    host.machine.write("/root/Modelfile", "FROM mistral\nSYSTEM Be brief.\n")
    create = f"for n in 1 2 3 4 5 6; do OLLAMA_HOST=127.0.0.1:11999 {REAL} create made:$n -f /root/Modelfile; done"
    with host.machine.popen(create, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as making:
        refusals = [prune(host, "--yes", "--older-than", "0s") for _ in range(3)]
        making.wait(timeout=60)
    refused = refusals[0]
    assert [each.changed for each in refusals] == [False] * 3
    assert len([one for one in there(host) if one.startswith("library/made/")]) == 6
    assert needed(host) <= blobs(host)
    host.machine.run(["systemctl", "stop", "by-hand"])
    ran = prune(host, "--yes", "--older-than", "0s")

    assert (refused.code, refused.changed) == (1, False)
    assert refused.errors[0].endswith(
        f"({REAL} serve) of by-hand.service uses this store, too, and may be pulling: nothing of it is removed"
    )
    made = [f"made:{number}" for number in range(1, 7)]
    assert (ran.code, names(ran)) == (0, ["acme/coder:7b", *made, "nomic-embed-text:v1.5", "qwen:latest"])
    assert host.json("verify").code == 0
    view = json.loads(host.machine.read("/var/lib/ollamactl/views/one/registry.ollama.ai/library/llama3/latest"))
    assert {row["digest"].replace(":", "-") for row in (view["config"], *view["layers"])} <= blobs(host)


def test_a_store_that_is_used_whole_or_not_understood_keeps_its_models(host: FleetHost) -> None:
    host.applied(edited(FLEET, "port: 11435,", "port: 11435, store: shared,"))
    shared = prune(host, "--yes")
    host.applied(FLEET)
    damaged = f"{STORE}/manifests/registry.ollama.ai/library/qwen/latest"
    text = host.machine.read(damaged)
    host.machine.write(damaged, "{")
    refused = prune(host, "--yes")
    host.machine.run(f"rm {damaged}; ln -s ../llama3/latest {damaged}")
    linked = prune(host, "--dry-run")
    host.machine.run(f"rm {damaged}")
    host.machine.write(damaged, text)
    about = "/var/lib/ollamactl/generations/1/generation.json"
    kept = host.machine.read(about)
    host.machine.write(about, "{")
    unknown = prune(host, "--yes")
    host.machine.write(about, kept, mode=0o600)

    assert unknown.code == 1
    assert "so nobody knows what it needs, and nothing is removed" in unknown.errors[0]
    assert unknown.hints == ["if nobody wants to go back to it: sudo rm -r /var/lib/ollamactl/generations/1"]
    assert (shared.code, names(shared)) == (0, [])
    assert "two serves the whole store, so every model in it is in use" in shared.notes
    words = "so nobody knows which blobs it needs: nothing of the store is removed"
    assert refused.errors == [f"{damaged}: damaged, {words}"]
    assert linked.errors == [f"{damaged}: a link, {words}"]
    lock = "/run/ollamactl-pull.lock"
    host.machine.run(f"systemd-run --unit=pulling flock {lock} sleep 60; until [ -e {lock} ]; do sleep 0.05; done")
    host.wait_for(lambda: bool(host.machine.run(f"flock --nonblock {lock} true", check=False).returncode))
    busy = prune(host, "--yes")
    host.machine.run(["systemctl", "stop", "pulling"])
    assert (busy.code, busy.changed) == (1, False)
    service = f"[Service]\nExecStart={REAL} serve\nEnvironment=OLLAMA_MODELS={STORE} OLLAMA_HOST=127.0.0.1:11999\n"
    host.machine.write("/etc/systemd/system/ollama.service", f"{service}[Install]\nWantedBy=multi-user.target\n")
    host.machine.run("systemctl daemon-reload; systemctl enable ollama")
    boot = prune(host, "--yes")
    host.machine.run(boot.hints[0].removeprefix("if nobody needs it: sudo "))
    asleep = prune(host, "--yes")
    why = f"and serves every model of {STORE}"
    assert (boot.code, boot.errors) == (1, [f"ollama.service: it is started at boot, {why}"])
    assert (asleep.code, [note for note in asleep.notes if why in note]) == (0, [f"it may be started again, {why}"])
    assert names(asleep) == ["acme/coder:7b", "nomic-embed-text:v1.5", "qwen:latest"]


def test_nothing_goes_beside_a_pull_and_what_a_killed_one_left_does() -> None:
    with depot() as host:
        spec = edited(FLEET, "version: 1", f'version: 1\n    pull: {{insecure: "{REGISTRY}"}}')
        host.applied(spec)
        model = host.heavy("heavy", 60_000_000)
        before = host.files(STORE)
        host.order(rate=20_000_000)
        with host.machine.popen(["ollamactl", "pull", model, "-o", "json"], stderr=subprocess.PIPE) as pull:
            assert pull.stderr is not None
            next(line for line in pull.stderr if json.loads(line)["completed"] > 20_000_000)
            busy = prune(host, "--yes", "--older-than", "0s")
            host.machine.run(["pkill", "-KILL", "-f", "ollamactl pull"])
        host.wait_for(lambda: not host.machine.run(["systemctl", "list-units", "--no-legend", UNIT]).stdout)

        assert (busy.code, busy.changed) == (1, False)
        assert f"ollamactl pull {model}" in busy.errors[0]
        assert {
            path: words for path, words in host.files(STORE).items() if path in before and "folder" not in words
        } == {path: words for path, words in before.items() if "folder" not in words}
        young, shown = prune(host, "--dry-run"), prune(host, "--dry-run", "--older-than", "0s")
        parts = [row for row in shown.envelope["data"]["blobs"] if row["name"].startswith(".ollamactl-pull/")]
        assert [row["part"] for row in parts] == [True] * len(parts)
        assert sum(row["size"] for row in parts) > 1_000_000
        assert not [row for row in young.envelope["data"]["blobs"] if row["part"]]
        assert prune(host, "--yes", "--older-than", "0s", "--keep", "qwen").code == 0
        assert not host.machine.run(f"find {STORE} -name '*-partial*'").stdout
        host.order()
        assert host.json("pull", model).code == 0
        assert (needed(host) <= blobs(host), host.digest(f"{model.rpartition(':')[0]}:latest") is not None) == (
            True,
            True,
        )
        assert names(prune(host, "--yes")) == [f"{model.rpartition(':')[0]}:latest", "qwen:latest"]
        assert (blobs(host) - {".ollamactl-pull"}, host.json("verify").code) == (needed(host), 0)


def test_what_the_specs_own_models_are_made_from_stays(host: FleetHost) -> None:
    host.machine.write("/etc/ollamactl/Modelfile", "FROM qwen\nSYSTEM Be brief.\n")
    spec = edited(FLEET, "version: 1", "version: 1\n    custom: {brief: {modelfile: /etc/ollamactl/Modelfile}}")
    host.applied(edited(spec, "[mistral]", "[brief]"))

    shown, stores = prune(host, "--dry-run"), host.json("models").envelope["data"]["stores"]
    host.machine.remove("/etc/ollamactl/Modelfile")
    refused = prune(host, "--yes")

    assert names(shown) == ["acme/coder:7b", "mistral:latest", "nomic-embed-text:v1.5"]
    assert [row["name"] for row in stores[0]["models"] if row["unused"]] == names(shown)
    kept = {row["name"]: row["why"] for row in shown.envelope["data"]["kept"]}
    assert (kept["brief:latest"], kept["qwen:latest"]) == ("two serves it", "brief:latest is made from it")
    assert (refused.code, refused.changed) == (1, False)
    words = "so nobody knows what brief:latest is made from: nothing of the store is removed"
    assert refused.errors[0].endswith(words)
