from pathlib import Path

import pytest

from ollamactl.facts import Gpu, Vendor
from ollamactl.host import gpus

TREES = Path(__file__).parent.parent / "fixtures"
H100 = Gpu(
    vendor=Vendor.NVIDIA,
    index=0,
    pci="0000:18:00.0",
    uuid="GPU-9221d5d1-b60b-a624-bf14-0a1819cfda3b",
    name="NVIDIA H100 80GB HBM3",
    minor=1,
)
RTX = Gpu(vendor=Vendor.NVIDIA, index=1, pci="0000:c1:00.0", name="NVIDIA RTX 5000 Ada Generation", minor=0)


def test_proc_alone_gives_cards_in_pci_order_without_the_excluded_one() -> None:
    assert gpus.detect_without_tools(TREES / "nvidia") == (H100, RTX)


def test_nvidia_smi_adds_memory_and_the_uuid_of_an_idle_card_and_proc_the_minor() -> None:
    first, second = gpus.detect(TREES / "nvidia", (TREES / "nvidia/smi.txt").read_text)
    assert (first.memory, first.minor, first.uuid) == (81559 << 20, 1, H100.uuid)
    assert (second.memory, second.minor, second.uuid) == (None, 0, "GPU-0c2f6a51-5a3f-9d5e-6f1c-3c3a6e1c9b77")


@pytest.mark.parametrize(
    "said",
    [
        "",
        "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest...\n",
        "No devices were found\n",
        "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 570.133\n",
        "0, [GPU is lost], [GPU is lost], [GPU is lost], [GPU is lost]\n",
    ],
)
def test_a_failing_nvidia_smi_leaves_what_proc_knows(said: str) -> None:
    assert gpus.detect(TREES / "nvidia", lambda: said) == (H100, RTX)


def test_nvidia_smi_alone_is_enough() -> None:
    (card,) = gpus.detect(Path("/nonexistent"), lambda: "3, GPU-x, 00010000:C1:00.1, NVIDIA GB10, [N/A]\n")
    assert (card.index, card.pci, card.uuid, card.memory, card.minor) == (3, "10000:c1:00.1", "", None, None)


def test_the_hosts_nvidia_smi_is_not_asked_about_another_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    smi = tmp_path / "nvidia-smi"
    smi.write_text(f"#!/bin/sh\ncat {TREES}/nvidia/smi.txt\n")
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert [card.index for card in gpus.detect(Path("/"))][:2] == [0, 1]
    assert gpus.detect(tmp_path) == ()


def test_amd_cards_come_from_the_kfd_in_its_order() -> None:
    assert gpus.detect(TREES / "amd", None) == (
        Gpu(
            vendor=Vendor.AMD,
            index=0,
            pci="0000:23:00.0",
            uuid=f"GPU-{7809984429061111111:016x}",
            name="AMD Instinct MI100",
            memory=34342961152,
            nodes=("226:128",),
        ),
        Gpu(vendor=Vendor.AMD, index=1, pci="0001:05:00.1", name="gfx1036", memory=512 << 20, nodes=("226:129",)),
    )


def test_a_short_unique_id_keeps_its_leading_zeros(tmp_path: Path) -> None:
    node = tmp_path / "sys/class/kfd/kfd/topology/nodes/1"
    node.mkdir(parents=True)
    (node / "properties").write_text("simd_count 4\nlocation_id 256\ndomain 0\nunique_id 123\n")
    assert gpus.detect(tmp_path)[0].uuid == "GPU-000000000000007b"


def test_partitions_of_one_card_are_one_card_with_several_nodes(tmp_path: Path) -> None:
    for number, minor in ((1, 128), (2, 136)):
        node = tmp_path / f"sys/class/kfd/kfd/topology/nodes/{number}"
        node.mkdir(parents=True)
        place = 0x1100 | (number - 1) << 28
        (node / "properties").write_text(f"simd_count 4\nlocation_id {place}\ndomain 0\ndrm_render_minor {minor}\n")
    (card,) = gpus.detect(tmp_path)
    assert (card.pci, card.nodes) == ("0000:11:00.0", ("226:128", "226:136"))


def test_a_host_without_cards_has_none_and_no_problem(tmp_path: Path) -> None:
    assert gpus.detect(tmp_path) == ()
    assert gpus.driver_problems(tmp_path) == ()


@pytest.mark.parametrize(
    ("tree", "paths", "hint"),
    [
        ("nvidia", ["/dev/nvidia-uvm", "/dev/nvidia1"], "nvidia-modprobe -u"),
        ("nouveau", ["/sys/bus/pci/devices/0000:01:00.0"], "nvidia-driver"),
        ("amd", ["/sys/bus/pci/devices/0000:41:00.0"], "modprobe amdgpu"),
    ],
)
def test_what_keeps_a_card_from_being_used_is_said_with_what_to_type(tree: str, paths: list[str], hint: str) -> None:
    found = gpus.driver_problems(TREES / tree)
    assert [problem.path for problem in found] == paths
    assert all(hint in problem.hint for problem in found)
