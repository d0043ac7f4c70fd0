"""The network: a closed server reaches loopback and `allow`, nothing else, and is reached by nobody else."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lab.container import Container
from tests.system.fleethost import FleetHost
from tests.system.inside import ask, attempt, attempts, fleet_of

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("network")]

NEAR, FAR = "10.99.1.2:80", "10.99.2.2:80"
"""Web servers of two other machines: network namespaces `near` and `far`, each on a cable of its own."""
NEAR_6 = "[fd00:99:1::2]:80"
RESOLVER = "127.0.0.53:53"
RESOLV_CONF = "/run/systemd/resolve/stub-resolv.conf"
"""Where /etc/resolv.conf leads with systemd-resolved."""
OTHER_SERVICE = "127.0.0.1:8080"
BLOCKED = "ETIMEDOUT"


LISTENER = """
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
server = socket.create_server((sys.argv[1], int(sys.argv[2])), family=family, backlog=9)
while True:
    server.accept()[0].close()
"""


def listen(machine: Container, address: str, port: int, netns: str = "") -> None:
    """Accept connections at an address, and return when it is so."""
    prefix = ["ip", "netns", "exec", netns] if netns else []
    machine.popen([*prefix, "python3", "-c", LISTENER, address, str(port)])
    machine.run(f"until {' '.join(prefix)} ss -Hltn | grep -qF '{address}'; do sleep 0.02; done")


def prepare(machine: Container) -> None:
    """Two other machines, and on this one something at the resolver's address and another local service."""
    for number, name in enumerate(("near", "far"), start=1):
        machine.run(
            f"""set -e
            ip netns add {name}
            ip link add to-{name} type veth peer name eth0 netns {name}
            ip address add 10.99.{number}.1/24 dev to-{name}
            ip address add fd00:99:{number}::1/64 dev to-{name} nodad
            ip link set to-{name} up
            ip -netns {name} address add 10.99.{number}.2/24 dev eth0
            ip -netns {name} address add fd00:99:{number}::2/64 dev eth0 nodad
            ip -netns {name} link set eth0 up
            ip -netns {name} route add default via 10.99.{number}.1
            """
        )
        listen(machine, f"10.99.{number}.2", 80, name)
        listen(machine, f"fd00:99:{number}::2", 80, name)
    machine.write(RESOLV_CONF, "nameserver 127.0.0.53\n")
    listen(machine, "127.0.0.53", 53)
    listen(machine, "127.0.0.1", 8080)


fleet = fleet_of(
    """
    version: 1
    ollama: {binary: /usr/local/bin/ollama-standin}
    defaults: {gpus: none}
    instances:
      closed: {port: 11501, models: llama3}
      compat: {port: 11502, models: llama3, hardening: compat}
      off: {port: 11503, models: llama3, hardening: "off"}
      open: {port: 11504, models: llama3, egress: open}
      lan: {port: 11505, models: llama3, host: 0.0.0.0, allow: 10.99.1.0/24}
      lan6: {port: 11506, models: llama3, host: "::", allow: "fd00:99:1::/64"}
      fixed: {port: 11507, models: llama3, host: 10.99.1.1, allow: 10.99.1.2}
      anybody: {port: 11508, models: llama3, host: 0.0.0.0, allow: any}
      loop6: {port: 11509, models: llama3, host: "::1"}
    """,
    before=prepare,
)

HOSTS = {11507: "10.99.1.1", 11509: "[::1]"}
DESTINATIONS = (NEAR, FAR, NEAR_6, RESOLVER, OTHER_SERVICE)


@pytest.mark.parametrize(
    ("port", "reached"),
    [
        (11501, {OTHER_SERVICE}),
        (11502, {OTHER_SERVICE}),
        (11503, {OTHER_SERVICE}),
        (11504, set(DESTINATIONS)),
        (11505, {OTHER_SERVICE, NEAR}),
        (11506, {OTHER_SERVICE, NEAR_6}),
        (11507, {OTHER_SERVICE, NEAR}),
        (11508, set(DESTINATIONS)),
        (11509, {OTHER_SERVICE}),
    ],
    ids=["closed", "compat", "off", "open", "lan", "lan6", "fixed", "anybody", "loop6"],
)
def test_what_a_server_reaches(fleet: FleetHost, port: int, reached: set[str]) -> None:
    tried = attempts(fleet, port, "connect", "address", DESTINATIONS, at=HOSTS.get(port, "127.0.0.1"), timeout_ms=300)

    assert tried == {each: "" if each in reached else BLOCKED for each in DESTINATIONS}


@pytest.mark.parametrize("port", [11501, 11502, 11504], ids=["closed", "compat", "open"])
def test_a_server_that_may_look_up_names_finds_out_where(fleet: FleetHost, port: int) -> None:
    assert attempt(fleet, port, "read", path=RESOLV_CONF).data == "nameserver 127.0.0.53\n"


def clients(fleet: FleetHost, port: int, ways: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those of the ways, a client's namespace and the address that it asks, on which the server answers."""
    wanted = list(ways)
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(
            lambda way: ask(fleet, port, "GET", "/api/version", netns=way[0], at=way[1], seconds=0.5), wanted
        )
        return {way for way, answer in zip(wanted, answers, strict=True) if answer.status == 200}


HERE = {("", address) for address in ("127.0.0.1", "[::1]", "10.99.1.1", "10.99.2.1", "[fd00:99:1::1]")}
FROM_NEAR, FROM_NEAR_6 = ("near", "10.99.1.1"), ("near", "[fd00:99:1::1]")
FROM_FAR, FROM_FAR_6 = ("far", "10.99.2.1"), ("far", "[fd00:99:2::1]")
ACROSS = ("far", "10.99.1.1")
EVERY_WAY = HERE | {FROM_NEAR, FROM_NEAR_6, FROM_FAR, FROM_FAR_6, ACROSS}


@pytest.mark.parametrize(
    ("port", "served"),
    [
        (11501, {("", "127.0.0.1")}),
        (11504, {("", "127.0.0.1")}),
        (11505, HERE | {FROM_NEAR}),
        (11506, HERE | {FROM_NEAR_6}),
        (11507, {("", "10.99.1.1"), FROM_NEAR}),
        (11508, EVERY_WAY),
        (11509, {("", "[::1]")}),
    ],
    ids=["closed", "open", "lan", "lan6", "fixed", "anybody", "loop6"],
)
def test_whom_a_server_answers(fleet: FleetHost, port: int, served: set[tuple[str, str]]) -> None:
    assert clients(fleet, port, EVERY_WAY) == served
