"""What becomes of a request: first of all, whose it is."""

import pytest

from ollamactl.gate.decide import FORWARD, WAKE, Listener, Refuse, decide
from ollamactl.gate.limits import Limits
from ollamactl.gate.message import read_request

OWN = frozenset(("box", "203.0.113.7"))
# As Go's net.SplitHostPort, netip and Ollama 0.34's allowedHost told each of them.
ALLOWED = [
    "",
    "localhost",
    "LOCALHOST:11434",
    "localhost:",
    ":11434",
    "127.0.0.1",
    "127.9.9.9:80",
    "[::1]:80",
    "::1",
    "[::]:80",
    "0.0.0.0",
    "10.1.2.3:1",
    "172.31.0.1",
    "192.168.0.1:80",
    "203.0.113.7:80",
    "[fd00::1]:1",
    "[::ffff:10.0.0.1]:1",
    "[::ffff:127.0.0.1]:1",
    "box:11434",
    "BOX",
    "a.localhost",
    "a.local:80",
    "host.docker.internal:11434",
    ".local",
    "[localhost]:80",
    "[127.0.0.1]:80",
    "localhost:x",
]
FOREIGN = [
    "[::1]",
    "172.32.0.1",
    "169.254.1.1",
    "203.0.113.8",
    "[fe80::1]:1",
    "[fe80::1%eth0]:1",
    "[::ffff:0.0.0.0]:1",
    "[::ffff:8.8.8.8]:1",
    "box.lan",
    "local",
    "xlocal",
    "a.local.evil.com",
    "evil.com:11434",
    "127.0.0.1.evil.com",
    "localhost.evil.com",
    "localhost:80:80",
    "127.1",
    "0177.0.0.1",
    "127.0.0.01",
    "2130706433",
    "0x7f.1",
    "a]:80",
    "localhost.",
    "127.0.0.1.",
]


def asked(host: str, *, loopback: bool = True, first: str = "GET / HTTP/1.1", awake: bool = True) -> object:
    head = read_request(f"{first}\r\nHost: {host}\r\n\r\n".encode(), Limits())
    return decide(head, Listener(loopback=loopback, own=OWN), awake=awake)


@pytest.mark.parametrize("host", ALLOWED)
def test_who_asks_for_this_machine_is_served(host: str) -> None:
    assert asked(host) is FORWARD


@pytest.mark.parametrize("host", FOREIGN)
def test_a_page_of_another_name_that_resolves_to_this_machine_is_not(host: str) -> None:
    decision = asked(host)

    assert isinstance(decision, Refuse)
    assert decision.status == 403


def test_a_listener_that_others_reach_serves_any_name_as_ollama_does() -> None:
    assert asked("evil.com", loopback=False) is FORWARD


def test_an_absolute_target_is_asked_too() -> None:
    assert isinstance(asked("localhost", first="GET http://evil.com/ HTTP/1.1"), Refuse)
    assert asked("evil.com", first="GET http://localhost/ HTTP/1.1") is FORWARD


def test_a_server_is_woken_for_those_alone_who_are_served() -> None:
    assert asked("localhost", awake=False) is WAKE
    assert isinstance(asked("evil.com", awake=False), Refuse)
    assert isinstance(asked("localhost", awake=False, first="TRACE / HTTP/1.1"), Refuse)
