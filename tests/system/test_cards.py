"""Cards: an instance reaches the devices of those that its spec names, by device number, whatever it tries.

There is no card in the lab: a driver's files are laid over /proc and /sys, and nodes made by hand. A node without a
driver answers ENXIO where systemd lets it through.
"""

from __future__ import annotations

import re

import pytest

from tests.lab.binaries import SOURCE_IN_CONTAINER
from tests.lab.container import Container
from tests.system.fleethost import FleetHost
from tests.system.inside import attempts, fleet_of

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("cards")]

FIXTURES = f"{SOURCE_IN_CONTAINER}/tests/fixtures"
H100 = "GPU-9221d5d1-b60b-a624-bf14-0a1819cfda3b"
RTX = "GPU-0c2f6a51-5a3f-9d5e-6f1c-3c3a6e1c9b77"
MI100 = "GPU-6c62a3758b84fd47"
NODES = {
    "/dev/nvidia0": (195, 0),  # the RTX: minors are no indexes
    "/dev/nvidia1": (195, 1),  # the H100
    "/dev/nvidiactl": (195, 255),
    "/dev/nvidia-modeset": (195, 254),
    "/dev/nvidia-uvm": (510, 0),
    "/dev/kfd": (511, 0),
    "/dev/dri/renderD128": (226, 128),  # the MI100
    "/dev/dri/renderD129": (226, 129),
    "/dev/lab-other": (240, 0),
}
ELSEWHERE = {"/srv/node0": (195, 0), "/srv/node1": (195, 1), "/srv/kfd": (511, 0)}
CLASSES = {195: "nvidia", 510: "nvidia-uvm", 511: "kfd", 226: "drm", 240: "lab"}
NVIDIA = {"/dev/nvidiactl", "/dev/nvidia-uvm"}
CARDS = set(NODES) - {"/dev/lab-other"}
DRIVER = "/run/lab-driver"
SLEEPING = f"{DRIVER}/nvidia/gpus/0000:c1:00.0/information"
SMI = f"""#!/bin/sh
# As the real one does: tells the UUID of a card that nobody has used, and so has the driver's own file tell it, too
sed -i 's/GPU-??*/{RTX}/' {SLEEPING} 2>/dev/null
cat {FIXTURES}/nvidia/smi.txt
"""
MODPROBE = """#!/bin/sh
# As the real one does: makes the nodes of the cards that it is told, as far as the unit's fence lets it
for minor in 0 1; do
    mknod /dev/made-$$ c 195 $minor 2>/dev/null && made="$made $minor"
    rm -f /dev/made-$$
done
echo "$* made$made" >>/dev/lab-modprobe.log
"""


def prepare(machine: Container) -> None:
    """Two NVIDIA cards that work and one that is hidden, two AMD cards, as their drivers show them.

    The kernel knows no clock chip (rtc): with nothing else allowed, systemd 262 would make no fence at all.
    """
    classes = "".join(f"{major} {name}\n" for major, name in CLASSES.items())
    machine.write("/run/lab-devices", f"Character devices:\n  1 mem\n{classes}\nBlock devices:\n")
    machine.write("/usr/bin/nvidia-modprobe", MODPROBE, mode=0o755)
    machine.write("/usr/bin/nvidia-smi", SMI, mode=0o755)
    nodes = "".join(
        f"mknod -m 666 {path} c {major} {minor}\n" for path, (major, minor) in {**NODES, **ELSEWHERE}.items()
    )
    machine.run(
        f"""set -e
        cp -r {FIXTURES}/nvidia/proc/driver {DRIVER}
        mount --bind {DRIVER} /proc/driver
        mount --bind {FIXTURES}/amd/sys/class /sys/class
        mount --bind /run/lab-devices /proc/devices
        mkdir -p /dev/dri
        {nodes}
        useradd ada
        """
    )


fleet = fleet_of(
    f"""
    version: 1
    ollama: {{binary: /usr/local/bin/ollama-standin}}
    instances:
      uuid: {{port: 11501, models: llama3, gpus: {H100}}}
      index: {{port: 11502, models: llama3, gpus: 1, backend: cuda}}
      pci: {{port: 11503, models: llama3, gpus: "c1:00.0", hardening: compat}}
      two: {{port: 11504, models: llama3, gpus: [0, 1], backend: cuda}}
      amd: {{port: 11505, models: llama3, gpus: "0000:23:00.0"}}
      amd1: {{port: 11506, models: llama3, gpus: 1, backend: rocm}}
      vulkan: {{port: 11507, models: llama3, gpus: {H100}, backend: vulkan}}
      all: {{port: 11508, models: llama3}}
      none: {{port: 11509, models: llama3, gpus: none}}
      cpu: {{port: 11510, models: llama3, backend: cpu, hardening: compat}}
      off: {{port: 11511, models: llama3, gpus: {H100}, hardening: "off"}}
    """,
    before=prepare,
)


@pytest.mark.parametrize(
    ("port", "reached"),
    [
        (11501, NVIDIA | {"/dev/nvidia1"}),
        (11502, NVIDIA | {"/dev/nvidia0"}),
        (11503, NVIDIA | {"/dev/nvidia0"}),
        (11504, NVIDIA | {"/dev/nvidia0", "/dev/nvidia1"}),
        (11505, {"/dev/kfd", "/dev/dri/renderD128"}),
        (11506, {"/dev/kfd", "/dev/dri/renderD129"}),
        (11507, NVIDIA | {"/dev/nvidia1", "/dev/nvidia-modeset"}),
        (11508, CARDS),
        (11511, set(NODES)),
    ],
    ids=["uuid", "index", "pci", "two", "amd", "amd1", "vulkan", "all", "off"],
)
def test_a_server_reaches_the_nodes_of_its_cards_and_no_others(fleet: FleetHost, port: int, reached: set[str]) -> None:
    tried = attempts(fleet, port, "open", "path", NODES, mode="rw")

    assert tried == {node: "ENXIO" if node in reached else "EPERM" for node in NODES}


@pytest.mark.parametrize("port", [11509, 11510], ids=["none", "cpu"])
def test_a_server_without_cards_sees_no_node_and_may_open_none(fleet: FleetHost, port: int) -> None:
    assert set(attempts(fleet, port, "open", "path", NODES, mode="rw").values()) == {"ENOENT"}
    assert attempts(fleet, port, "open", "path", ELSEWHERE, mode="rw") == dict.fromkeys(ELSEWHERE, "EPERM")


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        (11501, {"CUDA_VISIBLE_DEVICES": H100, "CUDA_DEVICE_ORDER": "PCI_BUS_ID", "ROCR_VISIBLE_DEVICES": "-1"}),
        (11502, {"CUDA_VISIBLE_DEVICES": RTX, "CUDA_DEVICE_ORDER": "PCI_BUS_ID", "ROCR_VISIBLE_DEVICES": "-1"}),
        (
            11504,
            {"CUDA_VISIBLE_DEVICES": f"{H100},{RTX}", "CUDA_DEVICE_ORDER": "PCI_BUS_ID", "ROCR_VISIBLE_DEVICES": "-1"},
        ),
        (11505, {"ROCR_VISIBLE_DEVICES": MI100}),
        (11506, {"ROCR_VISIBLE_DEVICES": "0"}),  # it has no UUID, and is the only one that ROCm sees there
        (11508, {}),
        (11509, {"CUDA_VISIBLE_DEVICES": "-1", "ROCR_VISIBLE_DEVICES": "-1"}),
        (11511, {"CUDA_VISIBLE_DEVICES": H100, "CUDA_DEVICE_ORDER": "PCI_BUS_ID", "ROCR_VISIBLE_DEVICES": "-1"}),
    ],
    ids=["uuid", "index", "two", "amd", "amd1", "all", "none", "off"],
)
def test_the_environment_names_the_same_cards_and_keeps_vulkan_from_finding_others(
    fleet: FleetHost, port: int, expected: dict[str, str]
) -> None:
    given = fleet.environ(port)

    assert {k: v for k, v in given.items() if "DEVICE" in k or "VULKAN" in k} == {**expected, "OLLAMA_VULKAN": "0"}


def test_servers_with_cards_are_in_the_groups_of_their_nodes(fleet: FleetHost) -> None:
    gids = {line.split(":")[2] for line in fleet.machine.run("getent group render video").stdout.splitlines()}

    groups = {}
    for name in ("uuid", "amd", "all", "none"):
        # Not as the server sees them: to its user namespace other groups than its own have no names
        status = fleet.machine.read(f"/proc/{fleet.pid(name)}/status")
        groups[name] = set(re.findall(r"^Groups:\t(.*)$", status, re.MULTILINE)[0].split()) & gids

    assert groups == {"uuid": gids, "amd": gids, "all": gids, "none": set()}


@pytest.mark.parametrize("name", ["uuid", "amd", "all"])
def test_a_server_with_cards_is_little_exposed(fleet: FleetHost, name: str) -> None:
    """As README says; 0.2 more than without cards. 127.0.0.1/32 counts as more than localhost, though it is less."""
    said = fleet.machine.run(["systemd-analyze", "security", "--no-pager", f"ollama@{name}.service"]).stdout

    assert float(said.rpartition("exposure level for")[2].split()[1]) <= 1.3


def test_the_drivers_helper_is_told_the_cards_and_may_make_their_nodes_alone(fleet: FleetHost) -> None:
    said = fleet.machine.read("/dev/lab-modprobe.log").splitlines()

    expected = {
        "uuid": "-u -c=1 made 1",
        "index": "-u -c=0 made 0",
        "pci": "-u -c=0 made 0",
        "two": "-u -c=1 -c=0 made 0 1",
        "vulkan": "-u -c=1 made 1",
        "all": "-u -c=1 -c=0 made 0 1",
        "off": "-u -c=1 made 0 1",  # no fence
    }
    assert sorted(said) == sorted(expected.values())


def test_any_user_gets_the_cards_with_the_text_for_the_spec(fleet: FleetHost) -> None:
    seen = fleet.machine.ollamactl("gpus", user="ada")

    assert (seen.stdout, seen.stderr) == (
        f"""\
nvidia 0  0000:18:00.0  NVIDIA H100 80GB HBM3  80 GiB
    gpus: [{H100}]
nvidia 1  0000:c1:00.0  NVIDIA RTX 5000 Ada Generation  unknown memory
    gpus: [{RTX}]
amd 0  0000:23:00.0  AMD Instinct MI100  32 GiB
    gpus: [{MI100}]
amd 1  0001:05:00.1  gfx1036  0 GiB
    gpus: [0001:05:00.1]
""",
        "",
    )


def test_a_card_that_was_used_since_is_pinned_as_before(fleet: FleetHost) -> None:
    """The driver tells its UUID from then on: nothing is rendered anew, and nobody restarted."""
    assert RTX in fleet.machine.read(SLEEPING)
    before = fleet.invocations("index", "pci", "two")

    assert (fleet.applied().steps, fleet.invocations("index", "pci", "two")) == ([], before)


def test_a_sleeping_card_that_nobody_can_wake_is_no_pin(fleet: FleetHost) -> None:
    fleet.machine.run(f"mv /usr/bin/nvidia-smi /run/away && sed -i 's/{RTX}/GPU-????????/' {SLEEPING}")
    path = fleet.spec("version: 1\ninstances: {llama3: {port: 12000, gpus: 1, backend: cuda}}\n", "/tmp/other.yaml")
    try:
        planned = fleet.json("plan", "--replace", path)
    finally:
        fleet.machine.run(f"mv /run/away /usr/bin/nvidia-smi && sed -i 's/GPU-??*/{RTX}/' {SLEEPING}")

    assert planned.code == 1
    words = "the driver does not yet tell the UUID of 1, and nothing else names a card for certain"
    assert f"instances.llama3.gpus: {words}" in planned.errors
    assert "nvidia-smi -L" in " ".join(planned.hints)


def test_a_card_that_is_not_there_is_refused_with_those_that_are(fleet: FleetHost) -> None:
    path = fleet.spec("version: 1\ninstances: {llama3: {port: 12000, gpus: [4], backend: cuda}}\n", "/tmp/other.yaml")

    refused = fleet.json("apply", "--replace", path)

    assert (refused.code, refused.changed) == (1, False)
    there = f"there are 0 = {H100} (NVIDIA H100 80GB HBM3), 1 = {RTX} (NVIDIA RTX 5000 Ada Generation)"
    assert refused.errors[0].startswith(f"instances.llama3.gpus: this host has no card 4; {there}")


def test_a_machine_without_cards_says_so(host: FleetHost) -> None:
    seen = host.machine.ollamactl("gpus")

    assert (seen.stdout, seen.stderr) == (
        "No NVIDIA or AMD card found; servers compute on the CPU (gpus: none).\n",
        "",
    )
