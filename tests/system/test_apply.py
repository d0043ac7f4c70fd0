"""The first apply brings a fleet up and proves it; the second one has nothing to do and does nothing."""

from __future__ import annotations

from tests.system.fleethost import TARGET, UNITS, FleetHost, unit

FLEET = """
    version: 1
    ollama: {binary: /usr/local/bin/ollama-standin}
    defaults: {gpus: none}
    instances:
      llama3: {port: 11434}
      both: {port: 11435, models: [llama3, "acme/coder:7b"], secrets: {TOKEN: s3cret}}
"""
NAMES = ("llama3", "both")

FILES = {
    "/etc/systemd/system/ollama-fleet.target": "0644",
    "/etc/systemd/system/ollama@.service": "0644",
    "/etc/systemd/system/ollama@both.service.d/10-ollamactl.conf": "0644",
    "/etc/systemd/system/ollama@llama3.service.d/10-ollamactl.conf": "0644",
    "/var/lib/ollamactl/secrets/both.env": "0600",
    "/var/lib/ollamactl/views/both/README": "0644",
    "/var/lib/ollamactl/views/both/registry.ollama.ai/acme/coder/7b": "0644",
    "/var/lib/ollamactl/views/both/registry.ollama.ai/library/llama3/latest": "0644",
    "/var/lib/ollamactl/views/llama3/README": "0644",
    "/var/lib/ollamactl/views/llama3/registry.ollama.ai/library/llama3/latest": "0644",
}
LINKS = {
    "/etc/systemd/system/multi-user.target.wants/ollama-fleet.target": "link",
    "/etc/systemd/system/ollama-fleet.target.wants/ollama@both.service": "link",
    "/etc/systemd/system/ollama-fleet.target.wants/ollama@llama3.service": "link",
}
MEMORY = dict.fromkeys(  # ollamactl's own, so no step of a plan
    [
        "/var/lib/ollamactl/compiled.json",
        "/var/lib/ollamactl/generations/1/files.json",
        "/var/lib/ollamactl/generations/1/generation.json",
        "/var/lib/ollamactl/generations/1/spec.yaml",
    ],
    "0600",
)


def test_the_first_apply_installs_starts_and_proves_the_whole_fleet(host: FleetHost) -> None:
    before = host.files()

    first = host.apply(FLEET)

    assert (first.code, first.envelope["status"], first.changed, first.errors) == (0, "ok", True, [])
    new = {path: words for path, words in host.files().items() if path not in before}
    kinds = {path: words.split()[0] for path, words in new.items() if not words.startswith("folder")}
    assert kinds == FILES | LINKS | MEMORY
    assert host.states(*NAMES, TARGET) == {"llama3": "active", "both": "active", TARGET: "active"}
    assert {name: proof["ok"] for name, proof in first.proofs.items()} == {"llama3": True, "both": True}
    assert (host.models(11434), host.models(11435)) == (["llama3:latest"], ["acme/coder:7b", "llama3:latest"])
    assert host.environ(11435)["TOKEN"] == "s3cret"
    assert host.json("verify").code == 0


def test_the_plan_of_a_first_apply_says_every_step_and_why(host: FleetHost) -> None:
    plan = host.plan(FLEET)

    assert (plan.code, plan.changed) == (0, True)
    assert sorted(plan.steps) == sorted(
        [
            *(f"write {path}: new" for path in FILES),
            f"enable {unit('llama3')}: starts at boot",
            f"enable {unit('both')}: starts at boot",
            f"enable {TARGET}: brings the fleet up at boot",
            "reload systemd: 4 files written, 3 links changed",
            f"start {unit('llama3')}: new",
            f"start {unit('both')}: new",
            f"start {TARGET}: it is not active",
        ]
    )


def test_a_second_apply_touches_nothing(host: FleetHost) -> None:
    host.applied(FLEET)
    files, reloads, started = host.files(), host.reloads(), host.invocations(*NAMES)
    assert reloads == 1

    second = host.applied(FLEET)

    assert (second.changed, second.steps) == (False, [])
    assert {name: proof["ok"] for name, proof in second.proofs.items()} == {"llama3": True, "both": True}
    assert (host.files(), host.reloads(), host.invocations(*NAMES)) == (files, reloads, started)


def test_the_order_and_spelling_of_a_spec_do_not_matter(host: FleetHost) -> None:
    host.applied(FLEET)
    units, started = host.files(UNITS), host.invocations(*NAMES)

    again = host.applied(
        """
        version: 1
        instances:
          both:
            secrets: {TOKEN: "s3cret"}
            models: ["llama3:latest", "acme/coder:7b"]
            port: 11435
            keep_alive: 300s
            gpus: "none"
          llama3: {port: 11434, restart: {delay: 3, within: 300s}, gpus: none}
        ollama: {binary: /usr/local/bin/ollama-standin}
        """
    )

    assert (again.steps, host.invocations(*NAMES), host.files(UNITS)) == ([], started, units)


def test_after_a_hundred_instances_there_is_nothing_left_to_do(host: FleetHost) -> None:
    names = [f"i{number:03}" for number in range(100)]
    lines = [f"  {name}: {{port: {12000 + number}, models: [llama3]}}" for number, name in enumerate(names)]
    head = ["version: 1", "ollama: {binary: /usr/local/bin/ollama-standin}", "defaults: {gpus: none}", "instances:"]

    first = host.applied("\n".join([*head, *lines]) + "\n")
    assert sum(proof["ok"] for proof in first.proofs.values()) == 100
    started, files = host.invocations(*names), host.files()

    second = host.applied()
    assert (second.changed, second.steps, len(second.proofs)) == (False, [], 100)
    assert (host.invocations(*names), host.files(), host.reloads()) == (started, files, 1)
