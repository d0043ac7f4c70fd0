"""Damaged requests and answers in any pieces: the gate neither breaks nor keeps anything."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress

import pytest
import yaml  # type: ignore[import-untyped]

from ollamactl.gate.limits import Limits
from tests.gate.test_beside_nginx import FILE, bytes_of
from tests.gate.world import Served, World, run, world

CASES = yaml.safe_load(FILE.read_text())
SENT = [bytes_of(case["send"]) for case in CASES]
ANSWERED = [bytes_of(case["answer"]) for case in CASES if "answer" in case]
ROUNDS = 150
LIMITS = Limits(
    head_seconds=0.3, idle_seconds=0.3, body_seconds=0.3, linger_seconds=0.1, stall_seconds=0.3, server_idle_seconds=0.2
)


def damaged(chance: random.Random, texts: Sequence[bytes]) -> bytes:
    """One or two of them, with some bytes changed, taken away or doubled."""
    data = bytearray(b"".join(chance.choices(texts, k=chance.choice((1, 1, 2)))))
    for _ in range(chance.choice((0, 1, 1, 3))):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(4):
            case 0:
                data[at : at + 1] = bytes((chance.choice(b"\r\n\0 :;0a\xff"),))
            case 1:
                del data[at : at + chance.randrange(8)]
            case 2:
                data[at:at] = data[at : at + 20]
            case 3:
                data[at:at] = chance.choice((b"\r\n", b"\n", b"0\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"))
    return bytes(data)


def pieces(chance: random.Random, data: bytes) -> list[bytes]:
    cuts = sorted(chance.randrange(len(data) + 1) for _ in range(chance.randrange(4)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


@pytest.mark.parametrize("seed", range(4))
def test_nothing_breaks_it(seed: int) -> None:
    chance = random.Random(seed)

    async def serve(served: Served) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError, TimeoutError):
            while True:
                async with asyncio.timeout(0.5):  # half an answer must not last for ever
                    await served.head()
                if chance.random() < 0.5:
                    await served.answer(b"ok")
                    continue
                for piece in pieces(chance, damaged(chance, ANSWERED)):
                    await served.send(piece)
                    await asyncio.sleep(0)
                if chance.random() < 0.5:
                    break
        served.close()

    async def attack(here: World) -> None:
        with suppress(OSError):  # it may have been closed already
            client = await here.connect()
            for piece in pieces(chance, damaged(chance, SENT)):
                await client.send(piece)
                await asyncio.sleep(chance.choice((0, 0, 0.01)))
            match chance.randrange(4):
                case 0:
                    client.writer.write_eof()
                case 1:
                    client.reset()
                    return
            await client.all()

    async def scenario() -> None:
        async with world(serve, LIMITS) as here:
            async with asyncio.TaskGroup() as group:
                for _ in range(ROUNDS):
                    group.create_task(attack(here))
            while here.door.clients or here.door.pool._idle:
                await asyncio.sleep(0.01)
            assert not here.door.clock._timed
        async with world() as here:
            assert (await here.ask(b"GET / HTTP/1.0\r\n\r\n")).endswith(b"GET / ")

    run(scenario())
