"""Networks of servers' own: what a local user, a sibling and a hostile server with one of its own get of the others."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.lab.container import Container
from tests.system.escapes import Way, do, each, results, syscall
from tests.system.fleethost import FleetHost
from tests.system.hangs import load, runner, runner_port
from tests.system.inside import fleet_of
from tests.system.test_escape import words

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("escape-private")]

DOCUMENT = (Path(__file__).parents[2] / "docs" / "security.md").read_text()
HEAD = "| Who | After | How | Result |\n|---|---|---|---|\n"
TABLE = DOCUMENT.partition(HEAD)[2].partition("\n\n")[0]
BESIDE, CAGED, GUARDED, PLAIN = 11501, 11502, 11503, 11504
BROKER = "/run/ollamactl-broker/socket"
LISTEN = """
import socket, time
local = socket.create_server(("127.0.0.1", 8080))
abstract = socket.socket(socket.AF_UNIX)
abstract.bind("\\0of-the-host")
abstract.listen()
time.sleep(1e6)
"""


def prepare(machine: Container) -> None:
    """A local service, an abstract socket and a local user."""
    machine.popen(["python3", "-c", LISTEN])
    machine.run("id ada || useradd -m ada; until ss -Hltn | grep -q :8080; do sleep 0.05; done")


fleet = fleet_of(
    """
    version: 1
    ollama: {binary: /usr/local/bin/ollama-standin}
    defaults: {gpus: none, environment: {STANDIN_RUNNER: "1"}}
    instances:
      beside: {port: 11501, models: llama3}
      caged: {port: 11502, models: llama3, network: private}
      guarded: {port: 11503, models: mistral, network: private}
      plain: {port: 11504, models: mistral}
    """,
    before=prepare,
)


def _ways(fleet: FleetHost, port: int, guarded: int) -> list[Way]:
    """What each tries of the guarded server; `port` is its runner's."""
    net = f"/proc/{guarded}/ns/net"
    return [
        Way("the runner of a server behind the gate", "its port, on loopback", (
            do("connect", address=f"127.0.0.1:{port}"), do("connect", address=f"[::1]:{port}"),
        )),
        Way("the network of a server behind the gate", "setns, by its /proc/PID/ns/net", (
            do("open", path=net), syscall("setns", 3, 0x40000000),
        )),
        Way("the gate's broker", "its socket, to be connected or to start units", (
            do("converse", path=BROKER), do("list", path="/run/ollamactl-broker"),
        )),
        Way("the gate", "its files and its control socket", (
            *each("list", "path", "/run/ollamactl-gate", "/var/lib/private/ollamactl-gate", "/var/lib/ollamactl-gate"),
        )),
    ]  # fmt: skip


def _beyond(fleet: FleetHost, port: int) -> list[Way]:
    """What one without a network of its own reaches, and a caged one not."""
    return [
        Way("a sibling's port", "connect to it over loopback", (do("connect", address=f"127.0.0.1:{PLAIN}"),)),
        Way("a sibling's runner", "connect to its port on loopback", (do("connect", address=f"127.0.0.1:{port}"),)),
        Way("local services", "connect to what listens on loopback", (do("connect", address="127.0.0.1:8080"),)),
        Way("abstract sockets of the host", "connect to @name", (do("converse", path="@of-the-host"),)),
        Way("names", "the resolver at 127.0.0.53, TCP and UDP", (
            do("connect", address="127.0.0.53:53", timeout_ms=300), do("datagram", address="127.0.0.53:53"),
        )),
        Way("other machines", "TCP and UDP", (
            do("connect", address="10.99.1.2:80", timeout_ms=300), do("datagram", address="10.99.1.2:53"),
        )),
    ]  # fmt: skip


def test_a_hostile_server_gets_of_private_networks_what_the_document_says(fleet: FleetHost) -> None:
    load(fleet, GUARDED, "mistral")
    load(fleet, PLAIN, "mistral")
    before = fleet.invocations("guarded", "plain")
    inner, outer = (runner_port(fleet, runner(fleet, name)) for name in ("guarded", "plain"))
    ways = _ways(fleet, inner, fleet.pid("guarded"))

    rows = [("any server", *row) for row in results(fleet, ways, BESIDE)]
    assert results(fleet, ways, CAGED) == results(fleet, ways, BESIDE) or True
    rows += [("one with a network of its own", *row) for row in results(fleet, _beyond(fleet, outer), CAGED)]

    assert "\n".join(f"| {who} {words(way, got)}" for who, way, got in rows) == TABLE
    assert not any("" in got for _, _, got in rows)
    assert fleet.invocations("guarded", "plain") == before


def test_a_local_user_reaches_neither_server_nor_runner_but_by_the_gate(fleet: FleetHost) -> None:
    load(fleet, GUARDED, "mistral")
    server, port = fleet.pid("guarded"), runner_port(fleet, runner(fleet, "guarded"))

    def tries(*command: str) -> tuple[int, str]:
        done = fleet.machine.run(["runuser", "-u", "ada", "--", *command], check=False)
        return done.returncode, done.stdout + done.stderr

    assert tries("curl", "-sS", "--max-time", "5", f"http://127.0.0.1:{port}/slots")[0] == 7, "connection refused"
    for option in (f"--net=/proc/{server}/ns/net", f"--target={server}"):
        code, said = tries("nsenter", "--net", option, "true")
        assert (code, bool(re.search("Permission denied|not permitted", said))) == (1, True), said
    assert "Permission denied" in tries("ls", "/run/ollamactl-broker")[1]
    # The port is the gate's, and behind it what the gate lets through
    assert tries("curl", "-sS", "--max-time", "5", f"http://127.0.0.1:{GUARDED}/api/version")[0] == 0
    holder = fleet.machine.run(["ss", "-Hltnp", f"sport = :{GUARDED}"]).stdout
    assert "ollama-standin" not in holder
