"""Servers that share a card's memory in time: by turns, without an error, and told."""

import asyncio
import json
from pathlib import Path

from ollamactl.gate.config import Behind
from ollamactl.gate.measured import FILE, Measured
from tests.gate.turns import Unit, shared
from tests.gate.world import run


def test_two_that_do_not_fit_together_alternate_under_load_without_an_error() -> None:
    async def scenario() -> None:
        a, b = Unit("a"), Unit("b")
        async with shared(a, b) as here:

            async def client(name: str, count: int) -> list[bytes]:
                return [await here.chat(name) for _ in range(count)]

            answers = await asyncio.gather(*(client(name, 60) for name in "ab" for _ in range(5)))
            for number, each in enumerate(answers):
                name = b"ab"[number // 5 : number // 5 + 1]
                assert {(answer[:12], answer[-5:]) for answer in each} == {(b"HTTP/1.1 200", b"\r\n\r\n" + name)}
            assert here.manager.overflows == a.cut == b.cut == 0
            evictions = [server.counts.evictions for server in here.servers.values()]
            assert sum(evictions) >= 2
            assert sum(evictions) <= 40, "not one start a request"
            assert ("ollama@a.service", "evict", "stopped: to make room for b") in here.manager.notes
            assert all(server.counts.stops == 0 for server in here.servers.values())

    run(scenario())


def test_who_waits_for_room_in_vain_is_told_what_for_and_its_place_goes_to_others() -> None:
    async def scenario() -> None:
        a, b = Unit("a", takes=3), Unit("b")
        async with shared(a, b, max_wait=1.0) as here:
            long = asyncio.create_task(here.chat("a"))
            while not a.answering:
                await asyncio.sleep(0.01)
            vain = await here.chat("b")
            assert vain.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
            assert b"\r\nRetry-After: " in vain
            assert b"b needs 0.0G of card 0, held by a: it has not had its turn after 1 s" in vain
            assert not b.starts
            a.takes = 0.01
            assert (await here.chat("a")).endswith(b"a"), "nobody waits for its place any more"
            assert (await long).endswith(b"a")
            assert (await here.chat("b")).endswith(b"b")
            assert a.cut == 0

    run(scenario())


def test_a_server_that_ends_by_itself_gives_its_place_to_who_waits() -> None:
    async def scenario() -> None:
        a, b = Unit("a", takes=60), Unit("b")
        async with shared(a, b) as here:
            long = asyncio.create_task(here.chat("a"))
            while not a.answering:
                await asyncio.sleep(0.01)
            other = asyncio.create_task(here.chat("b"))
            while not here.servers["b"].waker.busy:
                await asyncio.sleep(0.01)
            await here.manager.stop("ollama@a.service")
            assert (await long).startswith(b"HTTP/1.1 502 ")
            assert (await other).endswith(b"b")
            a.takes = 0.01
            assert (await here.chat("a")).endswith(b"a")
            assert here.manager.overflows == b.cut == 0

    run(scenario())


def test_what_a_server_took_is_written_down_and_counts_as_long_as_it_is_the_same(tmp_path: Path) -> None:
    async def scenario() -> None:
        a = Unit("a", ps=b'{"models":[{"name":"m","size":7,"size_vram":5}]}')
        async with shared(a, measured=Measured(tmp_path), loads=1) as here:
            await here.chat("a")
            while not (tmp_path / FILE).exists():
                await asyncio.sleep(0.01)

    run(scenario())
    assert json.loads((tmp_path / FILE).read_bytes()) == {"a": {"fingerprint": "", "models": 1, "bytes": 7}}
    a = Behind(name="a", unit="a", port=1, cards=("0",), vram=6, loads=1)
    declared, changed = (
        Behind(name="a", unit="a", port=1, cards=("0",), vram=6),
        Behind(name="a", unit="a", port=1, cards=("0",), vram=6, loads=1, fingerprint="x"),
    )
    more = Behind(name="a", unit="a", port=1, cards=("0",), vram=9, loads=2)
    both = Behind(name="a", unit="a", port=1, cards=("0", "1"), vram=9, loads=1)
    seen = Measured(tmp_path)
    assert seen.needs([a], {"0": 10}) == {"a": 7}
    assert seen.needs([declared], {"0": 10}) == seen.needs([changed], {"0": 10}) == {}
    assert seen.needs([more], {"0": 10}) == {"a": 9}, "it had one of its two models"
    assert seen.needs([both], {"0": 5, "1": 5}) == {"a": 4}, "no card alone can hold it"
    seen.took(a, 1, 6)
    assert seen.needs([a], {"0": 10}) == {"a": 7}, "the most that it took"
    (tmp_path / FILE).write_text("[]")
    assert not Measured(tmp_path).needs([a], {"0": 10})


def test_a_place_is_not_waited_for_whose_server_somebody_else_has_stopped() -> None:
    async def scenario() -> None:
        a, b = Unit("a"), Unit("b")
        async with shared(a, b) as here:
            await here.manager.start("ollama@a.service")
            assert await here.servers["a"].look()
            await here.manager.stop("ollama@a.service")
            assert (await here.chat("b")).endswith(b"b"), "within much less than it would have been spared"
            assert here.servers["a"].counts.evictions == here.manager.overflows == 0

    run(scenario())


def test_idle_servers_stop_by_themselves_and_give_their_place_back() -> None:
    async def scenario() -> None:
        a, b = Unit("a"), Unit("b")
        async with shared(a, b, stop_after=0.3) as here:
            assert (await here.chat("a")).endswith(b"a")
            while here.servers["a"].counts.stops == 0:
                await asyncio.sleep(0.01)
            assert (await here.chat("b")).endswith(b"b")
            assert [server.counts.evictions for server in here.servers.values()] == [0, 0]
            assert here.manager.overflows == 0

    run(scenario())


def test_a_gate_that_goes_sends_away_who_waits_for_a_place_and_lets_the_others_end() -> None:
    async def scenario() -> None:
        a, b = Unit("a", takes=1.0), Unit("b")
        async with shared(a, b) as here:
            long = asyncio.create_task(here.chat("a"))
            while not a.answering:
                await asyncio.sleep(0.01)
            queued = asyncio.create_task(here.chat("b"))
            while not here.servers["b"].waker.busy:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.7)
            held = asyncio.create_task(here.chat("a"))
            while not len(here.servers["a"].waker):
                await asyncio.sleep(0.01)
            here.admission.close()
            for server in here.servers.values():
                server.tenant = None
                server.waker.disband()
            answer = await queued
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"the gate was restarted: ask again" in answer
            assert (await long).endswith(b"a")
            assert (await held).endswith(b"a")
            assert b.starts == a.cut == 0

    run(scenario())
