"""Servers that share cards, with clients that come and go, by a clock that jumps."""

import asyncio
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ollamactl.gate.budget import NEVER, Phase
from tests.unit.occupants import STEP, Fake, now, servers
from tests.unit.virtual_time import run


def two(size: int = 6) -> dict[str, Fake]:
    return servers({"0": 10}, {"a": {"0": size}, "b": {"0": size}})


def test_two_that_do_not_fit_together_take_turns_and_all_are_answered() -> None:
    async def scenario() -> None:
        both = two()
        asked = []
        for number in range(400):
            asked += [asyncio.create_task(fake.ask(0.8)) for fake in both.values()]
            await asyncio.sleep(0.1 * (number % 3))
        assert all(await asyncio.gather(*asked))
        for fake in both.values():
            assert 2 <= len(fake.starts) <= 5, "not one start a request"
        assert "to make room for b" in both["a"].evicted

    run(scenario())


def test_those_that_fit_stay_and_one_without_a_card_has_no_seat() -> None:
    async def scenario() -> None:
        small = two(5)
        assert all(await asyncio.gather(*(fake.ask(1) for fake in small.values())))
        assert all(fake.up for fake in small.values())
        assert servers({"0": 10}, {"c": {}})["c"].seat is None
        assert servers({"0": 10}, {"c": {"0": 3}}, stop_after=NEVER)["c"].seat is None, "it is never stopped"

    run(scenario())


def test_who_waits_too_long_leaves_and_nobody_is_held_for_it_any_more() -> None:
    async def scenario() -> None:
        both = two()
        long = asyncio.create_task(both["a"].ask(60))
        await asyncio.sleep(20)
        vain = asyncio.create_task(both["b"].ask(1, patience=5))
        await asyncio.sleep(1)
        admission = both["a"].admission
        assert both["a"].held
        assert admission
        assert both["a"].seat
        assert both["b"].seat
        assert both["b"].seat.lacking() == "b needs 0.0G of card 0, held by a: it has not had its turn"
        assert both["a"].seat.lacking() == "a makes room for others, and has not come up again"
        late = asyncio.create_task(both["a"].ask(1))
        began = now()
        assert not await vain
        assert await late
        assert now() - began == pytest.approx(5), "its place was given back at once"
        assert await long
        assert not both["b"].starts
        await both["b"].give_up()

    run(scenario())


def test_a_start_that_fails_gives_its_place_back() -> None:
    async def scenario() -> None:
        both = two()
        both["a"].fails = True
        first, second = (asyncio.create_task(both[name].ask(1)) for name in "ab")
        assert not await first
        assert await second
        assert now() <= 1000 + 3 * STEP + 1

    run(scenario())


def test_one_that_will_not_be_stopped_stays_up_and_is_asked_again() -> None:
    async def scenario() -> None:
        both = two()
        await both["a"].ask(1)
        both["a"].stays = 3
        other = asyncio.create_task(both["b"].ask(1))
        await asyncio.sleep(2.5)
        assert await both["a"].ask(0.1), "meanwhile it answers"
        assert await other

    run(scenario())


def test_what_was_started_by_somebody_else_counts_and_what_stops_by_itself_makes_room() -> None:
    async def scenario() -> None:
        both = two()
        seat, other = both["a"].seat, both["b"]
        assert seat
        assert other.seat
        both["a"].up, both["a"].in_flight = True, 1
        both["a"].cards["0"] -= 6
        seat.up()
        asked = asyncio.create_task(other.ask(1))
        await asyncio.sleep(50)
        assert other.seat.phase is Phase.ASLEEP
        both["a"].up, both["a"].in_flight = False, 0
        both["a"].free()
        seat.down()
        assert await asked

    run(scenario())


def test_what_others_have_started_beyond_the_budget_is_spared_and_then_makes_room_for_who_works() -> None:
    async def scenario() -> None:
        both = two()
        for fake in both.values():
            assert fake.seat
            fake.up = True
            fake.cards["0"] -= 6
            fake.seat.up(found=True)
        began = now()
        assert await both["a"].ask(20)
        assert not both["b"].evicted
        while not both["b"].evicted:
            assert await both["a"].ask(0.5)
        assert 29 <= now() - began <= 34
        assert both["b"].evicted == ["more servers run on its card than fit, and others are at work"]
        assert await both["b"].ask(1)
        assert not both["a"].up

    run(scenario())


def test_a_stop_for_idleness_is_waited_for_by_who_needs_the_room() -> None:
    async def scenario() -> None:
        both = two()
        await both["a"].ask(1)
        seat = both["a"].seat
        assert seat
        seat.stopping()
        asked = asyncio.create_task(both["b"].ask(1))
        await asyncio.sleep(30)
        assert not both["b"].starts
        assert not both["a"].evicted
        both["a"].up = False
        both["a"].free()
        seat.down()
        assert await asked

    run(scenario())


@pytest.mark.parametrize("steps", range(7))
def test_a_request_at_the_very_moment_of_a_stop_is_answered_before_it_or_after_the_next_start(steps: int) -> None:
    async def scenario() -> None:
        both = two()
        await both["a"].ask(1)
        await asyncio.sleep(20)

        async def a_moment_later() -> bool:
            for _ in range(steps):
                await asyncio.sleep(0)
            return await both["a"].ask(1)

        assert all(await asyncio.gather(both["b"].ask(1), a_moment_later()))
        assert (len(both["a"].starts), len(both["b"].starts)) in ((1, 1), (2, 1))

    run(scenario())


clients = st.lists(
    st.tuples(st.floats(0, 60), st.sampled_from("abcd"), st.floats(0.01, 15), st.just(NEVER) | st.floats(0.1, 30)),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(clients, st.dictionaries(st.sampled_from("abcd"), st.integers(1, 5), max_size=2))
def test_whoever_comes_and_goes_no_card_overflows_and_who_waits_is_answered(
    coming: list[tuple[float, str, float, float]], stubborn: Mapping[str, int]
) -> None:
    needs = {"a": {"0": 6}, "b": {"0": 5, "1": 5}, "c": {"1": 7}, "d": {"0": 2}}

    async def scenario() -> None:
        fleet = servers({"0": 10, "1": 10}, needs)
        for name, times in stubborn.items():
            fleet[name].stays = times

        async def client(after: float, name: str, takes: float, patience: float) -> None:
            await asyncio.sleep(after)
            answered = await fleet[name].ask(takes, patience)
            assert answered or patience < NEVER

        await asyncio.gather(*(client(*each) for each in coming))
        for fake in fleet.values():
            await fake.give_up()

    run(scenario())
