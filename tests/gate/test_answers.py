"""Requests and answers through the gate, on real sockets."""

import asyncio
import json
import socket

import pytest

from ollamactl.gate.dialing import Direct
from ollamactl.gate.limits import Limits
from tests.gate.world import Served, run, world

GET = b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def test_a_connection_serves_many_requests_and_so_does_the_one_to_the_server() -> None:
    async def scenario() -> None:
        async with world() as here:
            client = await here.connect()
            for number in range(3):
                await client.send(b"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi" % number)
                assert await client.head() == b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
                assert await client.exactly(10) == b"POST /%d hi" % number
            assert len(here.accepted) == 1

    run(scenario())


def test_pipelined_requests_are_answered_in_their_order() -> None:
    async def scenario() -> None:
        async with world() as here:
            answers = await here.ask(b"".join(GET % number for number in range(50)) + LAST)
            order = [line.split(b" ")[1] for line in answers.replace(b"HTTP", b"\nHTTP").split(b"\n") if b"GET" in line]
            assert order == [b"/%d" % number for number in range(50)] + [b"/last"]

    run(scenario())


def test_pipelined_refusals_come_in_their_turn() -> None:
    trace = b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n"

    async def scenario() -> None:
        async with world() as here:
            answers = await here.ask(trace * 20 + GET % 1 + trace + LAST)
            assert [part[:3] for part in answers.split(b"HTTP/1.1 ")[1:]] == [b"405"] * 20 + [b"200", b"405", b"200"]

    run(scenario())


def test_a_body_in_chunks_is_chunked_anew() -> None:
    async def scenario() -> None:
        async with world() as here:
            body = b"3;x=y\r\nabc\r\n0004\r\ndefg\r\n0\r\nTrailer: x\r\n\r\n"
            head = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
            for data in (head + body, b"\r\n" + head + body):
                assert (await here.ask(data)).endswith(b"POST / abcdefg")
            client = await here.connect(head)
            for at in range(len(body)):
                await client.send(body[at : at + 1])
            assert (await client.all()).endswith(b"POST / abcdefg")

    run(scenario())


def test_each_piece_of_a_stream_arrives_before_the_next_is_sent() -> None:
    pieces: asyncio.Queue[bytes] = asyncio.Queue()

    async def serve(served: Served) -> None:
        await served.request()
        await served.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while piece := await pieces.get():
            await served.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        await served.send(b"0\r\n\r\n")

    async def scenario() -> None:
        async with world(serve) as here:
            client = await here.connect(GET % 1)
            assert b"\r\nTransfer-Encoding: chunked\r\n" in await client.head()
            for number in range(20):
                piece = b'{"token": %d}\n' % number
                await pieces.put(piece)
                assert await client.until(b"\n\r\n") == b"%x\r\n%b\r\n" % (len(piece), piece)
            await pieces.put(b"")
            assert await client.exactly(5) == b"0\r\n\r\n"

    run(scenario())


def test_an_http_1_0_client_gets_no_chunks() -> None:
    async def serve(served: Served) -> None:
        head, _ = await served.request()
        assert b" HTTP/1.1\r\n" in head
        await served.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")

    async def scenario() -> None:
        async with world(serve) as here:
            assert await here.ask(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n") == (
                b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello"
            )

    run(scenario())


def test_an_http_1_0_client_may_keep_its_connection() -> None:
    async def scenario() -> None:
        async with world() as here:
            client = await here.connect()
            for _ in range(2):
                await client.send(b"GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
                assert b"\r\nConnection: keep-alive\r\n" in await client.head()
                assert await client.exactly(7) == b"GET /x "
            await client.send(b"GET /x HTTP/1.0\r\n\r\n")
            assert (await client.all()).endswith(b"Connection: close\r\n\r\nGET /x ")

    run(scenario())


@pytest.mark.parametrize(
    ("method", "answer", "passed"),
    [
        (b"HEAD", b"200 OK\r\nContent-Length: 99", b"200 OK\r\nContent-Length: 99"),
        (b"HEAD", b"200 OK\r\nTransfer-Encoding: chunked", b"200 OK"),
        (b"GET", b"304 Not Modified\r\nContent-Length: 99", b"304 Not Modified\r\nContent-Length: 99"),
        (b"GET", b"204 No Content\r\nContent-Length: 0", b"204 No Content"),
        (b"GET", b"204 No Content\r\nTransfer-Encoding: chunked", b"204 No Content"),
        (b"GET", b"103 Early\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content", b"204 No Content"),
        (b"GET", b"200\r\nContent-Length: 0", b"200 \r\nContent-Length: 0"),
    ],
)
def test_answers_without_content_end_with_their_head(method: bytes, answer: bytes, passed: bytes) -> None:
    async def serve(served: Served) -> None:
        while await served.request():
            await served.send(b"HTTP/1.1 " + answer + b"\r\n\r\n")

    async def scenario() -> None:
        async with world(serve) as here:
            client = await here.connect()
            for _ in range(3):
                await client.send(method + b" / HTTP/1.1\r\nHost: a\r\n\r\n")
                assert await client.head() == b"HTTP/1.1 " + passed + b"\r\n\r\n"
            assert len(here.accepted) == 1

    run(scenario())


def test_an_answer_that_lasts_as_long_as_the_connection_gets_an_end_of_its_own() -> None:
    async def serve(served: Served) -> None:
        await served.request()
        await served.send(b"HTTP/1.1 200 OK\r\n\r\nhel")
        await served.send(b"lo")
        served.close()

    async def scenario() -> None:
        async with world(serve) as here:
            client = await here.connect()
            for _ in range(2):
                await client.send(GET % 1)
                assert b"\r\nTransfer-Encoding: chunked\r\n" in await client.head()
                content = (await client.until(b"0\r\n\r\n")).split(b"\r\n")
                assert b"".join(content[1:-3:2]) == b"hello"

    run(scenario())


def test_a_client_that_expects_100_is_told_to_send_and_the_server_not_asked() -> None:
    async def scenario() -> None:
        async with world() as here:
            head = (
                b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\nConnection: close\r\n\r\n"
            )
            client = await here.connect(head)
            assert await client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
            await client.send(b"hello")
            assert (await client.all()).endswith(b"POST / hello")
            assert (await here.ask(head + b"hello")).startswith(b"HTTP/1.1 200")

    run(scenario())


def test_an_upgrade_is_not_passed_on() -> None:
    async def serve(served: Served) -> None:
        head, _ = await served.request()
        assert b"pgrade" not in head
        await served.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n")

    async def scenario() -> None:
        async with world(serve) as here:
            answer = await here.ask(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close, upgrade\r\nUpgrade: x\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 502 ")

    run(scenario())


def test_a_server_that_answers_early_is_heard_and_the_rest_of_the_upload_not_taken_for_a_request() -> None:
    async def serve(served: Served) -> None:
        await served.head()
        await served.answer(b"too large", "413 Too Large")
        served.close()

    async def scenario() -> None:
        async with world(serve) as here:
            for _ in range(20):
                client = await here.connect(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + GET % 1)
                answer = await client.until(b"too large")
                assert answer.startswith(b"HTTP/1.1 413 ")
                assert b"\r\nConnection: close\r\n" in answer
                await client.send(GET % 2)
                assert not await client.all()

    run(scenario())


def test_an_upload_is_streamed() -> None:
    got: asyncio.Queue[bytes] = asyncio.Queue()

    async def serve(served: Served) -> None:
        await served.head()
        for _ in range(3):
            await got.put(await served.exactly(1000))
        await served.answer(b"done")

    async def scenario() -> None:
        async with world(serve) as here:
            client = await here.connect(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000\r\n\r\n")
            for _ in range(3):
                await client.send(b"x" * 1000)
                assert len(await got.get()) == 1000
            assert (await client.until(b"done")).startswith(b"HTTP/1.1 200")

    run(scenario())


def test_errors_are_told_as_ollama_does() -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            free = taken.getsockname()
        async with world() as here:
            here.door.pool._dialer = Direct(free)
            head, _, body = (await here.ask(LAST)).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
            assert "cannot be reached: connection refused" in json.loads(body)["error"]

    run(scenario())


@pytest.mark.parametrize(
    "answer",
    [
        b"220 mail\r\n\r\n",
        b"HTTP/1.1 200 OK\nA: b\n\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 9000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\nX\r\n",
    ],
)
def test_an_answer_that_is_none_is_a_bad_gateway(answer: bytes) -> None:
    async def serve(served: Served) -> None:
        await served.request()
        await served.send(answer)

    async def scenario() -> None:
        async with world(serve) as here:
            assert (await here.ask(LAST)).startswith(b"HTTP/1.1 502 ")

    run(scenario())


def test_many_clients_at_once() -> None:
    async def scenario() -> None:
        async with world(limits=Limits(idle_connections=3)) as here:
            answers = await asyncio.gather(*(here.ask((GET % n) * 5 + LAST) for n in range(60)))
            assert all(answer.count(b"HTTP/1.1 200 OK") == 6 for answer in answers)
            assert len(here.door.pool._idle) <= 3

    run(scenario())
