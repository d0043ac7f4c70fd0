"""Each trap made real in a unit that is sound otherwise: doctor finds it, and nothing else; its mend leaves none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.system.fleethost import STANDIN, UNITS
from tests.system.patient import Patient, booted


@pytest.fixture
def patient() -> Iterator[Patient]:
    with booted() as machine:
        yield machine


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


def test_a_port_that_somebody_else_has(patient: Patient) -> None:
    patient.machine.run("systemd-run --unit=website python3 -m http.server --bind 127.0.0.1 11434")
    patient.host.wait_for_port(11434)
    patient.install(lines="RestartSec=20")
    patient.host.wait_for(lambda: patient.host.show("ollama.service", "SubState")["SubState"] == "auto-restart")

    found = {row["id"]: row for row in patient.examine()}

    assert found.keys() == {"crash-loop", "port-taken"}
    pid = patient.host.pid("website.service")
    said = f"by pid {pid} (/usr/bin/python3 -m http.server --bind 127.0.0.1 11434) of website.service"
    assert found["port-taken"]["evidence"][0] == said
    patient.machine.run("systemctl stop website && systemctl restart ollama")
    assert patient.examine() == []


@pytest.mark.parametrize("host", ["0.0.0.0", ":11434", "[::]:11434", "10.66.0.1:11434"])
def test_a_server_that_everybody_reaches(patient: Patient, host: str) -> None:
    client = patient.machine.lan()
    patient.install(variables={"OLLAMA_HOST": host})
    patient.host.wait_for_port(11434)
    reach = [*client, "curl", "-sS", "--max-time", "5", "http://10.66.0.1:11434/api/version"]
    patient.machine.run(reach)

    (found,) = [row for row in patient.examine() if row["id"] == "open-to-network"]
    patient.mend(found)

    assert "listens on" in found["evidence"][0]
    assert patient.traps() == set()
    assert patient.machine.run(reach, check=False).returncode != 0


def test_a_server_behind_a_fence_of_systemd_s_is_not_open(patient: Patient) -> None:
    patient.install(variables={"OLLAMA_HOST": "0.0.0.0"}, lines="IPAddressDeny=any\nIPAddressAllow=localhost")

    assert patient.examine() == []


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("OLLAMA_VULKAN", "off", True),
        ("OLLAMA_NO_CLOUD", "nope", True),
        ("OLLAMA_SCHED_SPREAD", "no", True),
        ("OLLAMA_FLASH_ATTENTION", "-1", True),
        ("OLLAMA_FLASH_ATTENTION", "on", False),
        ("OLLAMA_FLASH_ATTENTION", "False", False),
        ("OLLAMA_DEBUG", "off", False),
    ],
)
def test_a_switch_that_means_the_opposite(patient: Patient, name: str, value: str, found: bool) -> None:
    patient.install(variables={name: value})

    if not found:
        assert patient.examine() == []
        return
    told = patient.mended("boolean-opposite")
    assert told["evidence"] == [f"{name}={value} in {UNITS}/ollama.service"]
    assert patient.host.environ(11434)[name] == "0"


def test_a_switch_in_an_environment_file_is_mended_there_as_the_file_has_the_last_word(patient: Patient) -> None:
    patient.machine.write("/etc/default/ollama", 'OTHER="a b"\nOLLAMA_VULKAN = off\n', mode=0o600)
    patient.install(lines="EnvironmentFile=/etc/default/ollama", variables={"OLLAMA_VULKAN": "0"})

    told = patient.mended("boolean-opposite")

    assert told["evidence"] == ["OLLAMA_VULKAN=off in /etc/default/ollama"]
    assert (told["drop_in"], patient.host.environ(11434)["OLLAMA_VULKAN"]) == (None, "0")


@pytest.mark.parametrize("pin", ["CUDA_VISIBLE_DEVICES=-1", "ROCR_VISIBLE_DEVICES=-1", "HIP_VISIBLE_DEVICES=-1"])
def test_a_pin_that_vulkan_gets_round(patient: Patient, pin: str) -> None:
    patient.install(lines=f"Environment={pin}")

    found = patient.mended("vulkan-leak")

    assert found["evidence"] == [f"{pin} in {UNITS}/ollama.service", "OLLAMA_VULKAN is not set"]


def test_two_servers_that_prune_one_store(patient: Patient) -> None:
    patient.install(variables={"OLLAMA_NOPRUNE": None})
    assert patient.examine() == []
    patient.install("second.service", port=11435)

    found = patient.mended("prunes-shared-store")

    assert found["path"] == "/var/lib/ollama/models"
    assert "what second.service is pulling" in found["message"]


def test_a_command_with_a_shell_is_seen_through_as_far_as_can_be(patient: Patient) -> None:
    """What the shell sets is not known, so what the unit does not set is no trap."""
    command = f"/bin/sh -c 'export OLLAMA_VULKAN=0; exec {STANDIN} serve'"
    patient.install(lines="Environment=CUDA_VISIBLE_DEVICES=-1", command=command)

    assert patient.examine() == []
