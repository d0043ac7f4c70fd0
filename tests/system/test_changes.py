"""Each kind of change restarts exactly what it must, names its cause, and reaches the server."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.system.fleethost import (
    REAL,
    STANDIN,
    STATE,
    STORE,
    TEMPLATE,
    FleetHost,
    drop_in,
    edited,
    unit,
)

ONE = "one: {port: 11434, models: [llama3]}"
FLEET = f"""
    version: 1
    ollama: {{binary: {STANDIN}}}
    defaults: {{gpus: none}}
    instances:
      {ONE}
      two: {{port: 11435, models: [llama3, mistral], secrets: {{TOKEN: former-secret}}}}
      three: {{port: 11436, models: [mistral], parallel: 2, environment: {{MOOD: fine}}}}
"""
NAMES = ("one", "two", "three")


@dataclass(frozen=True, kw_only=True)
class Change:
    """An edit of the spec: what stands there then, why the drop-in of `one` changes, and whether `one` restarts."""

    name: str
    one: str
    """The keys of `one` besides models, as the spec has them after the change."""
    cause: str
    restarts: bool = True

    def __str__(self) -> str:
        return self.name


CHANGES = (
    Change(name="port", one="port: 12000", cause="port 11434 -> 12000"),
    Change(name="host", one='port: 11434, host: "::1"', cause="host 127.0.0.1 -> ::1"),
    Change(name="context", one="port: 11434, context_length: 4096", cause="context_length 8192 -> 4096"),
    Change(name="keep_alive", one="port: 11434, keep_alive: forever", cause="keep_alive 5m -> forever"),
    Change(name="parallel", one="port: 11434, parallel: 4", cause="parallel 1 -> 4"),
    Change(name="queue", one="port: 11434, max_queue: 7", cause="max_queue none -> 7"),
    Change(name="origins", one="port: 11434, origins: [https://a.example]", cause="origins none -> https://a.example"),
    Change(name="variable", one="port: 11434, environment: {FOO: a b}", cause='environment FOO "a b" added'),
    Change(name="cards", one="port: 11434, gpus: all", cause="gpus none -> all"),
    Change(name="binary", one=f"port: 11434, binary: {REAL}", cause=f"binary ollama.binary -> {REAL}"),
    Change(name="hardening", one="port: 11434, hardening: compat", cause="hardening strict -> compat"),
    Change(name="open files", one="port: 11434, limits: {nofile: 4000}", cause="limits.nofile none -> 4000"),
    Change(name="nice", one="port: 11434, limits: {nice: 5}", cause="limits.nice none -> 5"),
    Change(name="memory_max", one="port: 11434, limits: {memory_max: 3G}", cause="limits.memory_max none -> 3G"),
    Change(
        name="memory_high", one="port: 11434, limits: {memory_high: 1G}", cause="limits.memory_high none -> 1G",
        restarts=False,
    ),
    Change(
        name="egress", one="port: 11434, egress: open", cause="egress closed -> open", restarts=False,
    ),
    Change(
        name="allow", one="port: 11434, allow: [10.0.0.0/8]", cause="allow none -> 10.0.0.0/8", restarts=False,
    ),
    Change(
        name="description", one="port: 11434, description: The first", cause="description none -> The first",
        restarts=False,
    ),
    Change(
        name="restart policy", one="port: 11434, restart: {policy: always, delay: 5s}",
        cause="restart.policy on-failure -> always, restart.delay 3s -> 5s", restarts=False,
    ),
)  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_a_change_of_one_instance_leaves_the_others_alone(host: FleetHost, change: Change) -> None:
    host.applied(FLEET)
    started, reloads = host.invocations(*NAMES), host.reloads()

    ran = host.applied(edited(FLEET, ONE, f"one: {{{change.one}, models: [llama3]}}"))

    restart = [f"restart {unit('one')}: {change.cause}"] if change.restarts else []
    assert ran.steps == [f"write {drop_in('one')}: {change.cause}", "reload systemd: 1 file written", *restart]
    restarted = [name for name, invocation in host.invocations(*NAMES).items() if invocation != started[name]]
    assert restarted == (["one"] if change.restarts else [])
    assert host.reloads() == reloads + 1
    again = host.applied()
    assert (again.changed, again.steps) == (False, [])


def restarted(host: FleetHost, before: dict[str, str]) -> list[str]:
    """The instances that were started again since then."""
    return [name for name, invocation in host.invocations(*before).items() if invocation != before[name]]


def change(host: FleetHost, old: str, new: str) -> tuple[list[str], list[str]]:
    """Bring the fleet up, edit its spec, apply it: the steps, and who was restarted; then nothing is left to do."""
    host.applied(FLEET)
    started, reloads = host.invocations(*NAMES), host.reloads()
    ran = host.applied(edited(FLEET, old, new))
    assert host.reloads() <= reloads + 1
    assert host.applied().steps == []
    return ran.steps, restarted(host, started)


def test_a_changed_default_restarts_those_who_take_it(host: FleetHost) -> None:
    steps, restarts = change(host, "gpus: none", "gpus: none, parallel: 2")

    assert steps == [
        f"write {drop_in('one')}: parallel 1 -> 2",
        f"write {drop_in('two')}: parallel 1 -> 2",
        "reload systemd: 2 files written",
        f"restart {unit('one')}: parallel 1 -> 2",
        f"restart {unit('two')}: parallel 1 -> 2",
    ]
    assert restarts == ["one", "two"]


def test_another_list_of_models_is_served_after_a_restart(host: FleetHost) -> None:
    steps, restarts = change(host, "[llama3, mistral]", "[mistral, qwen]")

    cause = "models llama3:latest, mistral:latest -> mistral:latest, qwen:latest"
    views = f"{STATE}/views/two/registry.ollama.ai/library"
    assert steps == [
        f"write {drop_in('two')}: {cause}",
        f"write {views}/qwen/latest: new",
        f"remove {views}/llama3/latest: no longer needed",
        "reload systemd: 1 file written",
        f"restart {unit('two')}: {cause}",
    ]
    assert restarts == ["two"]
    assert host.models(11435) == ["mistral:latest", "qwen:latest"]


def test_an_alias_comes_and_goes_while_its_server_runs(host: FleetHost) -> None:
    steps, restarts = change(host, "models: [llama3]}", "models: [llama3], aliases: {gpt-4o: llama3}}")

    views = f"{STATE}/views/one/registry.ollama.ai/library"
    assert steps == [
        f"write {drop_in('one')}: aliases none -> gpt-4o:latest (llama3:latest)",
        f"write {views}/gpt-4o/latest: new",
        "reload systemd: 1 file written",
    ]
    assert (restarts, host.models(11434)) == ([], ["gpt-4o:latest", "llama3:latest"])
    (row,) = [row for row in host.json("models").envelope["data"]["stores"][0]["models"] if row["aliases"]]
    assert (row["name"], row["aliases"], row["instances"]) == ("llama3:latest", ["gpt-4o:latest"], ["one", "two"])
    host.machine.remove(f"{views}/gpt-4o")
    assert host.json("verify").failed_checks("one")["models"]["found"] == "gpt-4o:latest is missing"
    assert [step.partition(":")[0] for step in host.applied().steps] == [f"write {views}/gpt-4o/latest"]
    assert host.applied(FLEET).steps[1] == f"remove {views}/gpt-4o/latest: no longer needed"
    assert host.models(11434) == ["llama3:latest"]


def test_a_shared_store_needs_no_view(host: FleetHost) -> None:
    steps, restarts = change(host, "one: {port: 11434,", "one: {port: 11434, store: shared,")

    assert steps == [
        f"write {drop_in('one')}: store isolated -> shared",
        f"remove {STATE}/views/one/README: no longer needed",
        f"remove {STATE}/views/one/registry.ollama.ai/library/llama3/latest: no longer needed",
        "reload systemd: 1 file written",
        f"restart {unit('one')}: store isolated -> shared",
    ]
    assert restarts == ["one"]
    assert len(host.models(11434)) == 5


def test_secrets_come_and_go(host: FleetHost) -> None:
    steps, restarts = change(host, ONE, "one: {port: 11434, models: [llama3], secrets: {A: b}}")

    assert steps == [
        f"write {drop_in('one')}: secrets none -> set",
        f"write {STATE}/secrets/one.env: new",
        "reload systemd: 1 file written",
        f"restart {unit('one')}: secrets none -> set",
    ]
    assert (restarts, host.environ(11434)["A"]) == (["one"], "b")
    assert host.applied(FLEET).steps == [
        f"write {drop_in('one')}: secrets set -> none",
        f"remove {STATE}/secrets/one.env: no longer needed",
        "reload systemd: 1 file written",
        f"restart {unit('one')}: secrets set -> none",
    ]
    assert "A" not in host.environ(11434)


def test_other_secrets_restart_without_a_reload_and_show_nowhere(host: FleetHost) -> None:
    host.applied(FLEET)
    started, reloads = host.invocations(*NAMES), host.reloads()
    host.spec(edited(FLEET, "TOKEN: former-secret", "TOKEN: later-secret"))

    told = host.machine.ollamactl("apply", "--diff", "--verbose", "/etc/ollamactl/fleet.yaml")

    assert restarted(host, started) == ["two"]
    assert (host.reloads(), host.environ(11435)["TOKEN"]) == (reloads, "later-secret")
    shown = host.machine.run(["systemctl", "show", unit("two")]).stdout
    assert [text for text in (told.stdout, told.stderr, shown) if "er-secret" in text] == []
    assert "secrets" in told.stdout


def test_a_new_digest_in_the_store_restarts_only_those_who_serve_it(host: FleetHost) -> None:
    host.applied(FLEET)
    started, before = host.invocations(*NAMES), host.get(11434, "/api/tags")["models"][0]["digest"]
    manifest = f"{STORE}/manifests/registry.ollama.ai/library/llama3/latest"
    host.machine.write(manifest, host.machine.read(manifest) + "\n")  # the same layers under another digest

    ran = host.applied()
    after = host.get(11434, "/api/tags")["models"][0]["digest"]

    why = f"llama3:latest {before[:12]} -> {after[:12]}"
    assert ran.steps == [
        f"write {drop_in('one')}: records the new configuration",
        f"write {drop_in('two')}: records the new configuration",
        f"write {STATE}/views/one/registry.ollama.ai/library/llama3/latest: {why}",
        f"write {STATE}/views/two/registry.ollama.ai/library/llama3/latest: {why}",
        "reload systemd: 2 files written",
        f"restart {unit('one')}: {why}",
        f"restart {unit('two')}: {why}",
    ]
    assert restarted(host, started) == ["one", "two"]
    assert after != before


def test_an_environment_file_of_the_operator_that_was_edited_restarts_its_servers(host: FleetHost) -> None:
    host.machine.write("/etc/ollama-proxy.env", "HTTPS_PROXY=http://10.0.0.1:3128\n")
    host.applied(edited(FLEET, ONE, "one: {port: 11434, models: [llama3], environment_files: [/etc/ollama-proxy.env]}"))
    started = host.invocations(*NAMES)
    host.machine.write("/etc/ollama-proxy.env", "HTTPS_PROXY=http://10.0.0.2:3128\n")

    ran = host.applied()

    assert ran.steps == [f"restart {unit('one')}: /etc/ollama-proxy.env was changed since it started"]
    assert restarted(host, started) == ["one"]
    assert host.environ(11434)["HTTPS_PROXY"] == "http://10.0.0.2:3128"
    assert host.applied().steps == []


def test_a_replaced_binary_is_drift_and_restarts_all_that_run_it(host: FleetHost) -> None:
    host.machine.run(["cp", "-a", STANDIN, f"{STANDIN}-2"])
    host.applied(edited(FLEET, ONE, f"one: {{port: 11434, models: [llama3], binary: {STANDIN}-2}}"))
    started = host.invocations(*NAMES)
    host.machine.write(f"{STANDIN}.version", "0.35.1\n")
    host.machine.run(["install", f"{STANDIN}-2", STANDIN])

    plan = host.plan(None, "--exit-code")
    ran = host.applied()

    why = f"{STANDIN} was replaced since it started"
    assert (plan.code, plan.steps) == (3, [f"restart {unit('two')}: {why}", f"restart {unit('three')}: {why}"])
    assert ran.steps == plan.steps
    assert {name: proof["version"] for name, proof in ran.proofs.items()} == {
        "one": "0.34.0", "two": "0.35.1", "three": "0.35.1",
    }  # fmt: skip
    assert restarted(host, started) == ["two", "three"]


def test_another_binary_for_the_whole_fleet_restarts_everybody(host: FleetHost) -> None:
    host.machine.run(["cp", "-a", STANDIN, f"{STANDIN}-2"])
    steps, restarts = change(host, STANDIN, f"{STANDIN}-2")

    why = f"binary {STANDIN} -> {STANDIN}-2"
    assert [step for step in steps if step.startswith(f"write {TEMPLATE}")] == [f"write {TEMPLATE}: {why}"]
    assert [step for step in steps if step.startswith("restart")] == [f"restart {unit(name)}: {why}" for name in NAMES]
    assert restarts == [*NAMES]


def test_a_store_that_moved_restarts_everybody(host: FleetHost) -> None:
    host.machine.run(["cp", "-a", "/var/lib/ollama", "/srv/ollama"])
    steps, restarts = change(host, f"binary: {STANDIN}", f"binary: {STANDIN}, models: /srv/ollama/models")

    why = f"ollama.models {STORE} -> /srv/ollama/models"
    assert [step for step in steps if step.startswith("restart")] == [f"restart {unit(name)}: {why}" for name in NAMES]
    assert restarts == [*NAMES]
    assert host.models(11434) == ["llama3:latest"]


def test_an_order_between_instances_is_no_reason_to_restart(host: FleetHost) -> None:
    steps, restarts = change(host, ONE, "one: {port: 11434, models: [llama3], after: [two], requires: [two]}")

    cause = f"after none -> {unit('two')}, requires none -> {unit('two')}"
    assert (steps, restarts) == ([f"write {drop_in('one')}: {cause}", "reload systemd: 1 file written"], [])
    assert unit("two") in host.show("one", "After")["After"].split()
