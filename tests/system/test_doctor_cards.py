"""Traps of cards, made real by drivers' files: doctor finds each and nothing else, and its mend leaves none."""

from __future__ import annotations

import pytest

from tests.system.fleethost import UNITS
from tests.system.inside import attempt
from tests.system.patient import FIXTURES, Patient
from tests.system.test_cards import H100, prepare

SOUND = {"OLLAMA_CONTEXT_LENGTH": "8192", "OLLAMA_VULKAN": "0"}


@pytest.mark.parametrize("pin", ["CUDA_VISIBLE_DEVICES=-1", "ROCR_VISIBLE_DEVICES=-1", "HIP_VISIBLE_DEVICES=-1"])
def test_a_pin_that_vulkan_gets_round(patient: Patient, pin: str) -> None:
    patient.install(lines=f"Environment={pin}")

    found = patient.mended("vulkan-leak")

    assert found["evidence"] == [f"{pin} in {UNITS}/ollama.service", "OLLAMA_VULKAN is not set"]


@pytest.fixture
def carded(patient: Patient) -> Patient:
    """A machine with two NVIDIA cards, and two of AMD's; nvidia-smi works."""
    prepare(patient.machine)
    smi = f"#!/bin/sh\ncat {FIXTURES}/nvidia/smi.txt\n"
    patient.machine.write("/usr/local/bin/nvidia-smi", smi, mode=0o755)
    return patient


def test_sound_servers_on_cards(carded: Patient) -> None:
    carded.install(variables=SOUND)
    pin = {"CUDA_VISIBLE_DEVICES": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID", "ROCR_VISIBLE_DEVICES": "-1"}
    carded.install("pinned.service", port=11435, variables={**SOUND, **pin})

    assert carded.examine() == []


def test_a_fleet_of_ollamactl_s_on_cards(carded: Patient) -> None:
    carded.host.applied(f"""
        version: 1
        ollama: {{binary: /usr/local/bin/ollama-standin}}
        instances:
          all: {{models: llama3, port: 11501}}
          uuid: {{models: llama3, port: 11502, gpus: {H100}}}
          index: {{models: llama3, port: 11503, gpus: 1, backend: cuda}}
          amd: {{models: llama3, port: 11504, gpus: "0000:23:00.0"}}
          none: {{models: llama3, port: 11505, gpus: none}}
          vulkan: {{models: llama3, port: 11506, gpus: {H100}, backend: vulkan}}
    """)

    assert carded.examine() == []


def test_a_context_that_the_cards_decide(carded: Patient) -> None:
    pin = {"CUDA_VISIBLE_DEVICES": H100, "OLLAMA_VULKAN": "0"}
    carded.install(variables=pin)

    found = carded.mended("context-by-vram")

    said = "1 of the cards of this host are left to it, 80 GiB together: Ollama takes 262144 tokens for each request"
    assert found["evidence"][1].startswith(said)


def test_without_cards_it_is_always_the_same(patient: Patient) -> None:
    patient.install(variables={"OLLAMA_CONTEXT_LENGTH": None})

    assert patient.examine() == []


def test_a_pin_by_a_number_that_cuda_counts_otherwise(carded: Patient) -> None:
    carded.install(variables={**SOUND, "CUDA_VISIBLE_DEVICES": "0"})

    found = carded.mended("pin-by-index")

    assert "nvidia-smi's 0 is NVIDIA H100 80GB HBM3" in found["evidence"]


@pytest.mark.parametrize("pin", ["GPU-00000000-0000-0000-0000-000000000000", "7"])
def test_a_pin_to_a_card_that_there_is_not(carded: Patient, pin: str) -> None:
    order = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": pin}
    carded.install(variables={**SOUND, **order})

    found = carded.mended("pin-to-nothing")

    assert f"this host has no nvidia card {pin}" in found["message"]
    assert found["drop_in"] == f"[Service]\nEnvironment=CUDA_VISIBLE_DEVICES={H100}\n"


def test_a_card_that_the_user_may_not_open(carded: Patient) -> None:
    """As AMD's nodes are; the official installer puts its own user into the groups, and no other."""
    carded.machine.run("useradd -r ollama; chmod 660 /dev/kfd /dev/dri/*; chgrp render /dev/kfd /dev/dri/*")
    pin = {"ROCR_VISIBLE_DEVICES": "0", "HOME": "/srv/home", **SOUND}
    carded.machine.run("mkdir /srv/home && chown ollama /srv/home")
    carded.install(lines="User=ollama", variables=pin)

    found = carded.mended("card-closed")

    assert found["evidence"][0] == "/dev/kfd belongs to uid 0 and group render, mode 0660"
    assert found["drop_in"] == "[Service]\nSupplementaryGroups=render\n"
    status = carded.machine.read(f"/proc/{carded.host.pid('ollama.service')}/status")
    (gid,) = [line.split(":")[2] for line in carded.machine.run("getent group render").stdout.splitlines()]
    assert gid in status.partition("Groups:")[2].splitlines()[0].split()


@pytest.mark.parametrize("fence", ["PrivateDevices=yes", "DevicePolicy=closed", "DeviceAllow=/dev/null rw"])
def test_a_unit_that_hides_every_card(carded: Patient, fence: str) -> None:
    carded.install(lines=fence, variables={**SOUND, "CUDA_VISIBLE_DEVICES": H100})
    carded.host.wait_for_port(11434)
    assert attempt(carded.host, 11434, "open", path="/dev/nvidia1", mode="rw").errno in ("EPERM", "ENOENT")

    found = carded.mended("card-hidden")

    assert fence.split()[0] in found["evidence"][0]
    carded.host.wait_for_port(11434)
    assert attempt(carded.host, 11434, "open", path="/dev/nvidia1", mode="rw").errno == "ENXIO"  # there is no driver


def test_a_server_that_may_not_make_the_node_that_is_missing(carded: Patient) -> None:
    carded.machine.remove("/dev/nvidia-uvm")
    make = "#!/bin/sh\nmknod -m 666 /dev/nvidia-uvm c 510 0\necho $* >/run/asked\n"
    carded.machine.write("/usr/bin/nvidia-modprobe", make, mode=0o755)
    carded.install(lines="NoNewPrivileges=yes", variables={**SOUND, "CUDA_VISIBLE_DEVICES": H100})

    found = {row["id"]: row for row in carded.examine()}
    assert found.keys() == {"card-unusable", "modprobe-forbidden"}
    assert found["card-unusable"]["path"] == "/dev/nvidia-uvm"
    carded.mend(found["modprobe-forbidden"])

    assert carded.examine() == []
    assert carded.machine.read("/run/asked") == "-u -c=1\n"


def test_a_card_without_its_driver(patient: Patient) -> None:
    patient.machine.run(f"mount --bind {FIXTURES}/nouveau/sys/bus/pci/devices /sys/bus/pci/devices")
    patient.install()

    found = patient.only("card-unusable", "")

    assert found["message"] == "the NVIDIA card has no driver of NVIDIA's (in use: nouveau)"
    patient.install(variables={"CUDA_VISIBLE_DEVICES": "-1", "OLLAMA_VULKAN": "0"})
    patient.machine.run("systemctl restart ollama")
    assert patient.examine() == []
