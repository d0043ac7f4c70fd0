"""doctor on a real systemd: what it says of sound hosts, of the official service, and without root."""

from __future__ import annotations

from tests.system.fleethost import REAL, STORE, FleetHost
from tests.system.patient import Patient

STOCK = """\
[Unit]
Description=Ollama Service
After=network-online.target

[Service]
ExecStart=/usr/local/bin/ollama serve
User=ollama
Group=ollama
Restart=always
RestartSec=3
Environment="PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

[Install]
WantedBy=default.target
"""
"""As install.sh writes it."""
FLEET = """
    version: 1
    instances:
      llama3: {port: 11434}
      small: {port: 11435, models: [qwen, mistral], gpus: none}
"""


def test_a_host_without_ollama_has_nothing(patient: Patient) -> None:
    done = patient.machine.ollamactl("doctor")

    assert (done.stdout, done.stderr) == ("No known trap, and no Ollama server.\n", "")


def test_a_sound_unit_has_nothing(patient: Patient) -> None:
    patient.install()
    patient.install("ollama@other.service", port=11435)

    done = patient.machine.ollamactl("doctor")

    assert (done.stdout, done.stderr) == ("No known trap found; 2 servers looked at.\n", "")


def test_a_fleet_of_ollamactl_s_has_nothing(patient: Patient) -> None:
    patient.host.applied(FLEET)

    ran = patient.host.json("doctor")

    assert (ran.code, ran.envelope["data"]["findings"], ran.envelope["problems"]) == (0, [], [])
    assert ran.envelope["data"]["servers"] == ["ollama@llama3.service", "ollama@small.service"]


def test_a_fleet_of_ollamactl_s_has_nothing_for_users_either_and_what_they_may_not_see_is_said(
    patient: Patient,
) -> None:
    patient.host.applied(FLEET)

    ran = patient.host.json("doctor", user="nobody")

    assert (ran.code, ran.envelope["data"]["findings"]) == (0, [])
    assert "only root may see" in ran.notes[0]
    assert ran.envelope["data"]["unseen"] == ran.notes


def test_the_official_service_beside_a_server_that_has_its_port(patient: Patient) -> None:
    """It loops for ever, and `systemctl start` has said that all is well."""
    patient.install("first.service", command=f"{REAL} serve")
    patient.host.wait_for_port(11434)
    patient.machine.run("useradd -r -s /bin/false -U -m -d /usr/share/ollama ollama")
    patient.machine.write("/etc/systemd/system/ollama.service", STOCK)
    patient.machine.run("systemctl daemon-reload && systemctl enable --now ollama")
    patient.host.wait_for(lambda: int(patient.host.show("ollama.service", "NRestarts")["NRestarts"]) >= 1)

    found = {row["id"]: row for row in patient.examine()}

    assert {row["unit"] for row in found.values()} == {"ollama.service"}
    assert found.keys() == {"crash-loop", "port-taken", "endless-restart"}
    assert any("address already in use" in line for line in found["crash-loop"]["evidence"])
    pid = patient.host.pid("first.service")
    assert found["port-taken"]["evidence"][0] == f"by pid {pid} ({REAL} serve) of first.service"
    assert "disable --now first.service" in found["port-taken"]["hint"]


def test_the_holder_of_a_port_is_named_without_root_where_it_is_a_unit_that_is_set_to_be_there(
    patient: Patient,
) -> None:
    patient.install("first.service")
    patient.host.wait_for_port(11434)
    patient.install("second.service")

    (taken,) = [row for row in patient.examine(user="nobody") if row["id"] == "port-taken"]

    assert (taken["unit"], taken["evidence"][0]) == ("second.service", "by first.service, as it is installed")


def test_a_unit_that_neither_runs_nor_starts_at_boot_is_nobody_s_business(patient: Patient) -> None:
    patient.install("ollama.service", "Restart=always\nEnvironment=OLLAMA_VULKAN=off", start=False)

    assert patient.examine() == []


def test_a_user_s_own_manager(patient: Patient) -> None:
    ada = patient.machine.user("ada")
    unit = "/home/ada/.config/systemd/user/ollama.service"
    patient.machine.write(
        unit, "[Service]\nExecStart=/usr/local/bin/ollama-standin serve\nEnvironment=OLLAMA_NOPRUNE=no\n"
    )
    patient.machine.run("chown -R ada: /home/ada/.config")
    ada.run("systemctl --user daemon-reload && systemctl --user start ollama")

    done = ada.ollamactl("--user", "doctor", check=False)

    assert done.returncode == 3
    assert "ollama.service: OLLAMA_NOPRUNE is on" in done.stdout
    assert "systemctl --user edit ollama.service" in done.stdout
    assert "sudo" not in done.stdout


def test_it_needs_a_running_host(host: FleetHost) -> None:
    ran = host.json("doctor", "--root", "/srv")

    assert (ran.code, ran.errors) == (2, [": nothing runs below --root /srv"])


def test_fleets_of_every_kind_have_nothing(patient: Patient) -> None:
    """What a spec says on purpose is no trap."""
    machine = patient.machine
    machine.lan()
    machine.run(
        f"useradd -m -r -d /home/keeper keeper && mv {STORE} /home/keeper/models && chown -R keeper: /home/keeper"
    )
    machine.run("chmod o+x /home/keeper")
    patient.host.applied("""
        version: 1
        ollama: {binary: /usr/local/bin/ollama-standin, models: /home/keeper/models}
        instances:
          everybody: {port: 11501, models: qwen, host: 0.0.0.0, allow: [any], origins: ["*"]}
          some: {port: 11502, models: qwen, host: 10.66.0.1, allow: [10.66.0.0/24]}
          shared: {port: 11503, models: qwen, store: shared, context_length: auto}
          writes: {port: 11504, models: qwen, store: writable, egress: open, host: 0.0.0.0, allow: [any]}
          compat: {port: 11505, models: qwen, hardening: compat, secrets: {TOKEN: hunter2}}
          off: {port: 11506, models: qwen, hardening: "off", restart: {policy: always, delay: 1s}}
          stopped: {port: 11507, models: qwen, state: stopped}
    """)

    assert patient.examine() == []
    assert patient.examine(user="nobody") == []


def test_a_fleet_of_a_user_s_own_has_nothing(patient: Patient) -> None:
    ada = patient.machine.user("ada")
    patient.machine.run(f"mkdir -p /home/ada/.ollama && mv {STORE} /home/ada/.ollama/models && chown -R ada: /home/ada")
    spec = "version: 1\nollama: {models: /home/ada/.ollama/models}\ninstances: {llama3: {port: 12434}}\n"
    patient.machine.write("/home/ada/fleet.yaml", spec)
    ada.ollamactl("--user", "apply")

    done = ada.ollamactl("--user", "doctor")

    assert done.stdout == "No known trap found; 1 server looked at.\n"
