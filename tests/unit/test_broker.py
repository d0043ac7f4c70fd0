"""What takes root is done for the gate by the broker, for its servers alone."""

import asyncio
import os
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from ollamactl.errors import HostError
from ollamactl.gate import broker
from ollamactl.gate.brokered import Broker
from ollamactl.gate.config import Behind
from ollamactl.host import journalwriter
from ollamactl.host.dbuswire import object_path
from ollamactl.host.privatebus import Now
from tests.unit.network import NEEDS_NETWORKS, held, server_inside
from tests.unit.server import free_port

UNIT = "ollama@x.service"


class Bus:
    """The manager, as far as it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.pid = 0
        self.state = Now(active="active", main_pid=7, job=False)
        self.failure: HostError | None = None
        self.caller = "ollama-gate.service"

    def unit_of(self, pid: int) -> str:
        assert pid == os.getpid()
        return object_path(self.caller)

    def start(self, unit: str) -> None:
        if self.failure:
            raise self.failure
        self.asked.append(("start", unit))

    def stop(self, unit: str) -> None:
        self.asked.append(("stop", unit))

    def now(self, unit: str) -> Now:
        return self.state

    def main_pid(self, unit: str) -> int:
        self.asked.append(("main_pid", unit))
        return self.pid


class Served:
    """A broker that serves, and its gate."""

    def __init__(self, place: str) -> None:
        self.bus, self.port, self.place = Bus(), free_port(), place
        servers = {UNIT: Behind(name="x", unit=UNIT, port=self.port)}
        self._broker = broker.Broker(lambda: servers, self.bus, home=os.getpid())  # type: ignore[arg-type]
        self._peers: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(place)
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            self._peers.append(peer)
            threading.Thread(target=self._broker.serve, args=(peer,), daemon=True).start()

    def cut(self) -> None:
        """As if it were killed, and started again by systemd."""
        for peer in self._peers:
            with suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)
        self._peers.clear()

    def close(self) -> None:
        self.cut()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    one = Served(str(tmp_path / "socket"))
    yield one
    one.close()


def run(place: str, scenario: Callable[[Broker], Awaitable[None]]) -> None:
    async def whole() -> None:
        gate = Broker(place)
        async with asyncio.timeout(20):
            await scenario(gate)
        gate.close()

    asyncio.run(whole())


def test_units_are_started_and_stopped_and_told_of(served: Served) -> None:
    async def scenario(gate: Broker) -> None:
        await gate.start(UNIT)
        await gate.stop(UNIT)
        assert served.bus.asked == [("start", UNIT), ("stop", UNIT)]
        assert await gate.active(UNIT) == "active"
        for now, words in (
            (Now("active", 7, False), ""),
            (Now("inactive", 0, True), ""),
            (Now("inactive", 0, False), f"{UNIT} was not started; see systemctl status {UNIT}"),
            (Now("failed", 0, False), f"{UNIT} has failed; see journalctl -u {UNIT}"),
        ):
            served.bus.state = now
            assert await gate.hopeless(UNIT) == words

    run(served.place, scenario)


@pytest.mark.parametrize("unit", ["ollama@y.service", "ssh.service", "", "x", f"{UNIT}\n"])
def test_no_unit_is_spoken_of_but_those_of_the_configuration(served: Served, unit: str) -> None:
    async def scenario(gate: Broker) -> None:
        for ask in (gate.start, gate.stop, gate.hopeless):
            with pytest.raises(HostError, match="none of the gate's servers"):
                await ask(unit)
        with pytest.raises(PermissionError):
            await gate.way(unit, ("127.0.0.1", served.port)).dial()
        assert not served.bus.asked

    run(served.place, scenario)


def test_nobody_but_the_gate_gets_an_answer(served: Served, capfd: pytest.CaptureFixture[str]) -> None:
    async def scenario(gate: Broker) -> None:
        served.bus.caller = "user@1000.service"
        with pytest.raises(HostError, match="cannot be reached"):
            await gate.start(UNIT)
        assert not served.bus.asked
        assert f"process {os.getpid()} is none of ollama-gate.service" in capfd.readouterr().err

    run(served.place, scenario)


@pytest.mark.parametrize(
    "packet", [b"\xff\xfe", b"start", b"reboot " + UNIT.encode(), b" " * 3, b"x" * 5000, b"note " + UNIT.encode()]
)
def test_what_is_no_request_is_refused_and_the_next_one_answered(served: Served, packet: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as gate:
        gate.connect(served.place)
        gate.send(packet)
        assert gate.recv(2048).startswith(b"no ")
        gate.send(b"stop " + UNIT.encode())
        assert gate.recv(2048) == b"ok"


def test_a_broker_that_is_killed_is_asked_once_more(served: Served) -> None:
    async def scenario(gate: Broker) -> None:
        await gate.start(UNIT)
        served.cut()
        await gate.start(UNIT)
        assert served.bus.asked == [("start", UNIT)] * 2
        served.close()
        with pytest.raises(HostError, match=r"ollamactl-broker.service cannot be reached"):
            await gate.start(UNIT)

    run(served.place, scenario)


def test_what_the_manager_refuses_is_told_in_its_words(served: Served) -> None:
    async def scenario(gate: Broker) -> None:
        served.bus.failure = HostError("systemd: StartUnit: no such unit")
        with pytest.raises(HostError, match=r"^systemd: StartUnit: no such unit$"):
            await gate.start(UNIT)

    run(served.place, scenario)


def test_what_happens_to_a_server_is_noted_among_its_own_lines(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    noted = []
    monkeypatch.setattr(journalwriter, "write", lambda message, **rest: noted.append((message, rest)))

    async def scenario(gate: Broker) -> None:
        await gate.note(UNIT, 5, "sleeps", "no request for 10m\nUNIT=forged.service")
        fields = {"INSTANCE": "x", "UNIT": UNIT, "EVENT": "sleeps", "OBJECT_SYSTEMD_UNIT": UNIT}
        words = "x: no request for 10m UNIT=forged.service"
        assert noted == [(words, {"priority": 5, "fields": fields})]
        for priority, event in ((0, "x"), (5, "a=b")):
            with pytest.raises(HostError):
                await gate.note(UNIT, priority, event, "y")

    run(served.place, scenario)


@NEEDS_NETWORKS
def test_connections_lead_into_a_servers_own_network_wherever_it_is_started_again(served: Served) -> None:
    async def asked(gate: Broker) -> bytes:
        sock = await gate.way(UNIT, ("127.0.0.1", served.port)).dial()
        reader, writer = await asyncio.open_connection(sock=sock)
        writer.write(b"GET /api/version HTTP/1.1\r\n\r\n")
        answer = await reader.read()
        writer.close()
        return answer

    async def scenario(gate: Broker) -> None:
        with server_inside(served.port) as first, server_inside(served.port) as second:
            served.bus.pid = first.pid
            answers = await asyncio.gather(*(asked(gate) for _ in range(100)))
            assert all(b"version" in answer for answer in answers)
            found = len(served.bus.asked)
            await asked(gate)
            assert len(served.bus.asked) == found, "the network of one that is awake is known"
            first.kill()
            first.wait()
            served.bus.pid = second.pid
            assert b"version" in await asked(gate)

    run(served.place, scenario)


@NEEDS_NETWORKS
def test_one_without_a_network_of_its_own_is_not_dialed(served: Served) -> None:
    """Where systemd is, the port is the gate's own."""

    async def scenario(gate: Broker) -> None:
        way = gate.way(UNIT, ("127.0.0.1", served.port))
        with socket.create_server(("127.0.0.1", served.port)):
            for pid, words in ((os.getpid(), "no network of its own, or not yet"), (0, "does not run")):
                served.bus.pid = pid
                with pytest.raises(ConnectionRefusedError, match=words):
                    await way.dial()

    run(served.place, scenario)


@NEEDS_NETWORKS
def test_a_network_that_is_forgotten_is_let_go(served: Served) -> None:
    async def scenario(gate: Broker) -> None:
        way = gate.way(UNIT, ("127.0.0.1", served.port))
        before = held()
        with server_inside(served.port) as server:
            served.bus.pid = server.pid
            (await way.dial()).close()
            assert held() == before + 1
            way.forget()
            await gate.way(UNIT, way.address)._dials.ask(f"forget {UNIT}")
            assert held() == before

    run(served.place, scenario)


def test_a_client_that_goes_while_it_waits_leaves_nothing_open(served: Served) -> None:
    async def scenario(gate: Broker) -> None:
        tasks = [asyncio.create_task(gate.start(UNIT)) for _ in range(200)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert sum(isinstance(each, asyncio.CancelledError) for each in done) == 100
        assert [each for each in done if each and not isinstance(each, asyncio.CancelledError)] == []

    run(served.place, scenario)
