"""A fleet that serves while something is wrong: what is refused, what it says, and that nobody noticed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.lab.container import Container
from tests.system.fleethost import FleetHost
from tests.system.recorded import FLEET, NAMES

CHANGED = FLEET.replace("context_length: 4096", "context_length: 2048")
"""What the operator wants at the moment of the fault."""


@pytest.fixture(scope="module")
def serving() -> Iterator[FleetHost]:
    """One fleet for a module whose faults are taken away again by their tests."""
    with Container.boot("bookworm", store=True) as machine:
        host = FleetHost(machine)
        host.applied(FLEET)
        yield host


@contextmanager
def untouched(host: FleetHost) -> Iterator[None]:
    """The old fleet is the same afterwards, down to the process, every file, the history and systemd's view of it."""

    def seen() -> object:
        environ = [host.environ(port)["OLLAMA_CONTEXT_LENGTH"] for port in (11434, 11435)]
        return host.files(), host.invocations(*NAMES), host.states(*NAMES), environ

    before = seen()
    yield
    assert seen() == before
    assert [host.models(port) for port in (11434, 11435)] == [["llama3:latest"], ["mistral:latest"]]


@contextmanager
def broken(host: FleetHost, how: str, mend: str) -> Iterator[None]:
    """Between two commands of root's."""
    host.machine.run(f"set -e; {how}")
    try:
        yield
    finally:
        host.machine.run(f"set -e; {mend}")
