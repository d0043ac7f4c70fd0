"""Who may have a card's memory: single decisions, and whole days of fleets at random."""

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ollamactl.gate.budget import NEVER, Phase, Server, Terms, Verdict, decide, fitting

CARD = {"0": 10}
TERMS = Terms(turn=10, pause=1)
LONG_AGO, NOW = 0.0, 1000.0


def server(name: str, size: int | Mapping[str, int], phase: Phase = Phase.ASLEEP, **more: Any) -> Server:
    return Server(name=name, needs={"0": size} if isinstance(size, int) else size, phase=phase, **more)


def up(name: str, size: int, **more: Any) -> Server:
    return server(name, size, Phase.UP, **more)


def waits(name: str, size: int, since: float = NOW, **more: Any) -> Server:
    return server(name, size, waits_since=since, **more)


def judged(*servers: Server, cards: Mapping[str, int] = CARD, now: float = NOW) -> Verdict:
    return decide(cards, servers, now, TERMS)


def test_what_fits_starts_at_once_and_nobody_who_is_not_waited_for() -> None:
    assert judged(up("a", 4), waits("b", 6), server("c", 1)) == Verdict(start=("b",))
    assert judged(waits("b", 6), waits("c", 4)).start == ("b", "c")


def test_a_server_without_a_card_asks_nobody() -> None:
    assert judged(up("a", 10, busy=True), waits("b", {}, NOW)).start == ("b",)  # type: ignore[arg-type]


def test_the_least_recently_used_idle_one_makes_room_and_no_more_than_have_to() -> None:
    there = (up("old", 3, used=1.0), up("older", 3, used=0.5), up("new", 3, used=2.0))
    assert judged(*there, waits("w", 4)) == Verdict(stop=("older",))
    assert judged(*there, waits("w", 6)) == Verdict(stop=("older", "old"))
    small = (up("oldest", 1, used=0.1), up("large", 8, used=0.5))
    assert judged(*small, waits("w", 9)) == Verdict(stop=("large",)), "the small one may stay"


def test_one_at_work_makes_room_only_where_no_idle_one_can() -> None:
    busy, idle = up("busy", 6, busy=True), up("idle", 4, used=999.0 - 10)
    assert judged(busy, idle, waits("w", 4)) == Verdict(stop=("idle",))
    assert judged(busy, idle, waits("w", 5)) == Verdict(held=frozenset({"busy"}))
    assert judged(busy, idle, waits("w", 8)) == Verdict(stop=("idle",), held=frozenset({"busy"}))


def test_only_a_server_on_the_card_in_need_makes_room() -> None:
    cards = {"0": 10, "1": 10}
    there = (server("other", {"1": 10}, Phase.UP), server("same", {"0": 6}, Phase.UP, used=5.0))
    assert judged(*there, waits("w", 5), cards=cards) == Verdict(stop=("same",))


def test_a_server_of_two_cards_needs_room_on_both() -> None:
    cards = {"0": 10, "1": 10}
    there = (server("a", {"0": 6}, Phase.UP, busy=True), server("b", {"1": 6}, Phase.UP))
    verdict = judged(*there, server("w", {"0": 5, "1": 5}, waits_since=NOW), cards=cards)
    assert verdict == Verdict(stop=("b",), held=frozenset({"a"}))


def test_a_turn_is_given_to_its_end_and_no_pause_in_it_ends_it() -> None:
    began = NOW - 4
    assert judged(up("a", 8, busy=True, ready=began), waits("w", 8)) == Verdict(again=began + 10)
    assert judged(up("a", 8, used=NOW - 0.2, ready=began), waits("w", 8)) == Verdict(again=NOW + 0.8)
    assert judged(up("a", 8, used=NOW - 1, ready=began), waits("w", 8)) == Verdict(stop=("a",))
    assert judged(up("a", 8, used=NOW, ready=NOW - 10), waits("w", 8)) == Verdict(stop=("a",))


def test_one_that_is_coming_up_is_waited_for() -> None:
    assert judged(server("a", 8, Phase.STARTING), waits("w", 8)) == Verdict()
    assert judged(server("a", 8, Phase.STOPPING), waits("w", 8)) == Verdict()


def test_who_comes_later_takes_nothing_from_who_waits() -> None:
    busy = up("busy", 8, busy=True)
    assert judged(busy, waits("first", 9, NOW - 1), waits("second", 1)).start == ("second",)
    assert judged(busy, waits("first", 9, NOW - 1), waits("second", 2)).start == ()
    assert judged(busy, waits("first", 2, NOW - 1), waits("second", 2)).start == ("first",)


def test_who_fits_beside_each_in_turn_does_not_wait_for_any_of_them() -> None:
    busy = up("busy", 8, busy=True)
    queue = (waits("w1", 8, NOW - 2), waits("w2", 7, NOW - 1))
    assert judged(busy, *queue, waits("small", 2)).start == ("small",)
    assert judged(busy, *queue, waits("larger", 3)).start == ()


def test_an_overfull_card_is_let_be_until_one_on_it_is_at_work() -> None:
    new, old = up("new", 6, used=NOW - 20), up("old", 6, used=NOW - 30)
    assert judged(new, old) == Verdict()
    assert judged(replace(old, busy=True), new) == Verdict(stop=("new",))
    assert judged(replace(old, busy=True, ready=1.0), replace(new, busy=True)) == Verdict(held=frozenset({"new"}))
    other_card = server("c", {"1": 6}, Phase.UP, busy=True)
    assert judged(new, old, other_card, cards={"0": 10, "1": 10}) == Verdict()
    both = judged(replace(old, busy=True), new, waits("w", 6))
    assert both == Verdict(stop=("new",), held=frozenset({"old"}))


def test_one_that_is_held_goes_to_the_end_once_it_is_down() -> None:
    held = up("a", 8, used=NOW, waits_since=NOW - 3, ready=LONG_AGO)
    assert judged(held, waits("b", 8, NOW - 5), waits("c", 8, NOW - 1)) == Verdict(stop=("a",))
    assert judged(waits("a", 8, NOW - 3), waits("b", 8, NOW - 5), waits("c", 8, NOW - 1)).start == ("b",)


@pytest.mark.parametrize(
    ("needs", "stay", "cards", "expected"),
    [
        ({"a": {"0": 4}}, (), {"0": 10}, ({"0": 10}, {"a": {"0": 4}})),
        ({"a": {"0": 4}, "s": {"0": 7}}, ("s",), {"0": 10}, ({"0": 3}, {"a": {"0": 3}})),
        ({"a": {"0": 4}, "s": {"0": 17}}, ("s",), {"0": 10}, ({"0": 1}, {"a": {"0": 1}})),
        ({"a": {"0": 4, "9": 2}, "b": {"0": 0}}, (), {"0": 10}, ({"0": 10}, {"a": {"0": 4}, "b": {}})),
    ],
)
def test_needs_are_cut_to_what_may_ever_be_free(needs: Any, stay: Any, cards: Any, expected: Any) -> None:
    assert fitting(cards, needs, stay) == expected


@dataclass
class Day:
    """A gate's day: clients come, servers take their time, and each verdict is carried out."""

    cards: Mapping[str, int]
    servers: dict[str, Server]
    delay: float
    now: float = 0.0
    answering: dict[str, int] = field(default_factory=dict)
    queues: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    """By server: when each came who waits, and how long an answer takes."""
    held: frozenset[str] = frozenset()
    waited: list[float] = field(default_factory=list)
    _events: list[tuple[float, int, Any]] = field(default_factory=list)
    _order: Any = field(default_factory=count)

    def at(self, when: float, what: Any) -> None:
        heapq.heappush(self._events, (when, next(self._order), what))

    def run(self) -> None:
        while self._events:
            self.now, _, what = heapq.heappop(self._events)
            what()
            self.look()

    def ask(self, name: str, takes: float) -> None:
        each = self.servers[name]
        if each.phase is Phase.UP and name not in self.held:
            self.waited.append(0.0)
            self.begin(name, takes)
        else:
            self.queues.setdefault(name, []).append((self.now, takes))
            self.servers[name] = replace(each, waits_since=min(each.waits_since, self.now))

    def begin(self, name: str, takes: float) -> None:
        self.answering[name] = self.answering.get(name, 0) + 1
        self.servers[name] = replace(self.servers[name], busy=True, used=self.now)
        self.at(self.now + takes, lambda: self.end(name))

    def end(self, name: str) -> None:
        self.answering[name] -= 1
        self.servers[name] = replace(self.servers[name], busy=self.answering[name] > 0, used=self.now)

    def serve(self, name: str) -> None:
        waiting = self.queues.pop(name, [])
        self.servers[name] = replace(self.servers[name], waits_since=NEVER)
        for since, takes in waiting:
            self.waited.append(self.now - since)
            self.begin(name, takes)

    def came_up(self, name: str) -> None:
        self.servers[name] = replace(self.servers[name], phase=Phase.UP, ready=self.now, used=self.now)
        self.serve(name)

    def went_down(self, name: str) -> None:
        self.servers[name] = replace(self.servers[name], phase=Phase.ASLEEP)

    def look(self) -> None:
        verdict = decide(self.cards, [*self.servers.values()], self.now, TERMS)
        for name in verdict.stop:
            each = self.servers[name]
            assert each.phase is Phase.UP
            assert not each.busy, "what is at work is never stopped"
            self.servers[name] = replace(each, phase=Phase.STOPPING)
            self.at(self.now + self.delay, lambda name=name: self.went_down(name))
        for name in verdict.start:
            assert self.servers[name].phase is Phase.ASLEEP
            self.servers[name] = replace(self.servers[name], phase=Phase.STARTING)
            self.at(self.now + self.delay, lambda name=name: self.came_up(name))
        for card, size in self.cards.items():
            taken = sum(s.needs.get(card, 0) for s in self.servers.values() if s.phase is not Phase.ASLEEP)
            assert taken <= size, "never more than a card has"
        self.held = verdict.held
        for name in [*self.queues]:
            if self.servers[name].phase is Phase.UP and name not in self.held:
                self.serve(name)
        if verdict.again < NEVER:
            assert verdict.again > self.now
            self.at(verdict.again, lambda: None)


@st.composite
def days(draw: st.DrawFn) -> Day:
    cards = {str(number): draw(st.integers(4, 12)) for number in range(draw(st.integers(1, 3)))}
    some = st.sets(st.sampled_from(sorted(cards)))
    names = "abcdef"[: draw(st.integers(1, 6))]
    needs = {name: {card: draw(st.integers(1, 12)) for card in draw(some)} for name in names}
    room, needs_fit = fitting(cards, needs)
    day = Day(room, {name: server(name, needs_fit[name]) for name in names}, draw(st.floats(0.1, 5)))
    asked = st.tuples(st.floats(0, 100), st.sampled_from(names), st.floats(0.01, 20))
    for when, name, takes in draw(st.lists(asked, max_size=40)):
        day.at(when, lambda name=name, takes=takes: day.ask(name, takes))
    return day


@settings(max_examples=150, deadline=None)
@given(days())
def test_whatever_comes_no_card_has_too_much_nobody_is_cut_off_and_all_are_answered(day: Day) -> None:
    day.run()
    assert not day.queues
    assert not any(day.answering.values())


@pytest.mark.parametrize("servers", [2, 3, 5])
@pytest.mark.parametrize(("takes", "every"), [(0.2, 0.3), (1.0, 0.5), (3.0, 1.9), (8.0, 0.7)])
def test_steady_load_on_all_starves_none_of_them(servers: int, takes: float, every: float) -> None:
    """More requests at any time than answers: nobody waits for more than the others' turns, answers and changes."""
    names = "abcde"[:servers]
    day = Day(CARD, {name: server(name, 6) for name in names}, delay=1.0)
    for number in range(int(100 / every)):
        for place, name in enumerate(names):
            day.at(number * every + place * 0.01, lambda name=name: day.ask(name, takes))
    day.run()
    assert not day.queues
    assert max(day.waited) <= servers * (TERMS.turn + takes + 2 * day.delay) + 0.1


def test_a_steady_load_on_one_leaves_a_turn_to_a_single_request_for_another() -> None:
    day = Day(CARD, {name: server(name, 6) for name in "ab"}, delay=1.0)
    for number in range(500):
        day.at(number * 0.1, lambda: day.ask("a", 2.0))
    came: list[float] = []
    day.at(30.0, lambda: day.ask("b", 1.0))
    real = day.came_up

    def came_up(name: str) -> None:
        came.extend([day.now] if name == "b" else [])
        real(name)

    day.came_up = came_up  # type: ignore[method-assign]
    day.run()
    assert len(came) == 1
    assert came[0] <= 30 + 2.0 + 2 * day.delay + 0.1, "its turn was over: only its last answers were waited for"
    assert max(day.waited) <= 2.0 + 1.0 + TERMS.pause + 4 * day.delay + 0.1, "both answers, two changes, one pause"
