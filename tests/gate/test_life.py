"""Servers that fall asleep: when they are idle, and what is said for them meanwhile."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from ollamactl.gate.clock import Clock
from ollamactl.gate.config import Behind
from ollamactl.gate.decide import Listener
from ollamactl.gate.dialing import Direct
from ollamactl.gate.gate import Door
from ollamactl.gate.limits import Limits
from ollamactl.gate.server import Server
from tests.gate.world import Serve, Served, Sleeping, World, echo, run

IDLE = 0.3
"""Seconds until a server is stopped."""
CHAT = b"POST /api/chat HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"
PULL = CHAT.replace(b"chat", b"pull")
TAGS = b"GET /api/tags HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
SAID = b"POST /api/chat hi"


class Unit(Sleeping):
    """One that can be stopped, too."""

    def __init__(self) -> None:
        super().__init__()
        self.may_listen.set()
        self.may_stop = asyncio.Event()
        self.may_stop.set()
        self.state = "inactive"
        self.stops = 0
        self.said: list[str] = []

    async def start(self, unit: str) -> None:
        """By the waker."""
        await super().start(unit)
        self.state = "active"

    async def stop(self, unit: str = "") -> None:
        """By the server, and at the end of a test."""
        await super().stop()
        if unit:
            self.stops += 1
            self.state = "deactivating"
            self._tasks.append(asyncio.create_task(self._end()))

    async def _end(self) -> None:
        await self.may_stop.wait()
        self.state = "inactive"

    async def active(self, unit: str) -> str:
        """By the server."""
        return self.state

    async def note(self, unit: str, priority: int, event: str, text: str) -> None:
        """By the server."""
        self.said.append(f"{event}: {text}")


@asynccontextmanager
async def life(
    unit: Unit, serve: Serve = echo, *, stop_after: float = IDLE, unload_after: float = 1000.0
) -> AsyncIterator[World]:
    accepted: list[Served] = []
    tasks: list[asyncio.Task[None]] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(Served(reader, writer))
        tasks.append(asyncio.ensure_future(serve(accepted[-1])))

    address = unit.place(accept)
    limits = Limits(idle_look_seconds=0.02, obeys_seconds=0.3)
    clock = Clock(asyncio.get_running_loop(), 0.02)
    behind = Behind(
        name="x", unit="ollama@x.service", port=address[1], stop_after=stop_after, unload_after=unload_after
    )
    server = Server(behind, Direct(address), unit, clock, limits)
    door = Door(server.pool, clock, Listener(), server.waker, server)
    listener = socket.create_server(("127.0.0.1", 0))
    await door.open(listener)
    try:
        yield World(port=listener.getsockname()[1], door=door, accepted=accepted)
    finally:
        server.leave_alone()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await unit.stop()


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


def alive(scenario: Callable[[Unit], Awaitable[None]]) -> None:
    async def with_unit() -> None:
        await scenario(Unit())

    run(with_unit())


def test_who_is_idle_is_stopped_and_started_again() -> None:
    async def scenario(unit: Unit) -> None:
        async with life(unit) as here:
            assert (await here.ask(CHAT)).endswith(SAID)
            await until(lambda: unit.state == "inactive")
            assert (await here.ask(CHAT)).endswith(SAID)
            assert (unit.starts, unit.stops) == (2, 1)
        assert unit.said[0].startswith("start: started for POST /api/chat, and answers after ")
        assert unit.said[1] == "stop: stopped: no request for 300ms"

    alive(scenario)


def test_an_answer_that_lasts_longer_is_not_cut_off() -> None:
    async def serve(served: Served) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while (await served.request())[0].startswith(b"POST"):
                await served.send(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n")
                for _ in range(50):
                    await asyncio.sleep(IDLE / 10)
                    await served.send(b"x")
            await served.answer()

    async def scenario(unit: Unit) -> None:
        async with life(unit, serve) as here:
            assert (await here.ask(CHAT)).endswith(b"x" * 50)
            assert unit.stops == 0
            await until(lambda: unit.stops == 1)

    alive(scenario)


def test_who_polls_keeps_nobody_awake_and_wakes_nobody_twice() -> None:
    async def scenario(unit: Unit) -> None:
        async with life(unit) as here:
            first = await here.ask(TAGS)
            assert first.endswith(b"GET /api/tags ")
            for _ in range(600):
                answer = await here.ask(TAGS)
                assert answer.endswith(b"GET /api/tags ")
                await asyncio.sleep(IDLE / 60)
            assert (unit.starts, unit.stops, unit.state) == (1, 1, "inactive")

    alive(scenario)


def test_what_was_recorded_holds_no_longer_once_models_change() -> None:
    async def scenario(unit: Unit) -> None:
        async with life(unit) as here:
            await here.ask(TAGS)
            await here.ask(PULL)
            await until(lambda: unit.state == "inactive")
            await here.ask(TAGS)
            assert unit.starts == 2

    alive(scenario)


def test_a_request_during_a_stop_waits_for_the_next_start() -> None:
    async def scenario(unit: Unit) -> None:
        unit.may_stop.clear()
        async with life(unit) as here:
            await here.ask(CHAT)
            await until(lambda: unit.stops == 1)
            asked = asyncio.create_task(here.ask(CHAT))
            await until(lambda: len(here.door.clients) == 1)
            await asyncio.sleep(0.1)
            assert unit.starts == 1
            unit.may_stop.set()
            assert (await asked).endswith(SAID)
            assert unit.starts == 2

    alive(scenario)


def test_a_stop_that_somebody_undoes_holds_up_nobody() -> None:
    async def scenario(unit: Unit) -> None:
        unit.may_stop.clear()
        async with life(unit) as here:
            await here.ask(CHAT)
            await until(lambda: unit.stops == 1)
            await unit.start("by somebody")
            assert (await here.ask(CHAT)).endswith(SAID)
            assert "stop: was not stopped: it runs on; somebody has started it meanwhile" in unit.said

    alive(scenario)


def test_models_leave_memory_before_the_server_does() -> None:
    asked: list[tuple[bytes, bytes]] = []

    async def serve(served: Served) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head, body = await served.request()
                asked.append((head.partition(b" HTTP")[0], body))
                if head.startswith(b"GET /api/ps"):
                    await served.answer(b'{"models": [{"name": "a:latest"}, {"name": "b:latest"}]}')
                else:
                    await served.answer(b"{}")
                if b"HTTP/1.0" in head or b"close" in head:
                    served.close()

    async def scenario(unit: Unit) -> None:
        async with life(unit, serve, stop_after=1000.0, unload_after=IDLE) as here:
            await here.ask(CHAT)
            await until(lambda: any(each.startswith("unload: ") for each in unit.said))
            unloaded = [json.loads(body) for what, body in asked if what == b"POST /api/generate"]
            assert unloaded == [{"model": f"{name}:latest", "keep_alive": 0} for name in "ab"]
            await asyncio.sleep(3 * IDLE)
            assert sum(what == b"GET /api/ps" for what, _ in asked) == 1, "once is enough"
            assert unit.stops == 0
            await here.ask(CHAT)
            await until(lambda: sum(each.startswith("unload: ") for each in unit.said) == 2)

    alive(scenario)


def test_a_load_goes_on_for_who_still_waits() -> None:
    loading: list[Served] = []
    ended: list[Served] = []
    go = asyncio.Event()

    async def serve(served: Served) -> None:
        head, _ = await served.request()
        if head.startswith(b"HEAD"):
            await served.answer()
            return
        loading.append(served)
        gone = asyncio.ensure_future(served.ends())
        await asyncio.wait((gone, asyncio.ensure_future(go.wait())), return_when=asyncio.FIRST_COMPLETED)
        if gone.done():
            ended.append(served)
        else:
            await served.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")

    async def scenario(unit: Unit) -> None:
        async with life(unit, serve, stop_after=1000.0) as here:
            first = await here.connect(CHAT)
            await until(lambda: len(loading) == 1)
            second = asyncio.create_task(here.ask(CHAT))
            await until(lambda: len(loading) == 2)
            first.close()
            await until(lambda: len(here.door.clients) == 1)
            await asyncio.sleep(0.1)
            assert not ended, "that would be the end of the load, for both"
            go.set()
            assert (await second).endswith(b"ok")
            go.clear()
            alone = await here.connect(CHAT)
            await until(lambda: len(loading) == 3)
            alone.close()
            await until(lambda: ended == loading[2:])

    alive(scenario)
