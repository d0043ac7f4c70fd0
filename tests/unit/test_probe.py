"""What a stranger on a port can answer, and that none of it is mistaken for Ollama, or stops the one who asks."""

import json
import socket
import time
from collections.abc import Callable

import pytest

from ollamactl.proving import probe
from tests.unit.server import Ollama, Talk, free_port, hang, http, ollama, saying, talking


def version(port: int, *, host: str = "127.0.0.1", timeout: float = 2.0) -> str:
    with probe.Server(host, port, timeout=timeout) as server:
        return server.version()


def test_a_server_says_who_it_is_and_what_it_has() -> None:
    with (
        ollama(Ollama(models={"m:latest": "a" * 64, "n:1b": "b" * 64}, loaded={"m:latest": (1000, 600)})) as port,
        probe.Server("127.0.0.1", port, timeout=2) as server,
    ):
        assert server.version() == "0.34.0"
        assert server.tags() == (
            probe.Listed(name="m:latest", digest="a" * 64, size=1000),
            probe.Listed(name="n:1b", digest="b" * 64, size=1000),
        )
        assert server.loaded() == (probe.Loaded(name="m:latest", size=1000, size_vram=600),)


@pytest.mark.parametrize(("bound", "asked"), [("::1", "::1"), ("::", "::"), ("0.0.0.0", "0.0.0.0")])
def test_every_address_that_a_spec_may_name_is_reached(bound: str, asked: str) -> None:
    with talking(http(b'{"version": "1"}'), host=bound) as port:
        assert version(port, host=asked) == "1"


def test_nobody_listens() -> None:
    with pytest.raises(probe.Unreachable, match=r"^connection refused$"):
        version(free_port())


def test_somebody_accepts_and_never_answers() -> None:
    with talking(hang) as port, pytest.raises(probe.Silent, match=r"^no HTTP answer within 100ms$"):
        version(port, timeout=0.1)


def test_nobody_takes_the_connection() -> None:
    """A queue of connections that is full: the kernel drops whoever comes then."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        place = server.getsockname()
        with socket.create_connection(place), pytest.raises(probe.Unreachable, match=r"^no connection within 100ms$"):
            version(place[1], timeout=0.1)


@pytest.mark.parametrize(
    ("ask", "path", "question"),
    [
        (probe.Server.token, "/completion", {"prompt": "x", "n_predict": 1}),
        (probe.Server.embedding, "/embedding", {"content": "x"}),
    ],
)
def test_a_runner_is_asked_for_as_little_as_there_is(
    ask: Callable[[probe.Server], None], path: str, question: dict[str, object]
) -> None:
    asked: list[bytes] = []

    def runner(connection: socket.socket) -> None:
        while b"}" not in b"".join(asked):
            asked.append(connection.recv(65536))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    with talking(runner) as port, probe.Server("127.0.0.1", port, timeout=2) as server:
        ask(server)
    head, _, body = b"".join(asked).partition(b"\r\n\r\n")
    assert head.startswith(f"POST {path} HTTP/1.1\r\n".encode())
    assert json.loads(body) == question


def test_a_status_that_is_no_success_is_told() -> None:
    answer = http(b"{}", status="503 Service Unavailable")
    with talking(answer) as port, pytest.raises(probe.Strange) as caught:
        version(port)
    assert (caught.value.status, str(caught.value)) == (503, "GET /api/version answers 503 Service Unavailable")


def drip(connection: socket.socket) -> None:
    """A byte now and then, of a head that never ends."""
    connection.recv(65536)
    for byte in b"HTTP/1.1 200 " + b"x" * 1000:
        connection.sendall(bytes([byte]))
        time.sleep(0.02)


def carry_on(connection: socket.socket) -> None:
    """RFC 9110, 15.2: a client waits for the final answer, however many interim ones come."""
    connection.recv(65536)
    while True:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")


def endless(connection: socket.socket) -> None:
    """Answers at once, and goes on and on, as a stream of events does."""
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
    while True:
        connection.sendall(b"data: ping\n\n")
        time.sleep(0.02)


@pytest.mark.parametrize("talk", [drip, carry_on, endless])
def test_an_answer_without_end_is_cut_off_in_time(talk: Talk) -> None:
    started = time.monotonic()
    with talking(talk) as port, pytest.raises(probe.Silent, match=r"^no HTTP answer within 200ms$"):
        version(port, timeout=0.2)
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("talk", [drip, carry_on, endless])
def test_a_load_without_end_is_cut_off_in_time(talk: Talk) -> None:
    started = time.monotonic()
    with talking(talk) as port, pytest.raises(probe.Silent, match=r"^m was not loaded within 1s$"):
        probe.load("127.0.0.1", port, "m", timeout=0.3)
    assert time.monotonic() - started < 3


def test_the_time_is_for_each_answer_anew() -> None:
    with ollama(Ollama()) as port, probe.Server("127.0.0.1", port, timeout=0.3) as server:
        assert server.version()
        time.sleep(0.4)
        assert server.tags()


DEEP = b"[" * 200_000


@pytest.mark.parametrize(
    ("talk", "words"),
    [
        pytest.param(saying(), "the connection is closed without an answer", id="closes"),
        pytest.param(saying(b"SSH-2.0-OpenSSH_9.2\r\n"), "an answer that is no HTTP: SSH-2.0-OpenSSH_9.2", id="ssh"),
        pytest.param(saying(b"\x1b[2Jgone\x07\r\n"), "an answer that is no HTTP: [2Jgone", id="terminal"),
        pytest.param(saying(b"x" * 70_000), "an answer that is no HTTP: got more than 65536 bytes", id="long line"),
        pytest.param(http(b"<html>hello</html>"), "GET /api/version does not answer JSON", id="html"),
        pytest.param(http(b'{"version": "0.3', length=100), "GET /api/version does not answer JSON", id="half"),
        pytest.param(http(b"\xff\xfe\x00"), "GET /api/version does not answer JSON", id="bytes"),
        pytest.param(http(DEEP), "GET /api/version does not answer JSON", id="deep"),
        pytest.param(http(b"x" * (17 << 20)), "GET /api/version does not answer JSON", id="huge"),
        pytest.param(http(b"[]"), "GET /api/version does not answer as Ollama does", id="a list"),
        pytest.param(http(b'{"version": 1}'), "GET /api/version does not answer as Ollama does", id="a number"),
        pytest.param(http(b"", "403 Forbidden"), "GET /api/version answers 403 Forbidden", id="403"),
        pytest.param(http(b"", "418 \x1b[31mTeapot"), "GET /api/version answers 418 [31mTeapot", id="reason"),
    ],
)
def test_somebody_else_answers(talk: Talk, words: str) -> None:
    with talking(talk) as port, pytest.raises(probe.Strange) as caught:
        version(port)
    assert str(caught.value).startswith(words)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "body",
    [
        b'{"models": 1}',
        b'{"models": [1]}',
        b'{"models": [{}]}',
        b'{"models": [{"name": "m", "size": "big"}]}',
        b'{"models": [{"name": "m", "size": null, "size_vram": null}]}',
        b'["m"]',
    ],
)
def test_a_list_of_models_that_is_none(body: bytes) -> None:
    with talking(http(body)) as port:
        for ask in (probe.Server.tags, probe.Server.loaded):
            with (
                probe.Server("127.0.0.1", port, timeout=2) as server,
                pytest.raises(probe.Strange, match=r"^the list of models is not of Ollama's kind$"),
            ):
                ask(server)


def test_a_server_without_models_lists_none() -> None:
    with talking(http(b'{"models": null}')) as port, probe.Server("127.0.0.1", port, timeout=2) as server:
        assert server.tags() == ()


def test_a_load_waits_for_its_end() -> None:
    behaviour = Ollama()
    behaviour.load_gate.set()
    with ollama(behaviour) as port:
        probe.load("127.0.0.1", port, "m:latest")
    assert behaviour.asked == ["/api/generate m:latest"]
    assert "m:latest" in behaviour.loaded


def test_a_model_that_only_embeds_is_loaded_by_an_embedding() -> None:
    behaviour = Ollama(embeds=frozenset({"m:latest"}))
    behaviour.load_gate.set()
    with ollama(behaviour) as port:
        probe.load("127.0.0.1", port, "m:latest")
    assert behaviour.asked == ["/api/generate m:latest", "/api/embed m:latest"]
    assert "m:latest" in behaviour.loaded


def test_a_load_that_fails_is_told_in_the_servers_words() -> None:
    behaviour = Ollama(load_error="llama runner process has terminated: out of memory\x1b[0m")
    behaviour.load_gate.set()
    words = r"^loading m:latest failed: llama runner process has terminated: out of memory \[0m$"
    with ollama(behaviour) as port, pytest.raises(probe.Strange, match=words):
        probe.load("127.0.0.1", port, "m:latest")


def test_a_load_that_takes_too_long_is_left() -> None:
    with ollama(Ollama()) as port, pytest.raises(probe.Silent, match=r"^m:latest was not loaded within 1s$"):
        probe.load("127.0.0.1", port, "m:latest", timeout=0.2)


@pytest.mark.parametrize(
    ("talk", "words"),
    [
        pytest.param(saying(), "the server closed the connection while loading m", id="closes"),
        pytest.param(http(b"bad gateway", "502 x"), "loading m failed: bad gateway", id="text"),
        pytest.param(http(b"", "500 x"), "loading m failed: 500", id="nothing"),
        pytest.param(http(DEEP, "500 x"), "loading m failed: [[[", id="deep"),
    ],
)
def test_a_load_by_somebody_else(talk: Talk, words: str) -> None:
    with talking(talk) as port, pytest.raises(probe.Strange) as caught:
        probe.load("127.0.0.1", port, "m")
    assert str(caught.value).startswith(words)


def test_a_load_with_nobody_there() -> None:
    with pytest.raises(probe.Unreachable):
        probe.load("127.0.0.1", free_port(), "m")
