"""Ends that come in the middle: clients and servers that go, stall, or say too much."""

import asyncio
from contextlib import suppress

import pytest

from ollamactl.gate.limits import Limits
from tests.gate.world import Served, run, world

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Heard:
    """A server that takes a request, may begin to answer, and notes when its client goes."""

    def __init__(self, begin: bytes = b"") -> None:
        self.begin = begin
        self.asked = asyncio.Event()
        self.gone = asyncio.Event()

    async def __call__(self, served: Served) -> None:
        await served.request()
        self.asked.set()
        if self.begin:
            await served.send(self.begin)
        await served.ends()
        self.gone.set()


@pytest.mark.parametrize("begin", [b"", CHUNKED + b"1\r\nx\r\n"])
@pytest.mark.parametrize("way", ["close", "reset"])
def test_when_the_client_goes_the_server_is_told(begin: bytes, way: str) -> None:
    async def scenario() -> None:
        heard = Heard(begin)
        async with world(heard, Limits()) as here:
            client = await here.connect(POST)
            await heard.asked.wait()
            if begin:
                await client.head()
            elif way == "close":  # what has answered is told by its next write
                client.close()
            client.reset() if way == "reset" or begin else None
            await heard.gone.wait()
            while here.door.clients:
                await asyncio.sleep(0.01)

    run(scenario())


def test_a_client_that_goes_between_pipelined_requests_has_the_next_one_not_sent() -> None:
    """Or it is given up again: nobody would ever end it."""
    ended: list[asyncio.Event] = []

    async def serve(served: Served) -> None:
        ended.append(mine := asyncio.Event())
        with suppress(asyncio.IncompleteReadError):
            await served.request()
        await served.ends()
        mine.set()

    async def scenario() -> None:
        async with world(serve) as here:
            for count in range(1, 80):
                client = await here.connect()
                client.writer.write(GET.replace(b"GET", b"TRACE") * count + POST)
                if count % 2:
                    await asyncio.sleep(0)
                client.reset()
            while here.door.clients:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
            for served, event in zip(here.accepted, ended, strict=True):
                await asyncio.wait_for(event.wait(), 5)
                served.close()

    run(scenario())


def test_a_client_that_goes_while_its_server_is_being_reached_leaves_nothing() -> None:
    async def scenario() -> None:
        async with world() as here:
            client = await here.connect()
            while not here.door.clients:
                await asyncio.sleep(0.01)
            client.writer.write(GET)
            client.reset()
            while here.door.clients:
                await asyncio.sleep(0.01)

    run(scenario())


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (GET, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        (b"GET / HTTP/1.0\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"),
    ],
)
def test_a_client_that_only_ends_its_half_gets_its_answer(request_: bytes, answer: bytes) -> None:
    go = asyncio.Event()

    async def serve(served: Served) -> None:
        await served.request()
        await go.wait()
        await served.answer(b"ok")

    async def scenario() -> None:
        async with world(serve, Limits()) as here:
            client = await here.connect(request_)
            client.writer.write_eof()
            await asyncio.sleep(0.2)  # several looks at it
            go.set()
            assert await client.all() == answer

    run(scenario())


def test_pipelined_requests_before_the_half_that_ends_are_all_answered() -> None:
    async def scenario() -> None:
        async with world() as here:
            client = await here.connect(GET * 5)
            client.writer.write_eof()
            assert (await client.all()).count(b"HTTP/1.1 200 OK") == 5

    run(scenario())


def test_pipelined_refusals_before_the_half_that_ends_are_all_told() -> None:
    async def scenario() -> None:
        async with world() as here:
            client = await here.connect(GET.replace(b"GET", b"TRACE") * 50)
            client.writer.write_eof()
            assert (await client.all()).count(b"HTTP/1.1 405 ") == 50

    run(scenario())


def test_half_a_head_before_the_half_that_ends_is_not_waited_for() -> None:
    async def scenario() -> None:
        async with world() as here:
            client = await here.connect(GET + GET[:-1])
            client.writer.write_eof()
            assert (await client.all()).count(b"HTTP/1.1 ") == 2, "100 Continue, and the answer"

    run(scenario())


def test_a_client_that_ends_in_its_upload_takes_the_request_along() -> None:
    async def scenario() -> None:
        gone = asyncio.Event()

        async def serve(served: Served) -> None:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                await served.request()
            gone.set()

        async with world(serve) as here:
            client = await here.connect(POST[:-1])
            client.writer.write_eof()
            await gone.wait()
            assert not await client.all()

    run(scenario())


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi", CHUNKED + b"2\r\nhi\r\n"])
@pytest.mark.parametrize("request_", [GET, b"GET / HTTP/1.0\r\n\r\n"])
def test_an_answer_that_breaks_off_does_not_look_whole(answer: bytes, request_: bytes) -> None:
    async def serve(served: Served) -> None:
        await served.request()
        await served.send(answer)
        served.close()

    async def scenario() -> None:
        async with world(serve) as here:
            client = await here.connect(request_)
            with pytest.raises(ConnectionResetError):
                await client.all()

    run(scenario())


def test_bad_chunks_end_the_request_and_the_server_sees_no_end_of_it() -> None:
    async def scenario() -> None:
        whole = asyncio.Event()

        async def serve(served: Served) -> None:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                await served.request()
                whole.set()

        async with world(serve) as here:
            client = await here.connect(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n")
            while not here.accepted:
                await asyncio.sleep(0.01)
            await client.send(b"x\r\n")
            assert (await client.all()).startswith(b"HTTP/1.1 400 ")
            await here.accepted[0].ends()
            assert not whole.is_set()

    run(scenario())


def ending(requests: int) -> tuple[list[bytes], object]:
    """A server that closes each connection after so many requests, without saying so."""
    seen: list[bytes] = []

    async def serve(served: Served) -> None:
        for _ in range(requests):
            seen.append((await served.request())[0][:4])
            await served.answer(b"ok")
        served.close()

    return seen, serve


def test_a_connection_that_the_server_has_closed_is_not_used() -> None:
    async def scenario() -> None:
        seen, serve = ending(1)
        async with world(serve) as here:  # type: ignore[arg-type]
            client = await here.connect()
            for number in range(1, 30):
                await client.send(POST)
                assert (await client.until(b"ok")).startswith(b"HTTP/1.1 200")
                assert len(seen) == number

    run(scenario())


def test_only_what_is_safe_is_asked_twice() -> None:
    seen: list[bytes] = []

    async def serve(served: Served) -> None:
        """Answers the first request of a connection, and drops the second."""
        seen.append((await served.request())[0][:4])
        await served.answer(b"ok")
        seen.append((await served.request())[0][:4])
        served.close()

    async def scenario() -> None:
        async with world(serve) as here:
            client = await here.connect(GET)
            await client.until(b"ok")
            await client.send(GET)
            assert (await client.until(b"ok")).startswith(b"HTTP/1.1 200")
            assert seen == [b"GET "] * 3
            await client.send(POST)
            answer = await client.head()
            assert answer.startswith(b"HTTP/1.1 502 ")
            assert b"Connection: close" not in answer
            assert seen == [b"GET "] * 3 + [b"POST"]

    run(scenario())


def test_what_the_server_says_unasked_is_nobody_s_answer() -> None:
    async def serve(served: Served) -> None:
        await served.request()
        await served.answer(b"ok")
        await served.answer(b"poison")

    async def scenario() -> None:
        async with world(serve) as here:
            client = await here.connect()
            for number in range(1, 30):
                await client.send(GET)
                assert (await client.head(), await client.exactly(2))[1] == b"ok"
                assert len(here.accepted) == number

    run(scenario())
