"""A listening socket of another process lets nobody in but the connection that we have."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest

from ollamactl.pulling import door

SERVER = """
import socket, sys
listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, int(sys.argv[2]))
listener.bind((sys.argv[1], 0))
listener.listen()
print(listener.getsockname()[1], flush=True)
if len(sys.argv) > 3:
    input()
kept = []
while True:
    plug, _ = listener.accept()
    kept.append(plug)
    plug.sendall(b"who is it?")
"""
SECONDS = 0.3


class There:
    """A server in a process of its own, which talks to whoever comes."""

    def __init__(self, protocol: int = socket.IPPROTO_TCP, *waits: str) -> None:
        self.address = door.random_address()
        command = [sys.executable, "-c", SERVER, self.address, str(protocol), *waits]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def answers(self, source: tuple[str, int] | None = None) -> bool:
        """Whether it talks to somebody from there."""
        with socket.socket() as plug:
            plug.settimeout(SECONDS)
            if source:
                plug.bind(source)
            try:
                plug.connect((self.address, self.port))
                return plug.recv(100) != b""
            except TimeoutError:
                return False

    def close(self) -> None:
        """Ends it."""
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def there() -> Iterator[There]:
    with closing(There()) as server:
        yield server


def test_it_lets_everybody_in_before(there: There) -> None:
    assert there.answers()


def test_only_our_own_connections_get_through(there: There) -> None:
    with closing(door.closed(there.process.pid, there.address, there.port)) as way:
        assert not there.answers()
        for _ in range(2):
            with way.connect(5) as plug:
                assert plug.recv(100) == b"who is it?"
                address, port = plug.getsockname()
                assert not any(map(there.answers, (None, (address, 0), ("127.0.0.1", port))))
            way.shut()
        assert (way.closed, there.answers(), there.answers((address, 0))) == (True, False, False)
    assert not there.answers(), "it stays closed when nobody holds it any more"


def test_who_was_quicker_is_turned_away_while_the_server_takes_nobody() -> None:
    with closing(There(socket.IPPROTO_TCP, "waits")) as server:
        early = [socket.create_connection((server.address, server.port)) for _ in range(3)]
        with closing(door.closed(server.process.pid, server.address, server.port)) as way:
            assert server.process.stdin is not None
            server.process.stdin.write("\n")
            server.process.stdin.flush()
            with way.connect(5) as plug:
                assert plug.recv(100) == b"who is it?"
        for each in early:
            with pytest.raises(ConnectionResetError):
                each.recv(100)
            each.close()


def test_who_the_server_has_taken_is_found(there: There) -> None:
    with socket.create_connection((there.address, there.port)) as plug:
        assert plug.recv(100)
        with pytest.raises(door.StrangersError):
            door.closed(there.process.pid, there.address, there.port)


def test_a_socket_that_a_filter_does_not_hold_is_refused() -> None:
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_MPTCP).close()
    except OSError:
        pytest.skip("this kernel has no MPTCP")
    with closing(There(socket.IPPROTO_MPTCP)) as server, pytest.raises(OSError, match="does not listen to TCP"):
        door.closed(server.process.pid, server.address, server.port)


def test_a_socket_of_another_process_is_refused(there: There) -> None:
    with closing(There()) as other, pytest.raises(OSError, match="another process listens there"):
        door.closed(other.process.pid, there.address, there.port)
