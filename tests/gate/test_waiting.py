"""Those who do not read, or are late: bounded memory, and time-outs."""

import asyncio
import time
from contextlib import suppress

import pytest

from ollamactl.gate.limits import Limits
from tests.gate.world import Served, Wire, World, echo, run, world

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"
MUCH = 64 * 2**20


async def fill(wire: Wire) -> int:
    """Writes until the other side has taken nothing for a second; returns the bytes that were taken."""
    sent = 0
    with suppress(TimeoutError):
        while sent < MUCH:
            wire.writer.write(bytes(65536))
            async with asyncio.timeout(1):
                await wire.writer.drain()
            sent += 65536
    return sent


def test_a_client_that_does_not_read_makes_the_server_wait() -> None:
    taken: asyncio.Future[int]

    async def serve(served: Served) -> None:
        await served.request()
        await served.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % MUCH)
        taken.set_result(await fill(served))
        served.writer.write(bytes(MUCH - taken.result()))

    async def scenario() -> None:
        nonlocal taken
        taken = asyncio.get_running_loop().create_future()
        async with world(serve) as here:
            client = await here.connect(GET, buffers=4096)
            assert await taken < MUCH // 2
            assert held(here) < 1_000_000
            await client.head()
            assert len(await client.exactly(MUCH)) == MUCH

    run(scenario())


def held(here: World) -> int:
    """Bytes that the gate has in memory."""
    return sum(len(each._buffer) + each._transport.get_write_buffer_size() for each in here.door.clients)


def test_a_server_that_does_not_read_makes_the_client_wait() -> None:
    go = asyncio.Event()

    async def serve(served: Served) -> None:
        served.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await go.wait()
        served.writer.transport.resume_reading()  # type: ignore[attr-defined]
        _, body = await served.request()
        await served.answer(str(len(body)).encode())

    async def scenario() -> None:
        async with world(serve) as here:
            client = await here.connect(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % MUCH)
            sent = await fill(client)
            assert sent < MUCH // 2
            go.set()
            await client.send(bytes(MUCH - sent))
            assert (await client.until(str(MUCH).encode())).startswith(b"HTTP/1.1 200")

    run(scenario())


def test_endless_pipelining_is_not_read_ahead() -> None:
    async def scenario() -> None:
        asked = asyncio.Event()

        async def serve(served: Served) -> None:
            await served.request()
            asked.set()
            await served.ends()

        async with world(serve) as here:
            client = await here.connect(GET)
            await asked.wait()
            client.writer.write(GET * (MUCH // 16 // len(GET)))
            await asyncio.sleep(0.5)
            assert held(here) < 1_000_000

    run(scenario())


SHORT = Limits(head_seconds=0.2, idle_seconds=0.4, body_seconds=0.2, stall_seconds=0.3, linger_seconds=0.2)


@pytest.mark.parametrize(
    ("data", "answer", "seconds"),
    [
        (b"", b"", 0.4),
        (b"GET / HT", b"HTTP/1.1 408 ", 0.2),
        (POST[:-1], b"HTTP/1.1 408 ", 0.2),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", b"HTTP/1.1 408 ", 0.2),
    ],
)
def test_a_client_that_is_late_is_told_and_left(data: bytes, answer: bytes, seconds: float) -> None:
    async def scenario() -> None:
        async with world(limits=SHORT) as here:
            started = time.monotonic()
            assert (await here.ask(data))[:13] == answer
            assert time.monotonic() - started >= seconds - 0.05
            while here.door.clients:
                await asyncio.sleep(0.01)

    run(scenario())


def test_a_client_that_drips_its_head_is_late_all_the_same() -> None:
    async def scenario() -> None:
        async with world(limits=SHORT) as here:
            client = await here.connect()
            sent = 0
            with suppress(ConnectionError):
                while not client.reader._buffer and sent < 100:  # type: ignore[attr-defined]
                    await client.send(b"G")
                    await asyncio.sleep(0.05)
                    sent += 1
            assert (await client.head()).startswith(b"HTTP/1.1 408 ")
            assert sent < 100

    run(scenario())


def test_a_client_that_takes_nothing_of_its_answer_is_left() -> None:
    async def serve(served: Served) -> None:
        await served.request()
        with suppress(ConnectionError):
            await served.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % MUCH + bytes(MUCH))

    async def scenario() -> None:
        async with world(serve, SHORT) as here:
            await here.connect(GET, buffers=4096)
            while not here.accepted:
                await asyncio.sleep(0.01)
            while here.door.clients:
                await asyncio.sleep(0.01)

    run(scenario())


def test_a_long_answer_has_no_time_out() -> None:
    async def serve(served: Served) -> None:
        await served.request()
        await asyncio.sleep(1)
        await served.answer(b"ok")

    async def scenario() -> None:
        async with world(serve, SHORT) as here:
            client = await here.connect(GET)
            assert (await client.until(b"ok")).startswith(b"HTTP/1.1 200")

    run(scenario())


def test_a_client_that_sends_on_after_its_last_answer_is_left() -> None:
    async def scenario() -> None:
        async with world(limits=SHORT) as here:
            client = await here.connect(b"nonsense\r\n\r\n")
            assert (await client.all()).startswith(b"HTTP/1.1 400 ")
            while here.door.clients:
                client.writer.write(b"x")
                await asyncio.sleep(0.01)

    run(scenario())


def test_connections_to_the_server_end_when_they_are_not_used() -> None:
    async def scenario() -> None:
        async with world(echo, Limits(server_idle_seconds=0.1)) as here:
            await here.ask(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            while here.door.pool._idle:
                await asyncio.sleep(0.01)
            while not here.accepted[0].reader.at_eof():
                await asyncio.sleep(0.01)

    run(scenario())
