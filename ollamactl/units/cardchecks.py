"""What a spec asks of a host's cards that they cannot give, and what else is to be known of them. Pure."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from ollamactl.errors import Problem, Severity, listed
from ollamactl.facts import Facts, Gpu, Vendor
from ollamactl.model import Backend, Fleet, Hardening, Instance, Store
from ollamactl.units.pins import VENDOR, find, uses_cards

_Report = Callable[..., Problem]


def problems(fleet: Fleet, facts: Facts) -> tuple[Problem, ...]:
    """What the spec asks of this host that it cannot give: cards, and an owner for a writable store."""
    found: list[Problem] = []
    for instance in fleet.instances:
        if instance.gpus and uses_cards(instance):
            found += _problems(instance, facts)
        if instance.store is Store.WRITABLE and not facts.layout.user and facts.store_owner in ("", "root"):
            found.append(_ownerless(instance, fleet, facts))
    return (*found, *_shared(fleet, facts.gpus or ()))


def _shared(fleet: Fleet, gpus: Sequence[Gpu]) -> Iterable[Problem]:
    """Cards that several instances name by different texts; `checks` tells of the same text, and needs no host."""
    users: Mapping[str, dict[str, str]] = defaultdict(dict)
    for instance in fleet.instances:
        for name in instance.gpus or () if uses_cards(instance) and not _vulkans_numbers(instance) else ():
            if len(cards := find(name, gpus, instance.backend)) == 1:
                users[cards[0].pci].setdefault(instance.name, name)
    for pci, texts in users.items():
        if len(written := list(dict.fromkeys(texts.values()))) > 1:
            yield Problem(
                path=f"instances.{list(texts)[1]}.gpus",
                message=f"{listed(written)} are one card, at {pci}, which is shared by {listed(list(texts))}: "
                "they do not see each other's use of its VRAM",
                severity=Severity.NOTE,
            )


def _vulkans_numbers(instance: Instance) -> bool:
    """Whether its cards are named by Vulkan's own numbers: nothing on the host tells whose they are."""
    return instance.backend is Backend.VULKAN and all(name.isdecimal() for name in instance.gpus or ())


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
    fenced = facts.gpus is not None and instance.hardening is not Hardening.OFF and not facts.layout.user
    if _vulkans_numbers(instance):
        if fenced:
            yield problem(
                "Vulkan's own numbers tell no device, so nothing but a variable keeps the server from other cards",
                "name the card by UUID or PCI address: " + see,
                Severity.WARNING,
            )
        return
    if instance.backend is Backend.VULKAN:
        numbers = [name for name in names if name.isdecimal()]
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
    wanted = VENDOR.get(instance.backend)
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
    yield from _resolved(instance, found, problem)
    for card in {card.pci: card for card in chosen}.values():
        if card.minor is None if card.vendor is Vendor.NVIDIA else not card.nodes:
            yield problem(
                f"the device node of {card.uuid or card.pci} is not known: nothing fences off the other cards",
                "load the card's driver, then apply again",
                Severity.WARNING,
            )


def _resolved(instance: Instance, found: Iterable[tuple[str, list[Gpu]]], problem: _Report) -> Iterable[Problem]:
    """What only shows once names have become cards."""
    first: dict[str, str] = {}
    for name, cards in found:
        for card in cards if len(cards) == 1 else ():
            if (other := first.setdefault(card.pci, name)) != name:
                yield problem(f"names one card twice: {other} and {name}", "name it once")
            elif card.vendor is Vendor.NVIDIA and not card.uuid and instance.backend is not Backend.VULKAN:
                # An index may mean another card behind a fence, and would become a UUID once the card is used.
                yield problem(
                    f"the driver does not yet tell the UUID of {name}, and nothing else names a card for certain",
                    "wake the card: sudo nvidia-smi -L (Debian: apt install nvidia-smi), or write its UUID",
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
