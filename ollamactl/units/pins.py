"""Pinning an instance to its cards: by environment, so that the server looks for no other, and by device node.

The environment alone is no pin: since Ollama 0.30 its Vulkan backend finds again the card that CUDA_VISIBLE_DEVICES
hides, so every other backend sets OLLAMA_VULKAN=0. The devices become DeviceAllow= and hold whatever the server tries.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ollamactl.facts import Gpu, Vendor
from ollamactl.model import Backend, Hardening, Instance

Variables = tuple[tuple[str, str], ...]

_NO_CUDA = ("CUDA_VISIBLE_DEVICES", "-1")
_NO_ROCM = ("ROCR_VISIBLE_DEVICES", "-1")
_NO_VULKAN = ("OLLAMA_VULKAN", "0")
_VULKAN = ("OLLAMA_VULKAN", "1")

# Only the classes with a major number of their own may stand as char-*: 195 is shared by every card, nvidiactl (255)
# and nvidia-modeset (254), and /proc/devices of newer drivers names all three.
_NVIDIA_SHARED = ("/dev/char/195:255", "char-nvidia-uvm", "char-nvidia-caps")
_NVIDIA_MODESET = "/dev/char/195:254"
_NVIDIA_CLASSES = ("char-nvidia*",)
_AMD_CLASSES = ("char-kfd", "char-drm")
VENDOR = {Backend.CUDA: Vendor.NVIDIA, Backend.ROCM: Vendor.AMD}
"""Whose cards a backend can use; the others use any."""
_FIRST_RENDER_MINOR = 128
_AMD_UUID = re.compile(r"GPU-[0-9a-f]{16}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """What pins an instance: variables for its environment, and devices for DeviceAllow= (empty: no card at all)."""

    environment: Variables
    devices: tuple[str, ...]
    amd: bool = False
    """Whether cards of AMD are known to be used."""
    nvidia_minors: tuple[int, ...] | None = None
    """The minors for nvidia-modprobe to make nodes of; None where no NVIDIA card is used."""

    @property
    def modules(self) -> tuple[str, ...]:
        """Kernel modules to load first: a char-* class that /proc/devices lacks at the start stays denied."""
        amd = ("amdgpu",) if self.amd else ()
        return amd if self.nvidia_minors is None else ("nvidia_uvm", *amd)


def pin(instance: Instance, gpus: Sequence[Gpu] | None, *, user: bool = False) -> Pin:
    """The pin of a valid instance (`cardchecks` finds no error); `gpus` None is an unknown host.

    `user`: for a user's own manager, which fences nothing.
    """
    if not uses_cards(instance):
        return Pin(environment=(_NO_CUDA, _NO_ROCM, _NO_VULKAN), devices=())
    if instance.gpus is None:
        return _all_cards(instance, gpus)
    if instance.backend is Backend.VULKAN:
        return _vulkan(instance.gpus, gpus)
    cards = _chosen(instance.gpus, gpus or (), instance.backend)
    vendor = cards[0].vendor if cards else _guess(instance)
    names = [card.uuid or str(card.index) for card in cards] or instance.gpus
    if vendor is Vendor.NVIDIA:
        return _nvidia(names, cards)
    if not all(card.uuid for card in cards) and instance.hardening is not Hardening.OFF and not user:
        names = _positions(cards) or names
    return _amd(names, cards)


def uses_cards(instance: Instance) -> bool:
    """Whether the instance may use any card."""
    return instance.gpus != () and instance.backend is not Backend.CPU


def find(name: str, gpus: Iterable[Gpu], backend: Backend = Backend.AUTO) -> list[Gpu]:
    """The cards that a name of the spec means: a UUID, a PCI address (the domain may be left out), or an index.

    An index means one card a vendor; a backend that needs a vendor leaves the one of that vendor.
    """
    wanted = name.lower()
    if wanted.isdecimal():
        vendor = VENDOR.get(backend)
        return [gpu for gpu in gpus if gpu.index == int(wanted) and vendor in (None, gpu.vendor)]
    return [gpu for gpu in gpus if wanted in (gpu.uuid.lower(), gpu.pci) or f"0000:{wanted}" == gpu.pci]


def _chosen(names: Iterable[str], gpus: Sequence[Gpu], backend: Backend = Backend.AUTO) -> list[Gpu]:
    """The cards that names of the spec mean, each once: CUDA may show none at all where one is listed twice."""
    return list({card.pci: card for name in names for card in find(name, gpus, backend)}.values())


def _all_cards(instance: Instance, gpus: Sequence[Gpu] | None) -> Pin:
    """No variable names a card. Whole classes of devices, so that a driver loaded later needs no new unit."""
    minors, amd = _every_minor(gpus), _any_amd(gpus)
    match instance.backend:
        case Backend.CUDA:
            return Pin(environment=(_NO_ROCM, _NO_VULKAN), devices=_NVIDIA_CLASSES, nvidia_minors=minors)
        case Backend.ROCM:  # ROCm reads CUDA_VISIBLE_DEVICES too: only the devices keep it from NVIDIA cards
            return Pin(environment=(_NO_VULKAN,), devices=_AMD_CLASSES, amd=amd)
        case Backend.VULKAN:
            environment: Variables = (_NO_CUDA, _NO_ROCM, _VULKAN)
        case _:
            # Where CUDA or ROCm serve a card, Vulkan would offer it a second time; without such a card (an Intel one,
            # say) Vulkan is all there is.
            environment = (_VULKAN if gpus == () else _NO_VULKAN,)
    return Pin(environment=environment, devices=_NVIDIA_CLASSES + _AMD_CLASSES, amd=amd, nvidia_minors=minors)


def _vulkan(names: Sequence[str], gpus: Sequence[Gpu] | None) -> Pin:
    """Vulkan has an order of its own: its numbers cannot be fenced, a UUID or PCI address can be nothing but fenced."""
    environment: Variables = (_NO_CUDA, _NO_ROCM, _VULKAN)
    if all(name.isdecimal() for name in names):
        numbers = ("GGML_VK_VISIBLE_DEVICES", ",".join(names))
        return Pin(
            environment=(*environment, numbers),
            devices=_NVIDIA_CLASSES + _AMD_CLASSES,
            amd=_any_amd(gpus),
            nvidia_minors=_every_minor(gpus),
        )
    cards = _chosen(names, gpus or ())
    nvidia = [card for card in cards if card.vendor is Vendor.NVIDIA]
    amd = [card for card in cards if card.vendor is Vendor.AMD]
    return Pin(
        environment=environment,
        devices=((*_nvidia_devices(nvidia), _NVIDIA_MODESET) if nvidia else ()) + (_amd_devices(amd) if amd else ()),
        amd=bool(amd),
        nvidia_minors=_minors(nvidia) if nvidia else None,
    )


def _nvidia(values: Sequence[str], cards: Sequence[Gpu]) -> Pin:
    """By UUID where known; CUDA_DEVICE_ORDER makes an index mean what nvidia-smi shows, not the fastest card first."""
    environment = (
        ("CUDA_VISIBLE_DEVICES", ",".join(values)),
        ("CUDA_DEVICE_ORDER", "PCI_BUS_ID"),
        _NO_ROCM,
        _NO_VULKAN,
    )
    return Pin(environment=environment, devices=_nvidia_devices(cards), nvidia_minors=_minors(cards))


def _amd(values: Sequence[str], cards: Sequence[Gpu]) -> Pin:
    """No CUDA_VISIBLE_DEVICES: ROCm reads that too."""
    environment = (("ROCR_VISIBLE_DEVICES", ",".join(values)), _NO_VULKAN)
    return Pin(environment=environment, devices=_amd_devices(cards), amd=True)


def _positions(cards: Sequence[Gpu]) -> list[str]:
    """Every place among the cards that the fence leaves; none where it is no fence for single cards.

    The kernel hides from a process the cards whose render nodes its cgroup may not open (kfd_devcgroup_check_permission
    in kfd_topology.c), so ROCm counts the rest from 0, a partition of a card (MI300) each. Slurm's ConstrainDevices
    counts in the same way (gres_use_local_device_index).
    """
    if not all(card.nodes for card in cards):
        return []
    renders = [node for card in cards for node in card.nodes if int(node.partition(":")[2]) >= _FIRST_RENDER_MINOR]
    return [str(number) for number in range(len(renders))]


def _nvidia_devices(cards: Sequence[Gpu]) -> tuple[str, ...]:
    minors = _minors(cards)
    if not cards or len(minors) < len(cards):
        return _NVIDIA_CLASSES
    return (*(f"/dev/char/195:{minor}" for minor in minors), *_NVIDIA_SHARED)


def _amd_devices(cards: Sequence[Gpu]) -> tuple[str, ...]:
    if not cards or not all(card.nodes for card in cards):
        return _AMD_CLASSES
    return ("char-kfd", *(f"/dev/char/{node}" for card in cards for node in card.nodes))


def _minors(cards: Iterable[Gpu]) -> tuple[int, ...]:
    return tuple(card.minor for card in cards if card.minor is not None)


def _every_minor(gpus: Sequence[Gpu] | None) -> tuple[int, ...] | None:
    """The minors of every card; None where the host is known and has none of NVIDIA's."""
    if gpus is None or any(gpu.vendor is Vendor.NVIDIA for gpu in gpus):
        return _minors(gpus or ())
    return None


def _any_amd(gpus: Sequence[Gpu] | None) -> bool:
    return any(gpu.vendor is Vendor.AMD for gpu in gpus or ())


def _guess(instance: Instance) -> Vendor:
    """The vendor on an unknown host: by the backend, or by the form of the UUIDs (AMD's have 16 digits and no dash)."""
    amd = all(_AMD_UUID.fullmatch(name) for name in instance.gpus or ())
    return VENDOR.get(instance.backend, Vendor.AMD if amd else Vendor.NVIDIA)
