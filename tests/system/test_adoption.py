"""A machine that runs Ollama already: what install.sh or a user left there is found, and the hints lead to a fleet."""

from __future__ import annotations

from tests.lab.container import Container
from tests.system.fleethost import REAL, SPEC, STORE, FleetHost

STOCK = "/usr/share/ollama/.ollama/models"
# As install.sh writes it.
UNIT = """\
[Unit]
Description=Ollama Service
After=network-online.target

[Service]
ExecStart=/usr/bin/ollama serve
User=ollama
Group=ollama
Restart=always
RestartSec=3

[Install]
WantedBy=default.target
"""


def install_as_install_sh_does(machine: Container) -> None:
    """The program, a user whose home is closed (HOME_MODE in login.defs(5)), its store, and the service, which runs."""
    machine.write("/etc/systemd/system/ollama.service", UNIT)
    machine.run(
        f"""set -e
        mv {REAL} /usr/bin/ollama
        useradd --system --shell /bin/false --user-group --create-home --home-dir /usr/share/ollama ollama
        chmod 0750 /usr/share/ollama && mkdir /usr/share/ollama/.ollama
        cp -a {STORE} {STOCK} && rm -r {STORE} && chown -R ollama:ollama /usr/share/ollama
        systemctl daemon-reload && systemctl enable --now ollama
        """
    )


def follow(host: FleetHost, hints: list[str]) -> None:
    """Types what the hints say, as root."""
    for hint in hints:
        command = hint.partition("`")[2].partition("`")[0] if "`" in hint else hint.partition(": ")[2].partition(",")[0]
        host.machine.run(command.removeprefix("sudo ").split())


def test_from_install_sh_to_a_fleet_by_what_init_and_plan_say(host: FleetHost) -> None:
    install_as_install_sh_does(host.machine)
    host.wait_for_port(11434)

    first = host.machine.ollamactl("init")
    host.spec(first.stdout)

    assert f"\nollama:\n  binary: /usr/bin/ollama\n  models: {STOCK} " in first.stdout
    assert first.stderr == (
        "note: ollama.service: Ollama's own service is set to listen on port 11434\n"
        "  hint: sudo ollamactl adopt carries it over; or before apply: sudo systemctl disable --now ollama\n"
    )
    planned = host.plan()
    assert [error.partition(": ")[0] for error in planned.errors] == ["instances.coder.port", STOCK]
    follow(host, planned.hints)
    assert host.applied().proofs["coder"]["ok"]
    assert host.models(11434) == ["acme/coder:7b"]
    assert (host.applied().steps, host.machine.ollamactl("init").stderr) == ([], "")


def test_who_is_not_root_is_told_that_only_root_may_look(host: FleetHost) -> None:
    install_as_install_sh_does(host.machine)

    first = host.machine.ollamactl("init", user="nobody")

    assert f"note: ollama.models: only root may look for models in {STOCK}\n" in first.stderr
    assert "  hint: sudo ollamactl init > fleet.yaml\n" in first.stderr


def test_a_spec_that_names_neither_is_led_to_both(host: FleetHost) -> None:
    install_as_install_sh_does(host.machine)
    host.machine.run(["systemctl", "disable", "--now", "ollama"])
    spec = "version: 1\ninstances: {llama3: {port: 11434, gpus: none}}\n"

    refused = host.apply(spec)

    assert refused.errors == [
        f"{STORE}: there is no model store here, but there is one in {STOCK}",
        f"{REAL}: there is no such file",
    ]
    assert refused.hints == [
        f"write `models: {STOCK}` below `ollama:`; for one of its own: `sudo mkdir -p {STORE}`",
        "Ollama is at /usr/bin/ollama: write `binary: /usr/bin/ollama` below `ollama:`",
    ]
    follow(host, host.plan(f"{spec}ollama: {{binary: /usr/bin/ollama, models: {STOCK}}}\n").hints)
    assert host.applied().proofs["llama3"]["ok"]


def test_a_users_own_store_serves_after_what_the_hint_says(host: FleetHost) -> None:
    home = "/home/ada"
    host.machine.run(
        f"""set -e
        useradd --create-home ada && mkdir {home}/.ollama
        cp -a {STORE} {home}/.ollama/models && rm -r {STORE}
        chown -R ada: {home} && chmod -R go= {home}
        """
    )

    first = host.machine.ollamactl("init", env={"SUDO_USER": "ada"})
    host.spec(first.stdout)
    refused = host.apply()

    assert f"\n  models: {home}/.ollama/models " in first.stdout
    (error,) = refused.errors
    assert error.startswith(f"{home}/.ollama/models: the servers' own users may not read {home}/.ollama/models and ")
    follow(host, refused.hints)
    assert host.applied().proofs["coder"]["ok"]
    assert host.machine.run(["stat", "--format=%a", home]).stdout == "700\n", "the home stays closed"


def test_the_model_that_was_meant_is_named_at_its_place(host: FleetHost) -> None:
    refused = host.apply("version: 1\ninstances:\n  a: {port: 11434, gpus: none, models: [lama3]}\n", "--no-pull")

    (problem,) = [row for row in refused.envelope["problems"] if row["severity"] == "error"]
    assert (refused.code, problem["path"], problem["instance"]) == (1, "instances.a.models[0]", "a")
    assert (problem["file"], problem["line"], problem["column"]) == (SPEC, 3, 41)
    assert problem["hint"].startswith("did you mean llama3:latest? If not, pull it: ")
    offered = host.plan()
    assert (offered.code, offered.steps[0]) == (0, "pull lama3:latest: a declares it")
    assert "lama3:latest is not in the store, so it is to be pulled" in offered.notes
    assert host.apply("version: 1\ninstances: {a: {port: 11434, gpus: none, models: lama3}, llama3: {port: 11435}}\n",
                      "--only", "llama3").code == 0, "it is no business of the other"  # fmt: skip
