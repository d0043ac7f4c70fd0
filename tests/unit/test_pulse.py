"""What one look at a server and its runners sees."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from ollamactl.healing import pulse
from ollamactl.healing.signs import Life, RunnerSigns, Signs
from ollamactl.host import runners
from ollamactl.host.vitals import Vitals
from ollamactl.observed import Active, UnitState
from ollamactl.proving import probe
from tests.unit.server import Ollama, Talk, free_port, hang, http, instance, ollama, saying, take_request, talking
from tests.unit.test_runners import child, slots

RUNNING = UnitState(
    name="ollama@x.service", load_state="loaded", active=Active.ACTIVE, sub_state="running", main_pid=os.getpid()
)
"""The servers of these tests are this very process, and their runners its children."""


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "_HTTP_SECONDS", 0.3)
    monkeypatch.setattr(pulse, "_TOKEN_SECONDS", 0.3)


def seen(port: int) -> Signs:
    return pulse.signs(instance(port), RUNNING)


def test_a_server_that_answers_and_what_it_has_in_memory() -> None:
    with ollama(Ollama(models={"m:latest": "a" * 64}, loaded={"m:latest": (1000, 600)})) as port:
        found = seen(port)
    assert (found.life, found.words, found.runners) == (Life.ANSWERS, "", ())
    assert {name: (size.size, size.size_vram) for name, size in found.loaded.items()} == {"m:latest": (1000, 600)}
    assert found.identity.startswith(f"{os.getpid()}@")


@pytest.mark.parametrize("talk", [http(b"[]"), http(b"{}", status="500 Oh"), saying(b"SSH-2.0\r\n")])
def test_whatever_it_says_it_says_it(talk: Talk) -> None:
    with talking(talk) as port:
        assert seen(port).life is Life.ANSWERS


def test_one_that_accepts_and_says_nothing_hangs() -> None:
    with talking(hang) as port:
        found = seen(port)
    assert (found.life, found.words) == (Life.SILENT, "no HTTP answer within 300ms")


def test_one_that_does_not_listen_hangs() -> None:
    found = seen(port := free_port())
    assert (found.life, found.words) == (Life.SILENT, f"it does not listen on 127.0.0.1:{port}")


def test_one_whose_queue_is_full_hangs() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        place = server.getsockname()
        with socket.create_connection(place):
            found = seen(place[1])
    assert (found.life, found.words) == (Life.SILENT, "it takes no connections: no connection within 300ms")


def test_one_that_listens_and_is_not_reached_is_not_at_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a packet filter drops what comes."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setattr(probe, "dial_address", lambda _: "240.0.0.1")
        found = seen(port)
    assert (found.life, found.loaded) == (Life.UNREACHABLE, {})


@pytest.mark.parametrize("active", [Active.ACTIVATING, Active.DEACTIVATING, Active.FAILED, Active.INACTIVE])
def test_nobody_asks_what_does_not_run(active: Active) -> None:
    assert pulse.signs(instance(1), replace(RUNNING, active=active)).life is None


def test_nor_a_process_that_has_ended() -> None:
    assert pulse.signs(instance(1), replace(RUNNING, main_pid=0)).life is None


Runner = Callable[[bytes], Talk | bytes]
"""What a runner does with a request, by its first line."""


@contextmanager
def runner(does: Runner, *words: str) -> Iterator[RunnerSigns]:
    """The signs of the one runner of a server."""

    def talk(connection: socket.socket) -> None:
        # Each question comes on a connection of its own
        what = does(take_request(connection))
        if isinstance(what, bytes):
            connection.sendall(what)
        else:
            what(connection)

    with ollama(Ollama()) as server, talking(talk) as port, child("llama-server", "--port", str(port), *words):
        (found,) = seen(server).runners
        yield found


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
LOADING = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\n{}"
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}"
FAILED = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\n\r\n{}"


def wait(connection: socket.socket) -> None:
    """Until the other side has enough."""
    connection.settimeout(5)
    connection.recv(1)


@pytest.mark.parametrize(
    ("slot", "token", "life", "words"),
    [
        (slots(False), OK, Life.ANSWERS, ""),
        (slots(False, False), FAILED, Life.ANSWERS, ""),
        (slots(False, True), wait, Life.BUSY, "it is answering 1 request"),
        (slots(True, True), wait, Life.BUSY, "it is answering 2 requests"),
        (LOADING, wait, Life.LOADING, "it is loading a model"),
        (slots(False), LOADING, Life.LOADING, "it is loading a model"),
        (NOT_FOUND, wait, Life.ANSWERS, ""),
        (wait, wait, Life.SILENT, "its runner (pid {}) does not answer"),
        (slots(False), wait, Life.SILENT, "its runner (pid {}) does not generate a token: no HTTP answer within 300ms"),
    ],
)
def test_what_a_runner_is_at(slot: Talk | bytes, token: Talk | bytes, life: Life, words: str) -> None:
    with runner(lambda line: slot if line.startswith(b"GET /slots") else token) as found:
        assert (found.life, found.words) == (life, words.format(found.pid))


def test_one_of_an_embedding_model_is_asked_to_embed() -> None:
    asked: list[bytes] = []

    def does(line: bytes) -> bytes:
        asked.append(line)
        return slots(False) if line.startswith(b"GET /slots") else OK

    with runner(does, "--embedding") as found:
        assert found.life is Life.ANSWERS
    assert asked == [b"GET /slots HTTP/1.1", b"POST /embedding HTTP/1.1"]


def test_a_request_that_came_first_is_no_fault() -> None:
    looks = iter([slots(False), slots(True)])
    with runner(lambda line: next(looks) if line.startswith(b"GET /slots") else wait) as found:
        assert (found.life, found.words) == (Life.BUSY, "it is answering 1 request")


def test_one_that_does_not_listen_yet_is_loading() -> None:
    with ollama(Ollama()) as server, child("llama-server", "--port", str(free_port())):
        (found,) = seen(server).runners
    assert found.life is Life.LOADING


def test_one_that_hangs_until_its_queue_is_full_is_not_loading() -> None:
    """Each question of every look before lies there."""
    with ollama(Ollama()) as server, socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        place = listener.getsockname()
        with child("llama-server", "--port", str(place[1])) as pid, socket.create_connection(place):
            (found,) = seen(server).runners
            at_work = runners.at_work(os.getpid())
    assert (found.life, found.words) == (
        Life.SILENT, f"its runner (pid {pid}) takes no connections: no connection within 300ms",
    )  # fmt: skip
    assert at_work == f"its runner (pid {pid}) does not answer"


BEFORE = Vitals(pid=7, started=1.0, age=50.0, cpu=20.0, faults=100, state="")


@pytest.mark.parametrize(
    ("after", "computes"),
    [
        (replace(BEFORE, age=55.0, cpu=20.01, faults=101), False),
        (replace(BEFORE, age=55.0, cpu=20.05), True),
        (replace(BEFORE, age=55.0, faults=140), True),
    ],
    ids=["taken in", "a hundredth of a processor", "waits for the disk"],
)
def test_little_is_enough_to_pass_for_one_that_computes(after: Vitals, computes: bool) -> None:
    """Others may crowd it, and it is somebody's answer that a restart would cut off."""
    assert pulse._computes(BEFORE, after) is computes


def test_a_silent_one_that_computes_may_be_in_a_long_prompt() -> None:
    with ollama(Ollama()) as server, talking(hang) as port:
        code = "while True: pass"
        words = ["llama-server", "-c", code, "--port", str(port)]
        with subprocess.Popen(words, executable=sys.executable) as process:
            try:
                (found,) = seen(server).runners
            finally:
                process.kill()
    assert (found.life, found.words) == (
        Life.COMPUTES, f"its runner (pid {process.pid}) does not answer, and computes",
    )  # fmt: skip


def test_a_stopped_one_is_told_as_such() -> None:
    with ollama(Ollama()) as server, talking(hang) as port, child("llama-server", "--port", str(port)) as pid:
        os.kill(pid, signal.SIGSTOP)
        os.waitpid(pid, os.WUNTRACED)
        (found,) = seen(server).runners
        os.kill(pid, signal.SIGCONT)
    assert found.words == f"its runner (pid {pid}) does not answer, and is stopped by a signal"
    assert json.dumps(found.life) == '"silent"'


def test_many_are_looked_at_side_by_side_and_told_in_order() -> None:
    with talking(hang) as silent, talking(http(b'{"version": "1"}')) as well:
        ports = [silent] * 20 + [well] + [silent] * 20
        found = pulse.look((instance(port), RUNNING) for port in ports)
    assert [each.instance.port for each in found] == ports
    assert [each.life is Life.ANSWERS for each in found].index(True) == 20


def test_who_looks_gets_what_went_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> Signs:
        raise ZeroDivisionError

    monkeypatch.setattr(pulse, "signs", broken)
    with pytest.raises(ZeroDivisionError):
        pulse.look([(instance(1), RUNNING)])
