"""Pinning an instance to its cards: by environment, so that the server looks for no other, and by device node.

The environment alone is no pin: since Ollama 0.30 its Vulkan backend finds again the card that CUDA_VISIBLE_DEVICES
hides, so every other backend sets OLLAMA_VULKAN=0. The devices become DeviceAllow= and hold whatever the server tries.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ollamactl.errors import Problem, Severity
from ollamactl.facts import Facts, Gpu, Vendor
from ollamactl.model import Backend, Fleet, Hardening, Instance, Store

Variables = tuple[tuple[str, str], ...]
_Report = Callable[..., Problem]

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
_VENDOR = {Backend.CUDA: Vendor.NVIDIA, Backend.ROCM: Vendor.AMD}
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


def pin(instance: Instance, gpus: Sequence[Gpu] | None) -> Pin:
    """The pin of a valid instance (`problems` is empty of errors); `gpus` None is an unknown host."""
    if not uses_cards(instance):
        return Pin(environment=(_NO_CUDA, _NO_ROCM, _NO_VULKAN), devices=())
    if instance.gpus is None:
        return _all_cards(instance, gpus)
    if instance.backend is Backend.VULKAN:
        return _vulkan(instance.gpus, gpus)
    cards = [card for name in instance.gpus for card in find(name, gpus or (), instance.backend)]
    vendor = cards[0].vendor if cards else _guess(instance)
    if vendor is Vendor.NVIDIA:
        return _nvidia([card.uuid or str(card.index) for card in cards] or instance.gpus, cards)
    return _amd([card.uuid or str(card.index) for card in cards] or instance.gpus, cards)


def uses_cards(instance: Instance) -> bool:
    """Whether the instance may use any card."""
    return instance.gpus != () and instance.backend is not Backend.CPU


def find(name: str, gpus: Iterable[Gpu], backend: Backend = Backend.AUTO) -> list[Gpu]:
    """The cards that a name of the spec means: a UUID, a PCI address (the domain may be left out), or an index.

    An index means one card a vendor; a backend that needs a vendor leaves the one of that vendor.
    """
    wanted = name.lower()
    if wanted.isdecimal():
        vendor = _VENDOR.get(backend)
        return [gpu for gpu in gpus if gpu.index == int(wanted) and vendor in (None, gpu.vendor)]
    return [gpu for gpu in gpus if wanted in (gpu.uuid.lower(), gpu.pci) or f"0000:{wanted}" == gpu.pci]


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
    cards = [card for name in names for card in find(name, gpus or ())]
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
    return _VENDOR.get(instance.backend, Vendor.AMD if amd else Vendor.NVIDIA)


def problems(fleet: Fleet, facts: Facts) -> tuple[Problem, ...]:
    """What the spec asks of this host that it cannot give: cards, and an owner for a writable store."""
    found: list[Problem] = []
    for instance in fleet.instances:
        if instance.gpus and uses_cards(instance):
            found += _problems(instance, facts)
        if instance.store is Store.WRITABLE and not facts.layout.user and facts.store_owner in ("", "root"):
            found.append(_ownerless(instance, fleet, facts))
    return tuple(found)


def _ownerless(instance: Instance, fleet: Fleet, facts: Facts) -> Problem:
    """A server that may write the store runs as its owner, and none may run as root."""
    return Problem(
        path=f"instances.{instance.name}.store",
        instance=instance.name,
        message=f"{fleet.models_dir} {'belongs to root' if facts.store_owner else 'has no known owner'}: "
        "a server that may write it runs as its owner, and none runs as root",
        hint="make a user for it: `useradd --system ollama`, then "
        f"`install -d -o ollama -g ollama {fleet.models_dir} && chown -R ollama:ollama {fleet.models_dir}`",
    )


def _problems(instance: Instance, facts: Facts) -> Iterable[Problem]:
    names = instance.gpus or ()

    def problem(message: str, hint: str, severity: Severity = Severity.ERROR) -> Problem:
        path = f"instances.{instance.name}.gpus"
        return Problem(message=message, hint=hint, path=path, severity=severity, instance=instance.name)

    see = "`ollamactl gpus` shows the cards of this host and what to write for each"
    if instance.backend is Backend.VULKAN:
        numbers = [name for name in names if name.isdecimal()]
        if numbers and len(numbers) == len(names):
            return  # Vulkan's own numbers: nothing on the host tells whether they exist
        fenced = facts.gpus is not None and instance.hardening is not Hardening.OFF and not facts.layout.user
        if numbers or not fenced:
            yield problem(
                f"backend vulkan takes numbers, not {', '.join(name for name in names if name not in numbers)}",
                "write Vulkan's own number of the card (`vulkaninfo --summary` lists them)",
            )
            return
    if facts.gpus is None:
        yield from _offline(instance, problem)
        return
    found = [(name, find(name, facts.gpus, instance.backend)) for name in names]
    for name, cards in found:
        if not cards:
            yield problem(f"this host has no card {name}; {_those_there_are(facts.gpus)}", see)
        elif len(cards) > 1:
            which = " and ".join(f"{card.vendor} {card.uuid or card.pci}" for card in cards)
            yield problem(f"{name} means {which}", "write the UUID, or set `backend: cuda` or `backend: rocm`")
    chosen = [card for _, cards in found if len(cards) == 1 for card in cards]
    vendors = {card.vendor for card in chosen}
    wanted = _VENDOR.get(instance.backend)
    if wanted and vendors - {wanted}:
        wrong = next(card for card in chosen if card.vendor is not wanted)
        yield problem(
            f"backend {instance.backend} cannot use {wrong.uuid or wrong.pci}, a card of {wrong.vendor}",
            "leave `backend` out, or name another card; " + see,
        )
    elif len(vendors) > 1 and instance.backend is not Backend.VULKAN:
        yield problem(
            "one server cannot be pinned to cards of NVIDIA and AMD together",
            "make two instances, or use `backend: vulkan`",
        )
    for card in chosen:
        if card.minor is None if card.vendor is Vendor.NVIDIA else not card.nodes:
            yield problem(
                f"the device node of {card.uuid or card.pci} is not known: nothing fences off the other cards",
                "load the card's driver, then apply again",
                Severity.WARNING,
            )


def _offline(instance: Instance, problem: _Report) -> Iterable[Problem]:
    """On an unknown host a pin is its text: what the driver's variable would not take is an error."""
    for name in instance.gpus or ():
        if ":" in name:
            yield problem(
                f"the card at {name} cannot be named without its host: drivers take no PCI address",
                "write the card's UUID, as `ollamactl gpus` shows it there",
            )
        elif name.isdecimal() and instance.backend is Backend.AUTO:
            yield problem(
                f"card {name} is taken for NVIDIA's: this host's cards are not known",
                "write the UUID, or set `backend: cuda` or `backend: rocm`",
                Severity.WARNING,
            )


def _those_there_are(gpus: Sequence[Gpu]) -> str:
    if not gpus:
        return "it has none that ollamactl knows"
    return "there are " + ", ".join(f"{gpu.index} = {gpu.uuid or gpu.pci} ({gpu.name or gpu.vendor})" for gpu in gpus)
