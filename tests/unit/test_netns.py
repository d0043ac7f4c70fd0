"""A thread enters another process's network and comes back; a socket stays where it was made."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from ollamactl.healing import pulse
from ollamactl.healing.signs import Life
from ollamactl.host import inflight, listeners, netns
from ollamactl.model import Instance
from ollamactl.observed import Active, UnitState
from ollamactl.proving import probe
from ollamactl.proving.interview import Interviewer
from ollamactl.proving.proof import Answers, CheckKind, Expected
from ollamactl.proving.verify import Subject, prove
from tests.unit.network import NEEDS_NETWORKS, server_inside
from tests.unit.server import free_port, instance, saying, talking

pytestmark = NEEDS_NETWORKS


@pytest.fixture(scope="module")
def port() -> int:
    """On which another server listens within the namespace."""
    return free_port()


@pytest.fixture(scope="module")
def inner(port: int) -> Iterator[int]:
    """The process of a server that has a loopback of its own."""
    with server_inside(port) as process:
        yield process.pid


def network(of: str) -> int:
    return Path(f"/proc/{of}/ns/net").stat().st_ino


def test_a_server_is_asked_within_its_namespace_and_nowhere_else(inner: int, port: int) -> None:
    with probe.Server("127.0.0.1", port, timeout=5, inside=inner) as server:
        assert server.version() == "in"
    with probe.Server("127.0.0.1", port, timeout=5) as server, pytest.raises(probe.Unreachable):
        server.version()


def test_who_listens_there_is_read_of_the_process(inner: int, port: int) -> None:
    assert listeners.ports(inner) == {port}
    assert not netns.shared(inner)
    assert netns.shared(os.getpid())


def test_the_thread_is_back_whatever_happens_and_no_other_has_moved(inner: int) -> None:
    before, seen = network("thread-self"), []

    def work() -> None:
        with suppress(ZeroDivisionError), netns.entered(inner):
            seen.append((network("thread-self"), network("self")))
            _ = 1 / 0
        seen.append((network("thread-self"), network("self")))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert network(str(inner)) != before
    assert seen == [(network(str(inner)), before), (before, before)]


def test_a_socket_stays_where_it_was_made(inner: int, port: int) -> None:
    there = netns.Namespace(inner)
    try:
        with there.socket(socket.AF_INET) as sock:
            sock.connect(("127.0.0.1", port))
    finally:
        there.close()


def test_nothing_moves_for_no_process_or_one_of_our_own_network() -> None:
    before = network("thread-self")
    for pid in (None, os.getpid()):
        with netns.entered(pid):
            assert network("thread-self") == before


def test_a_process_that_has_ended_is_told() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    for look in (netns.Namespace, netns.shared):
        with pytest.raises(netns.Gone, match=f"process {gone.pid} has ended"):
            look(gone.pid)
    with probe.Server("127.0.0.1", 1, timeout=1, inside=gone.pid) as server, pytest.raises(probe.Unreachable):
        server.version()


@pytest.fixture
def _gated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every instance is one behind the gate."""
    monkeypatch.setattr(Instance, "gated", property(lambda _: True))


@pytest.mark.usefixtures("_gated")
def test_a_server_behind_the_gate_is_interviewed_within_and_not_where_its_clients_are(inner: int, port: int) -> None:
    interviewer = Interviewer()
    away = instance(port, host="0.0.0.0")
    found = interviewer.ask(away, pid=lambda: inner).result(5)
    assert (found.failure, found.version) == ("GET /api/tags answers 404 Not Found", None)
    assert interviewer.ask(away).result(5).failure == "no process of its unit runs"
    interviewer.close()


@pytest.mark.usefixtures("_gated")
def test_who_holds_the_port_of_one_behind_the_gate_is_looked_for_within(inner: int, port: int) -> None:
    unit = UnitState(name="ollama@x.service", active=Active.ACTIVE, sub_state="running", main_pid=inner)
    subject = Subject(instance=instance(port), unit=unit, answers=Answers(version="1"), expected=Expected())
    with talking(saying(), port=port):
        (proof,) = prove([subject], user=False)
    found = [check.found for check in proof.checks if check.kind is CheckKind.LISTENER]
    assert found == [f"pid {inner} of {unit.name}"]


@pytest.mark.usefixtures("_gated")
def test_heal_asks_one_behind_the_gate_within(inner: int, port: int) -> None:
    unit = UnitState(name="ollama@x.service", active=Active.ACTIVE, sub_state="running", main_pid=inner)
    assert pulse.signs(instance(port), unit).life is Life.ANSWERS
    other = pulse.signs(instance(free_port()), unit)
    assert (other.life, other.words[:17]) == (Life.SILENT, "it does not liste")


def test_questions_that_wait_are_counted_within(inner: int) -> None:
    assert inflight.unanswered(inner) == 0


CODE = """
import os, sys
sys.path.insert(0, sys.argv[1])
from ollamactl.errors import NotPermitted
from ollamactl.host import netns
os.setuid(65534)
pid = int(sys.argv[2])
print(netns.shared(pid))
try:
    with netns.entered(pid):
        print("entered")
except NotPermitted as error:
    print(error)
"""


def test_another_user_is_told_that_only_root_may_and_knows_it_for_another_network(inner: int) -> None:
    checkout = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", CODE, str(checkout), str(inner)], capture_output=True, text=True)
    said = "a server's network of its own is open to nobody but root"
    assert done.stdout.splitlines() == ["False", said], done.stderr
