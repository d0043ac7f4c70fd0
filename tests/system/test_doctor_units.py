"""Traps of units, made real: doctor finds each and nothing else, and its mend leaves none."""

from __future__ import annotations

import pytest

from tests.system.fleethost import REAL, STANDIN, STORE, UNITS
from tests.system.patient import Patient


def test_a_crash_loop_with_what_the_journal_says(patient: Patient) -> None:
    patient.install(lines="Environment=STANDIN_EXIT=7\nRestartSec=20")
    patient.host.wait_for(lambda: patient.host.show("ollama.service", "SubState")["SubState"] == "auto-restart")

    found = patient.only("crash-loop")

    assert found["severity"] == "error"
    assert found["evidence"][0].startswith("activating (auto-restart), 0 automatic restarts")
    assert found["evidence"][0].endswith("its last run ended with exit-code, status 7")
    assert "| Error: told to exit" in found["evidence"]


def test_a_server_that_was_started_again_and_again_a_moment_ago(patient: Patient) -> None:
    """It is up for an instant when doctor looks."""
    times = "Environment=STANDIN_EXIT=7 STANDIN_EXIT_TIMES=3"
    patient.install(lines=f"RestartSec=100ms\n{times}")
    patient.host.wait_for_port(11434)

    found = patient.only("crash-loop")

    assert "active (running), 3 automatic restarts" in found["evidence"][0]


def test_a_server_that_has_given_up(patient: Patient) -> None:
    patient.install(lines="Restart=no\nEnvironment=STANDIN_EXIT=7 STANDIN_EXIT_TIMES=1")
    patient.host.wait_for(lambda: patient.host.show("ollama.service", "ActiveState")["ActiveState"] == "failed")

    assert "| Error: told to exit" in patient.mended("failed")["evidence"]


@pytest.mark.parametrize(
    ("unit", "service", "evidence"),
    [
        ("", "Restart=always\nRestartSec=3", "Restart=always RestartSec=3s, StartLimitBurst=5 within 10s"),
        ("StartLimitIntervalSec=0", "Restart=always", "Restart=always RestartSec=100ms, and no start limit"),
        (
            "",
            "StartLimitIntervalSec=5min\nRestartSec=2",
            "Restart=on-failure RestartSec=2s, StartLimitBurst=5 within 10s",
        ),
    ],
    ids=["official", "none", "in the wrong section"],
)
def test_a_start_limit_that_is_never_reached(patient: Patient, unit: str, service: str, evidence: str) -> None:
    patient.install(unit=unit, lines=service)

    assert patient.mended("endless-restart")["evidence"] == [evidence]


def test_a_masked_service(patient: Patient) -> None:
    patient.machine.run("systemctl mask ollama.service")
    found = patient.only("masked")
    patient.machine.remove(f"{UNITS}/ollama.service")
    patient.install(start=False)
    patient.machine.run("systemctl mask ollama.service", check=False)

    assert found["hint"].startswith("`sudo systemctl unmask ollama.service`")


def test_a_stock_service_that_is_masked_for_the_sake_of_another_server(patient: Patient) -> None:
    patient.machine.run("systemctl mask ollama.service")
    patient.install("other.service")

    assert patient.examine() == []


def test_a_masked_instance_that_has_drop_ins(patient: Patient) -> None:
    patient.host.applied("version: 1\ndefaults: {gpus: none}\ninstances: {one: {port: 11434, models: qwen}}\n")
    patient.machine.run("systemctl stop ollama@one && systemctl mask ollama@one")

    patient.mended("masked", "ollama@one.service")


def test_files_that_systemd_has_not_read(patient: Patient) -> None:
    name = patient.install()
    patient.machine.write(f"{UNITS}/{name}.d/more.conf", "[Service]\nNice=1\n")

    patient.mended("needs-reload")


def test_a_unit_that_systemd_can_t_read(patient: Patient) -> None:
    patient.machine.write(f"{UNITS}/ollama.service", "[Service]\nUser=root\n")
    patient.reload()
    found = patient.only("unit-broken")
    patient.machine.write(f"{UNITS}/ollama.service", f"[Service]\nExecStart={STANDIN} serve\n")
    patient.mend(found)

    assert (found["path"], patient.examine()) == (f"{UNITS}/ollama.service", [])
    assert "ExecStart=" in found["evidence"][1]


def test_a_start_that_waits_for_what_never_comes(patient: Patient) -> None:
    patient.install(lines="Type=notify", start=False)
    patient.machine.run("systemctl enable ollama && systemctl start --no-block ollama")
    patient.host.wait_for_port(11434)

    assert patient.mended("type-waits")["evidence"] == ["Type=notify, activating (start)"]


def test_runners_that_outlive_their_server(patient: Patient) -> None:
    patient.install(lines="KillMode=process\nEnvironment=STANDIN_RUNNER=1")
    patient.host.wait_for_port(11434)
    patient.machine.run('curl -sS --fail -d \'{"model": "llama3"}\' http://127.0.0.1:11434/api/generate')
    assert patient.only("runners-outlive")["drop_in"] == "[Service]\nKillMode=control-group\n"
    patient.machine.run("systemctl kill --kill-who=main --signal=KILL ollama")
    patient.host.wait_for(lambda: patient.host.show("ollama.service", "NRestarts")["NRestarts"] == "1")
    patient.host.wait_for_port(11434)

    orphan, outlive = patient.examine()

    assert (orphan["id"], outlive["id"]) == ("orphaned-runner", "runners-outlive")
    assert "llama-server" in orphan["evidence"][0]
    patient.mend(orphan)
    patient.mend(outlive)
    assert patient.examine() == []


def test_a_change_that_the_running_server_has_not_seen(patient: Patient) -> None:
    name = patient.install()
    patient.host.wait_for_port(11434)
    patient.machine.write(f"{UNITS}/{name}.d/more.conf", "[Service]\nEnvironment=OLLAMA_KEEP_ALIVE=1h\n")
    patient.reload()

    found = patient.mended("needs-restart")

    assert found["evidence"] == ["OLLAMA_KEEP_ALIVE is set in the unit, and not in the process"]
    assert patient.host.environ(11434)["OLLAMA_KEEP_ALIVE"] == "1h"


@pytest.mark.parametrize(
    ("options", "listen"),
    [("--port 11435", "127.0.0.1:11435"), ("--host=0.0.0.0", "0.0.0.0:11434"), ("--verbose", "127.0.0.1:11434")],
)
def test_an_option_that_ollama_does_not_have(patient: Patient, options: str, listen: str) -> None:
    patient.install(command=f"{REAL} serve {options}")
    patient.host.wait_for(lambda: "Error: unknown flag: --" in patient.machine.journal("ollama.service"))

    found = patient.among("serve-option")
    patient.mend(found)

    assert patient.traps() == ({("open-to-network", "ollama.service")} if "0.0.0.0" in listen else set())
    patient.host.wait_for_port(int(listen[-5:]))


def test_a_program_that_is_not_there(patient: Patient) -> None:
    patient.install(command="/opt/ollama/bin/ollama serve")

    found = patient.mended("program-missing")

    assert "is not there" in found["message"]
    assert found["drop_in"] == f"[Service]\nExecStart=\nExecStart={REAL} serve\n"


def test_a_program_that_may_not_be_run(patient: Patient) -> None:
    patient.machine.run(f"mkdir -p /opt/bin && cp {STANDIN} /opt/bin/ollama && chmod 644 /opt/bin/ollama")
    patient.install(command="/opt/bin/ollama serve")

    assert "can't be executed" in patient.mended("program-missing")["message"]


def test_a_program_that_was_replaced_under_its_server(patient: Patient) -> None:
    """As install.sh does it for every server but its own."""
    patient.machine.run(f"mkdir -p /opt/bin && cp {STANDIN} /opt/bin/ollama && echo 0.33.0 >/opt/bin/ollama.version")
    patient.install(command="/opt/bin/ollama serve")
    patient.host.wait_for_port(11434)
    patient.host.get(11434, "/api/version")  # it reads its version when it is first asked
    patient.machine.run(f"rm /opt/bin/ollama.version && cp {STANDIN} /opt/bin/new && mv /opt/bin/new /opt/bin/ollama")

    found = patient.mended("old-program")

    assert found["evidence"][0].endswith("another file than /opt/bin/ollama is now and answers as version 0.33.0")
    assert patient.host.get(11434, "/api/version") == {"version": "0.34.0"}


def test_a_user_and_a_group_that_there_are_not(patient: Patient) -> None:
    patient.install(lines="User=ghost\nSupplementaryGroups=ghosts", variables={"HOME": None})

    found = patient.mended("account-missing")

    assert "there is no ghost and ghosts on this host" in found["message"]
    assert patient.host.environ(11434)["HOME"] == "/var/lib/ghost"


@pytest.mark.parametrize("lines", ["", "DynamicUser=yes", "User=nobody"])
def test_a_server_without_a_home(patient: Patient, lines: str) -> None:
    patient.install(command=f"{REAL} serve", lines=lines, variables={"HOME": None})
    patient.host.wait_for(lambda: "HOME is not defined" in patient.machine.journal("ollama.service"))

    patient.mended("no-home")
    patient.host.wait_for_port(11434)


def test_a_home_that_the_user_may_not_write(patient: Patient) -> None:
    patient.machine.run("useradd -r -d /nonexistent ada")
    patient.install(command=f"{REAL} serve", lines="User=ada", variables={"HOME": None})
    patient.host.wait_for(lambda: "/nonexistent: permission denied" in patient.machine.journal("ollama.service"))

    found = patient.mended("home-closed")

    assert found["evidence"] == ["/ belongs to uid 0 and group root, mode 0755", "User=ada"]
    patient.host.wait_for_port(11434)


def test_servers_that_share_a_home(patient: Patient) -> None:
    patient.machine.run(f"mkdir -p /srv/shared/.ollama && ln -s {STORE} /srv/shared/.ollama/models")
    for port, name in enumerate(("a.service", "ollama.service", "z.service"), 11434):
        patient.install(name, port=port, variables={"HOME": "/srv/shared", "OLLAMA_MODELS": None})
    found = [row for row in patient.examine() if row["id"] == "shared-home"]

    for finding in found:
        patient.mend(finding)

    assert [row["unit"] for row in found] == ["a.service", "z.service"]
    assert patient.examine() == []
    assert patient.host.environ(11434)["HOME"] == "/var/lib/a-home"
    assert patient.host.environ(11435)["HOME"] == "/srv/shared"
    assert patient.host.environ(11436)["OLLAMA_MODELS"] == STORE


def test_a_server_that_was_started_by_hand(patient: Patient) -> None:
    patient.host.background(f"HOME=/root exec {STANDIN} serve", port=11434)

    found = patient.only("without-unit", "")
    patient.mend(found)

    assert f"({STANDIN} serve) of lab.scope" in found["evidence"][0]
    patient.host.wait_for(lambda: patient.examine() == [])
