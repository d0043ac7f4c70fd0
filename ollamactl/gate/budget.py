"""Who may have a card's memory: who starts now, who is stopped for that, who takes no more requests. Pure.

Servers that wait are served in the order in which their first client came. One that does not fit has others stopped:
those that are idle first, the least recently used before all; then those at work, of whom the one that came up first
takes no new request once its turn is over, and is stopped when it has answered what it had. So nobody waits for longer
than the turns and the last answers of those before. Whoever comes later is started at once only where that takes
nothing from those who wait already.

A card may be overfull, for anybody may start a unit. That is let be until one of the servers on it is at work; then
others go, as if it had waited.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

NEVER = float("inf")
Room = dict[str, int]
"""Bytes by card."""


class Phase(StrEnum):
    """How far a server's unit is; all but the first hold its memory."""

    ASLEEP = "asleep"
    STARTING = "starting"
    UP = "up"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One server, at a moment."""

    name: str
    needs: Mapping[str, int]
    """Bytes, on each of its cards."""
    phase: Phase = Phase.ASLEEP
    waits_since: float = NEVER
    """When the first of those came who wait for it."""
    busy: bool = False
    """It has requests to answer."""
    used: float = 0.0
    """When it was last."""
    ready: float = 0.0
    """When it came up: its turn has begun."""
    spared: float = 0.0
    """Until when it is not stopped in any case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Seconds that a server may count on."""

    turn: float = 10.0
    """From its coming up on: so long it takes requests, whoever waits. A model takes seconds to load: without this, two
    servers under load would answer one request a load."""
    pause: float = 1.0
    """Within its turn it may be idle for so long: the next request of a client that asks one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is to be done now."""

    start: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    held: frozenset[str] = frozenset()
    """Who takes no new request."""
    again: float = NEVER
    """When to ask again, should nothing happen before."""


def fitting(
    cards: Mapping[str, int], needs: Mapping[str, Mapping[str, int]], stay: Iterable[str] = ()
) -> tuple[Room, Mapping[str, Mapping[str, int]]]:
    """What the cards have for servers that take turns, and what each of these can have at most.

    Those who `stay` are never stopped, so theirs is gone. A need that is more than all the rest waits for the rest,
    since it would wait forever else; where that is nothing, one server at a time is tried.
    """
    staying = frozenset(stay)
    room = {
        card: max(size - sum(need.get(card, 0) for name, need in needs.items() if name in staying), 1)
        for card, size in cards.items()
    }
    return room, {
        name: {card: min(size, room[card]) for card, size in need.items() if card in room and size > 0}
        for name, need in needs.items()
        if name not in staying
    }


def decide(cards: Mapping[str, int], servers: Sequence[Server], now: float, terms: Terms) -> Verdict:
    """The next steps for servers whose needs each fit on the cards (`fitting`)."""
    free, left = Room(cards), Room(cards)  # what is free now, and once all who are to go have gone
    for each in servers:
        if each.phase is not Phase.ASLEEP:
            _add(free, each.needs, -1)
        if each.phase in (Phase.STARTING, Phase.UP):
            _add(left, each.needs, -1)
    waiting = sorted(
        (each for each in servers if each.phase in (Phase.ASLEEP, Phase.STOPPING) and each.waits_since < NEVER),
        key=lambda each: (each.waits_since, each.name),
    )
    there = sorted((each for each in servers if each.phase in (Phase.STARTING, Phase.UP)), key=_loss)
    start, leave = [], []
    crowded = {card: 0 for card in _worked_on(there, now - terms.pause) if left[card] < 0}
    for other in _chosen(crowded, left, there):
        there.remove(other)
        _add(left, other.needs, 1)
        leave += [other] if other.phase is Phase.UP else []
    spare = Room(left)  # what nobody will need, at any time until the last of those who wait has come up
    for each in waiting:
        if each.phase is Phase.ASLEEP and _fits(each.needs, free) and _fits(each.needs, spare):
            start.append(each.name)
            for room in (free, left, spare):
                _add(room, each.needs, -1)
        else:
            chosen = _chosen(each.needs, left, there)
            for other in chosen:
                there.remove(other)
                _add(left, other.needs, 1)
            _add(left, each.needs, -1)
            spare = {card: min(size, left[card]) for card, size in spare.items()}
            leave += [other for other in chosen if other.phase is Phase.UP]
        there.append(each)  # in its turn it is there, and makes room for those behind it
    return _verdict(tuple(start), leave, now, terms)


def _worked_on(there: Iterable[Server], since: float) -> set[str]:
    """The cards of those at work; who asks one by one is not between two requests, either."""
    return {card for each in there if each.busy or each.used > since for card in each.needs}


def _verdict(start: tuple[str, ...], leave: Iterable[Server], now: float, terms: Terms) -> Verdict:
    stop, held, again = [], [], NEVER
    for each in leave:
        over = each.ready + terms.turn
        due = max(each.spared, over if each.busy else min(over, each.used + terms.pause))
        if now < due:
            again = min(again, due)
        elif each.busy:
            held.append(each.name)
        else:
            stop.append(each.name)
    return Verdict(start=start, stop=tuple(stop), held=frozenset(held), again=again)


def _loss(server: Server) -> tuple[bool, bool, float]:
    """Who goes first: the idle by their last use, then those at work by their turn's age, then who is still to come."""
    return server.phase is Phase.STARTING, server.busy, server.ready if server.busy else server.used


def _chosen(needs: Mapping[str, int], left: Mapping[str, int], there: Iterable[Server]) -> list[Server]:
    """As few as have to go, the first of them first."""
    room, chosen = Room(left), []
    for each in there:
        if any(room[card] < size and each.needs.get(card) for card, size in needs.items()):
            chosen.append(each)
            _add(room, each.needs, 1)
    for each in reversed(chosen):
        _add(room, each.needs, -1)
        if _fits(needs, room):
            chosen = [other for other in chosen if other is not each]
        else:
            _add(room, each.needs, 1)
    return chosen


def _fits(needs: Mapping[str, int], room: Mapping[str, int]) -> bool:
    return all(room[card] >= size for card, size in needs.items())


def _add(room: Room, needs: Mapping[str, int], times: int) -> None:
    for card, size in needs.items():
        room[card] += times * size
