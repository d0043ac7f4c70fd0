"""Which cards the host has, as the drivers tell any user: no card is opened and no library loaded.

NVIDIA: nvidia-smi where it works, /proc/driver/nvidia always (README of the driver, "Using the /proc File System
Interface"). AMD: the KFD topology, which is what ROCm itself reads, and the DRM nodes in sysfs.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from ollamactl.errors import Problem, Severity
from ollamactl.facts import Gpu, Vendor

_MIB = 1 << 20
_QUERY = ("--query-gpu=index,uuid,pci.bus_id,name,memory.total", "--format=csv,noheader,nounits")
_SMI_TIMEOUT = 10.0
_PCI = re.compile(r"([0-9a-f]{4,8}):([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])", re.IGNORECASE)
_UUID = re.compile(r"GPU-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NVIDIA_ID, _AMD_ID = "0x10de", "0x1002"


def run_nvidia_smi() -> str:
    """What nvidia-smi says of the cards, one a line; empty where it is missing, fails or hangs."""
    import shutil
    import subprocess

    path = shutil.which("nvidia-smi")
    if not path:
        return ""
    try:
        done = subprocess.run(
            [path, *_QUERY],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SMI_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


def detect(root: Path = Path("/"), nvidia_smi: Callable[[], str] | None = run_nvidia_smi) -> tuple[Gpu, ...]:
    """The host's cards, NVIDIA's first. With `nvidia_smi` None, or below another root, no command is run.

    nvidia-smi adds the memory, and the UUID of a card that nobody has used since boot.
    """
    if nvidia_smi is run_nvidia_smi and root != Path("/"):
        nvidia_smi = None
    return (*_nvidia(root, nvidia_smi), *_amd(root))


def detect_without_tools(root: Path = Path("/")) -> tuple[Gpu, ...]:
    """The same within a millisecond, by files alone: NVIDIA's memory stays unknown."""
    return detect(root, None)


def driver_problems(root: Path = Path("/")) -> tuple[Problem, ...]:
    """What keeps a card that is there from being used: no driver, or device nodes that are missing."""
    return (*_nvidia_problems(root), *_amd_problems(root))


def _nvidia(root: Path, nvidia_smi: Callable[[], str] | None) -> list[Gpu]:
    cards = {card.pci: card for card in _nvidia_proc(root)}
    seen = list(_nvidia_smi(nvidia_smi())) if nvidia_smi else []
    if not seen:
        return list(cards.values())
    # nvidia-smi counts only the cards that work, and its index is the one that people know.
    known = [(card, cards.get(card.pci)) for card in seen]
    return [replace(card, minor=other.minor) if other else card for card, other in known]


def _nvidia_smi(text: str) -> Iterator[Gpu]:
    """Lines as `0, GPU-5c1a..., 00000000:01:00.0, NVIDIA H100 80GB HBM3, 81559`; what is none (an error) is passed by.

    A value that the driver can't tell is `[N/A]` or another word in brackets.
    """
    for line in text.splitlines():
        fields = [field.strip() for field in line.split(",")]
        if len(fields) < 5 or not fields[0].isdecimal() or not (pci := _pci(fields[2])):
            continue
        yield Gpu(
            vendor=Vendor.NVIDIA,
            index=int(fields[0]),
            pci=pci,
            uuid=_uuid(fields[1]),
            name=", ".join(fields[3:-1]),
            memory=int(fields[-1]) * _MIB if fields[-1].isdecimal() else None,
        )


def _nvidia_proc(root: Path) -> list[Gpu]:
    """Cards from /proc/driver/nvidia, counted in PCI order as nvidia-smi does (NVML: nvmlDeviceGetHandleByIndex)."""
    cards = []
    for folder in _folders(root / "proc/driver/nvidia/gpus"):
        told = dict(_pairs(_text(folder / "information"), ":"))
        if told.get("GPU Excluded", told.get("Blacklisted")) == "Yes":
            continue  # the administrator hid it from every user (NVreg_ExcludedGpus)
        if pci := _pci(told.get("Bus Location", "")) or _pci(folder.name):
            cards.append((pci, told))
    return [
        Gpu(
            vendor=Vendor.NVIDIA,
            index=index,
            pci=pci,
            uuid=_uuid(told.get("GPU UUID", "")),
            name=told.get("Model", ""),
            minor=_number(told.get("Device Minor", "")),
        )
        for index, (pci, told) in enumerate(sorted(cards, key=lambda card: _pci_order(card[0])))
    ]


def _amd(root: Path) -> list[Gpu]:
    """Cards that ROCm can use, in the KFD's order (which is what an index in ROCR_VISIBLE_DEVICES counts)."""
    drm = _drm(root)
    cards: dict[str, Gpu] = {}
    for folder in _folders(root / "sys/class/kfd/kfd/topology/nodes"):
        told = dict(_pairs(_text(folder / "properties"), " "))
        if not _number(told.get("simd_count", "")):
            continue  # a processor
        place = _number(told.get("location_id", "")) or 0
        pci = f"{_number(told.get('domain', '')) or 0:04x}:{place >> 8 & 255:02x}:{place >> 3 & 31:02x}.{place & 7}"
        unique = _number(told.get("unique_id", ""))
        device = drm.get(pci)
        cards.setdefault(
            pci,
            Gpu(
                vendor=Vendor.AMD,
                index=len(cards),
                pci=pci,
                # ROCR-Runtime, amd_gpu_agent.cpp, HSA_AMD_AGENT_INFO_UUID; 0 is a card that has none.
                uuid=f"GPU-{unique:016x}" if unique else "",
                name=(device and _text(device / "product_name")) or _text(folder / "name"),
                memory=_number(_text(device / "mem_info_vram_total")) if device else None,
            ),
        )
        # Partitions of one card (MI300) are nodes of their own with a render node each.
        if (minor := _number(told.get("drm_render_minor", ""))) and minor > 0:
            cards[pci] = replace(cards[pci], nodes=(*cards[pci].nodes, f"226:{minor}"))
    return list(cards.values())


def _drm(root: Path) -> dict[str, Path]:
    """AMD's display devices in sysfs by PCI address."""
    found = {}
    for node in _folders(root / "sys/class/drm"):
        if _text(node / "device/vendor") != _AMD_ID:
            continue
        if pci := _pci(dict(_pairs(_text(node / "device/uevent"), "=")).get("PCI_SLOT_NAME", "")):
            found[pci] = node / "device"
    return found


def _nvidia_problems(root: Path) -> Iterator[Problem]:
    cards = _nvidia_proc(root)
    if not cards and not (root / "proc/driver/nvidia").is_dir():
        for pci, driver in _display_controllers(root, _NVIDIA_ID):
            yield _problem(
                f"the NVIDIA card has no driver of NVIDIA's (in use: {driver or 'none'})",
                "install the driver (Debian: `sudo apt install nvidia-driver`) and restart the machine",
                f"/sys/bus/pci/devices/{pci}",
            )
        return
    nodes = ["nvidiactl", "nvidia-uvm", *(f"nvidia{card.minor}" for card in cards if card.minor is not None)]
    for node in nodes if cards else ():
        if not (root / "dev" / node).exists():
            minor = next((card.minor for card in cards if f"nvidia{card.minor}" == node), 0)
            yield _problem(
                "the NVIDIA driver is loaded, but this device node is missing, and CUDA finds no card without it",
                f"`sudo nvidia-modprobe -u -c={minor}` makes it",
                f"/dev/{node}",
            )


def _amd_problems(root: Path) -> Iterator[Problem]:
    drm = _drm(root)
    if drm and not (root / "dev/kfd").exists():
        yield _problem(
            f"ROCm's device node is missing, so the AMD card at {', '.join(sorted(drm))} can only be used by Vulkan",
            "`sudo modprobe amdgpu` and `sudo dmesg | grep -i kfd` tell why",
            "/dev/kfd",
        )
    for pci, driver in _display_controllers(root, _AMD_ID):
        if driver != "amdgpu":
            yield _problem(
                f"the AMD card is not driven by amdgpu (in use: {driver or 'none'})",
                "`sudo modprobe amdgpu`; an older card, or one that a virtual machine holds, can't be used",
                f"/sys/bus/pci/devices/{pci}",
            )


def _display_controllers(root: Path, vendor: str) -> Iterator[tuple[str, str]]:
    """PCI address and driver of each display controller (class 03xxxx) of a vendor."""
    for folder in _folders(root / "sys/bus/pci/devices"):
        if _text(folder / "vendor") == vendor and _text(folder / "class").startswith("0x03"):
            yield folder.name, dict(_pairs(_text(folder / "uevent"), "=")).get("DRIVER", "")


def _problem(message: str, hint: str, path: str) -> Problem:
    return Problem(message=message, hint=hint, path=path, severity=Severity.WARNING)


def _pairs(text: str, separator: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        key, found, value = line.partition(separator)
        if found:
            yield key.strip(), value.strip()


def _pci(text: str) -> str:
    """`0000:01:00.0` as sysfs writes it, of NVIDIA's `00000000:01:00.0`; empty if it is none."""
    match = _PCI.fullmatch(text)
    return f"{int(match[1], 16):04x}:{match[2]}:{match[3]}.{match[4]}".lower() if match else ""


def _pci_order(pci: str) -> tuple[int, str]:
    domain, _, rest = pci.partition(":")
    return int(domain, 16), rest


def _uuid(text: str) -> str:
    """The UUID; empty where the driver has question marks or `[N/A]` instead (a card not yet initialised)."""
    return text if _UUID.fullmatch(text) else ""


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() else None


def _folders(path: Path) -> list[Path]:
    """What lies in a folder, numbers in their own order; nothing where there is none."""
    try:
        return sorted(path.iterdir(), key=lambda item: (len(item.name) if item.name.isdecimal() else 0, item.name))
    except OSError:
        return []


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return ""
