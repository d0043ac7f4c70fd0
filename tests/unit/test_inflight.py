"""Who waits for an answer is told from who has got one and stays connected, among real sockets."""

import os
import socket
import time
from collections.abc import Iterator

import pytest

from ollamactl.host import inflight

pytestmark = pytest.mark.skipif(
    os.system("command -v ss >/dev/null") != 0 and os.environ.get("CI") != "true", reason="needs ss, of iproute2"
)
TICK = 0.02
"""More than a tick of the kernel's clock."""


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A client and its connection in the server, which is this process."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        taken, _ = server.accept()
        with taken:
            yield client, taken


def test_a_request_waits_until_it_is_answered(pair: tuple[socket.socket, socket.socket]) -> None:
    client, server = pair
    assert inflight.unanswered(os.getpid()) == 0, "it has asked for nothing yet"
    for _ in range(2):
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        server.recv(99)
        time.sleep(TICK)
        assert inflight.unanswered(os.getpid()) == 1
        server.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        client.recv(99)
        time.sleep(TICK)
        assert inflight.unanswered(os.getpid()) == 0, "it is answered, and the connection kept"


def test_without_a_listener_nobody_waits() -> None:
    assert inflight.unanswered(2**22 + 1) == 0


def test_without_ss_nobody_is_said_to_wait(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    pair[0].sendall(b"x")
    time.sleep(TICK)
    monkeypatch.setenv("PATH", "")
    assert inflight.unanswered(os.getpid()) == 0
