"""A server that sleeps: woken once for all who wait, and for nobody else."""

import asyncio
import json
from contextlib import suppress

from ollamactl.gate.limits import Limits
from tests.gate.world import Served, Sleeping, echo, run, world

POST = b"POST /api/chat HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"
KEEP = POST.replace(b"close", b"keep-alive")


def test_fifty_clients_at_once_wake_it_once_and_all_get_answers() -> None:
    async def scenario() -> None:
        unit = Sleeping()
        async with world(echo, sleeping=unit) as here:
            asked = [asyncio.create_task(here.ask(POST)) for _ in range(50)]
            while len(here.door.clients) < 50:
                await asyncio.sleep(0.01)
            unit.may_listen.set()
            answers = await asyncio.gather(*asked)
            assert all(answer.endswith(b"POST /api/chat hi") for answer in answers)
            assert unit.starts == 1
            assert (await here.ask(POST)).endswith(b"POST /api/chat hi")
            assert unit.starts == 1

    run(scenario())


def test_who_goes_while_it_wakes_leaves_it_to_those_who_stay() -> None:
    async def scenario() -> None:
        unit = Sleeping()
        async with world(echo, Limits(), sleeping=unit) as here:
            gone = [await here.connect(KEEP) for _ in range(5)]
            stays = asyncio.create_task(here.ask(POST))
            while len(here.door.clients) < 6:
                await asyncio.sleep(0.01)
            for client in gone:
                client.close()
            while len(here.door.clients) > 1:
                await asyncio.sleep(0.01)
            unit.may_listen.set()
            assert (await stays).endswith(b"POST /api/chat hi")
            assert (unit.starts, len(here.accepted)) == (1, 2), "the question whether it answers, and one request"

    run(scenario())


def test_a_start_goes_on_though_all_have_gone_and_the_next_client_finds_it_on_its_way() -> None:
    async def scenario() -> None:
        unit = Sleeping()
        async with world(echo, Limits(), sleeping=unit) as here:
            (await here.connect(KEEP)).close()
            while not unit.starts or here.door.clients:
                await asyncio.sleep(0.01)
            stays = asyncio.create_task(here.ask(POST))
            while not here.door.clients:
                await asyncio.sleep(0.01)
            unit.may_listen.set()
            assert (await stays).endswith(b"POST /api/chat hi")
            assert unit.starts == 1

    run(scenario())


def test_nobody_waits_for_longer_than_was_promised() -> None:
    async def scenario() -> None:
        unit = Sleeping(max_wait=0.2)
        async with world(echo, sleeping=unit) as here:
            client = await here.connect(KEEP)
            head = await client.head()
            assert head.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
            assert b"\r\nRetry-After: 10\r\n" in head
            length = int(head.partition(b"Content-Length: ")[2].split()[0])
            assert "does not answer after 0.2 s" in json.loads(await client.exactly(length))["error"]
            unit.may_listen.set()
            await client.send(KEEP)  # on the same connection
            assert (await client.until(b"POST /api/chat hi")).startswith(b"HTTP/1.1 200")
            assert unit.starts == 1

    run(scenario())


def test_a_unit_that_fails_is_told_at_once_and_tried_again_by_the_next() -> None:
    async def scenario() -> None:
        unit = Sleeping()
        unit.failure = "ollama@x.service has failed; see journalctl -u ollama@x.service"
        async with world(echo, sleeping=unit) as here:
            answer = await here.ask(POST)
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"has failed" in answer
            unit.failure = ""
            unit.may_listen.set()
            assert (await here.ask(POST)).endswith(b"POST /api/chat hi")
            assert unit.starts == 2

    run(scenario())


def test_a_server_that_somebody_has_stopped_is_woken_again() -> None:
    async def scenario() -> None:
        unit = Sleeping()
        unit.may_listen.set()
        async with world(echo, sleeping=unit) as here:
            assert (await here.ask(POST)).endswith(b"POST /api/chat hi")
            await unit.stop()
            for served in here.accepted:
                served.close()
            assert (await here.ask(POST)).endswith(b"POST /api/chat hi")
            assert unit.starts == 2

    run(scenario())


def test_a_large_upload_waits_with_its_client_and_not_in_memory() -> None:
    much = 16 * 2**20

    async def scenario() -> None:
        unit = Sleeping()
        async with world(echo, sleeping=unit) as here:
            client = await here.connect(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % much)
            client.writer.write(bytes(much))
            while not unit.starts:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.3)
            (exchange,) = (each._exchange for each in here.door.clients)
            assert exchange is not None
            assert exchange._kept < 1_000_000
            unit.may_listen.set()
            assert (await client.head()).startswith(b"HTTP/1.1 200")

    run(scenario())


def test_a_gate_that_ends_finishes_what_it_has_begun_or_is_about_to_be_asked() -> None:
    go = asyncio.Event()

    async def serve(served: Served) -> None:
        with suppress(asyncio.IncompleteReadError):
            while await served.request():
                await go.wait()
                await served.answer(b"ok")

    async def scenario() -> None:
        async with world(serve) as here:
            new, idle, busy = await here.connect(), await here.connect(KEEP), await here.connect(KEEP)
            go.set()
            await idle.until(b"\r\n\r\nok")
            await busy.until(b"\r\n\r\nok")
            go.clear()
            await busy.send(KEEP)
            closing = asyncio.create_task(here.door.close())
            assert not await idle.all()
            await new.send(KEEP)
            assert not closing.done()
            go.set()
            for each in (new, busy):
                assert (await each.all()).endswith(b"Connection: close\r\n\r\nok")
            await closing

    run(scenario())
