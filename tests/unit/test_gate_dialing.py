"""The gate's way into a server's own network: found by its process, held while it is awake, found again."""

import asyncio
import os
from collections.abc import Awaitable

import pytest

from ollamactl.gate.dialing import Inside
from tests.unit.network import NEEDS_NETWORKS, held, server_inside
from tests.unit.server import free_port

pytestmark = NEEDS_NETWORKS
UNIT = "ollama@x.service"


class Processes:
    """What the manager would tell."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.asked = 0

    async def main_pid(self, unit: str) -> int:
        """By the dialer."""
        assert unit == UNIT
        self.asked += 1
        return self.pid


async def version(dialer: Inside) -> bytes:
    reader, writer = await asyncio.open_connection(sock=await dialer.dial())
    writer.write(b"GET /api/version HTTP/1.1\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return answer


def run(scenario: Awaitable[None]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(20):
            await scenario

    asyncio.run(limited())


def test_a_server_that_was_restarted_is_found_again_and_none_is_held_that_sleeps() -> None:
    async def scenario() -> None:
        port, before = free_port(), held()
        with server_inside(port) as first, server_inside(port) as second:
            processes = Processes(first.pid)
            dialer = Inside(UNIT, ("127.0.0.1", port), processes)
            for _ in range(3):
                assert b"version" in await version(dialer)
            assert (processes.asked, held() - before) == (1, 1)
            first.kill()
            first.wait()
            processes.pid = second.pid
            assert b"version" in await version(dialer)
            assert (processes.asked, held() - before) == (2, 1)
            dialer.forget()
            assert held() == before

    run(scenario())


def test_one_that_does_not_run_or_has_not_left_our_network_yet_is_refused() -> None:
    async def scenario() -> None:
        port, before = free_port(), held()
        for pid, words in ((0, f"{UNIT} does not run"), (os.getpid(), "its network is not there yet")):
            dialer = Inside(UNIT, ("127.0.0.1", port), Processes(pid))
            with pytest.raises(ConnectionRefusedError, match=words):
                await dialer.dial()
        assert held() == before

    run(scenario())
