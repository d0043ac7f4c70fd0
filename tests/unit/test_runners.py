"""Runners are found below their server, and say themselves whether they are at work."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ollamactl.host import runners
from tests.unit.server import free_port, saying, talking

CHILD = "import sys; print(flush=True); sys.stdin.read()"


@contextmanager
def child(*words: str) -> Iterator[int]:
    """A child process of this one, with the words of a runner in its command line."""
    with subprocess.Popen(
        [words[0], "-c", CHILD, *words[1:]],
        executable=sys.executable,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout
        process.stdout.readline()
        yield process.pid
        assert process.stdin
        process.stdin.close()


def slots(*busy: bool) -> bytes:
    body = json.dumps([{"id": number, "is_processing": each} for number, each in enumerate(busy)]).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def test_a_runner_is_a_child_with_a_port() -> None:
    with child("/usr/lib/ollama/llama-server", "--model", "x", "--port", "4711") as pid:
        assert runners.of(os.getpid()) == (runners.Runner(pid=pid, port=4711),)


@pytest.mark.parametrize(
    "words",
    [
        ("/usr/bin/other", "--port", "4711"),
        ("llama-server", "--port"),
        ("llama-server", "--port", "x"),
        ("llama-server",),
    ],
)
def test_another_child_is_none(words: tuple[str, ...]) -> None:
    with child(*words):
        assert runners.of(os.getpid()) == ()


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (slots(False), ""),
        (slots(False, False), ""),
        (slots(True), "it is answering 1 request"),
        (slots(True, False, True), "it is answering 2 requests"),
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\n{}", "it is loading a model"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}", "does not tell whether it is at work"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "does not tell whether it is at work"),
    ],
)
def test_what_a_runner_says_in_words(answer: bytes, says: str) -> None:
    with talking(saying(answer)) as port, child("llama-server", "--port", str(port)):
        found = runners.at_work(os.getpid())
    assert found == says or (says and found.endswith(says))


def test_a_runner_that_does_not_listen_yet_is_loading() -> None:
    with child("llama-server", "--port", str(free_port())):
        assert runners.at_work(os.getpid()) == "it is loading a model"


def test_without_a_runner_a_server_is_idle() -> None:
    assert runners.at_work(os.getpid()) == ""
