"""Whether the servers of a fleet fit on its cards: an error as far as the spec declares it, else a warning. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from ollamactl.errors import Location, Problem, Severity, listed
from ollamactl.facts import Facts
from ollamactl.model import Fleet, Instance
from ollamactl.spec.specplace import Path, Place
from ollamactl.units.cardbudget import Card, Need, cards, needs
from ollamactl.units.pins import find, uses_cards

_GIB = 1 << 30


def problems(fleet: Fleet, facts: Facts, locations: Mapping[Path, Location]) -> tuple[Problem, ...]:
    """What does not fit, what was assumed, and what has no effect."""
    place, there, reckoned = Place(locations), cards(fleet, facts), needs(fleet, facts)
    found = [*_named(fleet, facts, place), *_idle(fleet, there, place)]
    for card in there.values():
        found += _card(card, [need for need in reckoned if card.name in need.cards], place)
    return (*found, *_assumed(fleet, facts, reckoned))


def _named(fleet: Fleet, facts: Facts, place: Place) -> Iterator[Problem]:
    """Cards of `gpus` that are none of this host's, or two."""
    first: dict[str, str] = {}
    for name, _ in fleet.cards:
        gpus = find(name, facts.gpus or ())
        if len(gpus) > 1:
            which = " and ".join(f"{gpu.vendor} {gpu.uuid or gpu.pci}" for gpu in gpus)
            yield place.problem(("gpus", name), f"{name} means {which}", "write the UUID: ollamactl gpus")
        elif gpus and (other := first.setdefault(gpus[0].pci, name)) != name:
            yield place.problem(("gpus", name), f"{other} and {name} are one card, at {gpus[0].pci}", "name it once")
        elif facts.gpus and not gpus:
            message = f"this host has no card {name} that ollamactl knows"
            yield place.problem(("gpus", name), message, "those there are: ollamactl gpus", Severity.WARNING)


def _idle(fleet: Fleet, there: Mapping[str, Card], place: Place) -> Iterator[Problem]:
    for instance in fleet.instances:
        if instance.vram is None:
            continue
        path = place.of(instance.name, "vram")
        if not uses_cards(instance):
            if place.written(instance.name, "vram"):
                yield place.problem(path, "has no effect: it uses no card", "remove it", Severity.WARNING)
        elif not there:
            message = "has no effect: no driver tells how much memory a card has"
            yield place.problem(path, message, 'write gpus: {"0": 24G} at the top of the spec', Severity.WARNING)


def _card(card: Card, here: Sequence[Need], place: Place) -> Iterator[Problem]:
    """By what is declared alone, and then with estimates."""
    told: set[str] = set()
    for each in here:
        if each.size > card.size:
            told.add(each.instance.name)
            about = "" if each.declared else " (estimated), so a part of it will be computed by the processor"
            message = f"{_gib(each.size)} is more than card {card.name} has, {_gib(card.size)}{about}"
            hint = "name more cards, a smaller model or context_length, or kv_cache_type: q8_0"
            yield place.problem(
                place.of(each.instance.name, "vram" if each.declared else "gpus"),
                message,
                _mend(card) if each.declared else hint,
                Severity.ERROR if each.declared else Severity.WARNING,
            )
    always = [each for each in here if each.always and each.instance.name not in told]
    if problem := _together(card, always, place, "they run at any time"):
        yield problem
        return
    for each in here:
        if each.instance.sleeps and each.instance.name not in told and always:
            words = f"{each.instance.name} is started on demand, and the others run at any time"
            if problem := _together(card, [*always, each], place, words):
                yield problem


def _together(card: Card, here: Sequence[Need], place: Place, why: str) -> Problem | None:
    declared = [each for each in here if each.declared]
    sure = _sum(declared) > card.size
    who = declared if sure else here
    if len(who) < 2 or _sum(who) <= card.size:
        return None
    parts = listed([f"{each.instance.name} {'' if each.declared else 'about '}{_gib(each.size)}" for each in who])
    message = f"card {card.name} has {_gib(card.size)}, too little for {parts} together ({_gib(_sum(who))}): {why}"
    last = who[-1]
    return place.problem(
        place.of(last.instance.name, "vram" if last.declared else "gpus"),
        message if sure else f"{message}; what no vram declares is estimated",
        _mend(card) if sure else "if it is less in truth, declare it: vram: SIZE; else have some sleep: on_demand: {}",
        Severity.ERROR if sure else Severity.WARNING,
    )


def _mend(card: Card) -> str:
    size = "" if card.declared else ", or declare what the card has: gpus: {...}"
    return f"give one another card, a smaller vram, or on_demand: {{}}, by which they take turns{size}"


def _assumed(fleet: Fleet, facts: Facts, reckoned: Iterable[Need]) -> Iterator[Problem]:
    """What the gate will go by where nothing is declared."""
    guessed = [each for each in reckoned if not each.declared and each.instance.sleeps]
    if guessed:
        parts = listed([f"{each.instance.name} {_gib(each.size)}" for each in guessed])
        yield Problem(
            path="gpus",
            message=f"by models and context, these are taken to need on each of their cards: {parts}",
            hint="once they have run, what they had counts; to say it yourself: vram: SIZE",
            severity=Severity.NOTE,
        )
    known = {each.instance.name for each in reckoned}
    sleepers = [each for each in fleet.instances if each.sleeps and uses_cards(each)]
    unknown = [each.name for each in sleepers if each.name not in known and _missing(each, facts)]
    if unknown and cards(fleet, facts):
        yield Problem(
            path=f"instances.{unknown[0]}",
            message=f"nothing tells what {listed(unknown)} need{'s' if len(unknown) == 1 else ''} of a card's memory,"
            " so nobody makes room for that",
            hint="declare it: vram: SIZE; or apply again once their models are there",
            severity=Severity.NOTE,
        )


def _missing(instance: Instance, facts: Facts) -> bool:
    return any(facts.manifest(instance, name) is None for name in instance.models)


def _sum(needs: Iterable[Need]) -> int:
    return sum(each.size for each in needs)


def _gib(size: int) -> str:
    """As a spec writes sizes, to a tenth: `14G`, `0.6G`, `380M`."""
    if size < _GIB // 2:
        return f"{size / (1 << 20):.0f}M"
    return f"{size / _GIB:.1f}".removesuffix(".0") + "G"
