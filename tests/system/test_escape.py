"""A hostile program in the place of a server: what it tries, and what it gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.container import Container
from tests.system.escapes import HOSTILE, Way, results
from tests.system.fleethost import FleetHost
from tests.system.inside import ask, attempt, fleet_of
from tests.system.test_cards import prepare as make_cards
from tests.system.test_network import prepare as make_network
from tests.system.ways import DEVICES, VICTIM, ways

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("escape")]

DOCUMENT = (Path(__file__).parents[2] / "docs" / "security.md").read_text()
TABLE = list(DOCUMENT.partition("| After | How | Result |\n|---|---|---|\n")[2].partition("\n\n")[0].splitlines())

SOCKETS = """
import os, socket, sys, time
PLACES = {
    "/run/systemd/resolve/io.systemd.Resolve": 0o666, "/run/group.sock": 0o660, "/srv/public.sock": 0o666,
    "/run/public.sock": 0o666, "\\0of-the-host": 0,
}
for path, mode in PLACES.items():
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen()
    if mode:
        os.chmod(path, mode)
    globals()["keep" + path] = server
time.sleep(1e6)
"""
SYSV = """
import ctypes, time
libc = ctypes.CDLL(None)
IPC_CREAT = 0o1000
libc.shmget(0x6C6162, 4096, IPC_CREAT | 0o666)
libc.msgget(0x6C6162, IPC_CREAT | 0o666)
libc.semget(0x6C6162, 1, IPC_CREAT | 0o666)
ctypes.CDLL("librt.so.1").mq_open(b"/of-the-host", 0o102, 0o666, None)
"""


def prepare(machine: Container) -> None:
    """Cards and other machines, and something to find in every place where a server may look."""
    make_cards(machine)
    make_network(machine)
    machine.write("/etc/ssl/private/key.pem", "private", mode=0o600)
    machine.popen(["python3", "-c", SOCKETS])
    machine.run(["python3", "-c", SYSV])
    machine.run(
        f"""set -e
        until test -S /run/public.sock; do sleep 0.05; done
        mkdir /srv/dev /dev/shm/folder-of-the-host
        {"".join(f"mknod -m 666 /srv/dev/{name} {node}; " for name, node in DEVICES.items())}
        for folder in /tmp /var/tmp /dev/shm; do install -m 644 /etc/os-release $folder/of-the-host; done
        cp /usr/bin/cat /srv/setuid-cat && chmod 4755 /srv/setuid-cat
        sysctl -q net.ipv4.ping_group_range="0 2147483647"
        """
    )


fleet = fleet_of(
    """
    version: 1
    ollama: {binary: /usr/local/bin/ollama-standin}
    defaults: {secrets: {TOKEN: s3cret}}
    instances:
      hostile: {port: 11501, models: llama3, gpus: GPU-9221d5d1-b60b-a624-bf14-0a1819cfda3b}
      victim: {port: 11502, models: mistral, gpus: none, environment: {STANDIN_RUNNER: "1"}}
      idle: {port: 11503, models: llama3, gpus: none, state: stopped}
    """,
    before=prepare,
)


WORDS = {"": "**open**", "ENOENT": "hidden", "EROFS": "read-only", "ETIMEDOUT": "no answer"}
"""All else is a refusal: which one, depends on which fence is met first."""


def words(way: Way, got: list[str]) -> str:
    """A line of the table."""
    found = sorted({WORDS.get(errno, "refused") for errno in got})
    return f"| {way.after} | {way.how} | {', '.join(found)} |"


def test_a_hostile_program_gets_what_the_document_says(fleet: FleetHost) -> None:
    assert ask(fleet, VICTIM, "POST", "/api/generate", {"model": "mistral"}).status == 200
    before = fleet.invocations("victim")

    found = results(fleet, ways(fleet))

    assert {way.how: way.open for way, _ in found} == {way.how: set(got) == {""} for way, got in found}
    assert [way.how for way, got in found if "" in got and not way.open] == []
    assert [words(way, got) for way, got in found] == TABLE
    assert len(found) > 50
    assert fleet.invocations("victim") == before
    assert fleet.states("victim") == {"victim": "active"}


def test_a_hostile_server_leaves_no_trace_on_the_host(fleet: FleetHost) -> None:
    """What it wrote where it may is in its own home and its own temporary folders."""
    for place in ("/tmp", "/var/tmp", "/dev/shm"):
        assert attempt(fleet, HOSTILE, "write", path=f"{place}/by-hostile", data="x").errno == ""
        assert not fleet.machine.exists(f"{place}/by-hostile")
