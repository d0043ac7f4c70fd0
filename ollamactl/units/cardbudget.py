"""The memory of the cards as a budget: what each has, and what each server needs of it. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ollamactl.facts import Facts, Gpu
from ollamactl.model import Backend, Fleet, Instance, State
from ollamactl.units import vram
from ollamactl.units.pins import VENDOR, find, uses_cards


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One card whose memory is known."""

    name: str
    """As the spec's `gpus` has it; else its index, or what no other card has."""
    size: int
    declared: bool = False
    gpu: Gpu | None = None
    """None: the driver does not tell of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What one server needs."""

    instance: Instance
    cards: tuple[str, ...]
    size: int
    """Bytes on each of them."""
    declared: bool

    @property
    def always(self) -> bool:
        """Whether it may have it at any time: nothing stops it."""
        return self.instance.state is State.RUNNING and not self.instance.sleeps


def cards(fleet: Fleet, facts: Facts) -> Mapping[str, Card]:
    """Those whose memory the spec or a driver tells, by name."""
    known, found = facts.gpus or (), {}
    for name, size in fleet.cards:
        gpus = find(name, known)
        found[name] = Card(name=name, size=size, declared=True, gpu=gpus[0] if len(gpus) == 1 else None)
    declared = {card.gpu.pci for card in found.values() if card.gpu}
    one_vendor = len({gpu.vendor for gpu in known}) == 1
    for gpu in known:
        if gpu.memory and gpu.pci not in declared:
            name = str(gpu.index) if one_vendor else gpu.uuid or gpu.pci
            found[name] = Card(name=name, size=gpu.memory, gpu=gpu)
    return found


def needs(fleet: Fleet, facts: Facts) -> tuple[Need, ...]:
    """Of the servers on such cards, as far as it is declared or can be estimated."""
    there = cards(fleet, facts)
    reckoned = (_need(instance, there, facts) for instance in fleet.instances if there)
    return tuple(filter(None, reckoned))


def _need(instance: Instance, there: Mapping[str, Card], facts: Facts) -> Need | None:
    own = tuple(_own(instance, there, facts)) if uses_cards(instance) else ()
    if not own:
        return None
    if instance.vram is not None:
        return Need(instance=instance, cards=own, size=instance.vram, declared=True)
    sizes = [there[name].size for name in own]
    whole = vram.estimate(instance, facts, seen=sum(sizes))
    if whole is None:
        return None
    # Ollama puts on one card what one can hold, on whichever has more room.
    split = instance.spread or whole > min(sizes)
    return Need(instance=instance, cards=own, size=-(-whole // len(own)) if split else whole, declared=False)


def _own(instance: Instance, there: Mapping[str, Card], facts: Facts) -> Iterable[str]:
    if instance.gpus is None:
        vendor = VENDOR.get(instance.backend)
        return (card.name for card in there.values() if not (vendor and card.gpu) or card.gpu.vendor is vendor)
    if facts.gpus and instance.backend is Backend.VULKAN and all(name.isdecimal() for name in instance.gpus):
        return ()  # numbers of Vulkan's own: nobody knows whose
    names = {card.gpu.pci: card.name for card in there.values() if card.gpu}
    found = []
    for name in instance.gpus:
        gpus = find(name, facts.gpus or (), instance.backend)
        found.append(names.get(gpus[0].pci, "") if len(gpus) == 1 else name if name in there else "")
    return tuple(dict.fromkeys(filter(None, found)))


def left(fleet: Fleet, facts: Facts) -> Mapping[str, int]:
    """What each card has for the servers behind the gate: that of the others is theirs at any time."""
    room = {card.name: card.size for card in cards(fleet, facts).values()}
    for need in needs(fleet, facts):
        for card in need.cards if need.always and not need.instance.gated else ():
            room[card] -= need.size
    return room
