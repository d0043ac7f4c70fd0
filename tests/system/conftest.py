"""Machines for scenarios: a boot takes a third of a second, so whoever changes the machine gets one of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.container import Container
from tests.system.fleethost import FleetHost
from tests.system.patient import Patient, booted

SUITE = "bookworm"


@pytest.fixture(scope="module")
def machine() -> Iterator[Container]:
    """Debian 12 with the tiny models, one for all tests of a module: for tests that leave it as they found it."""
    with Container.boot(SUITE, store=True) as booted:
        yield booted


@pytest.fixture(scope="module")
def shared(machine: Container) -> FleetHost:
    """The module's machine as a FleetHost: for one fleet that several tests look at."""
    return FleetHost(machine)


@pytest.fixture
def host() -> Iterator[FleetHost]:
    """A machine for one scenario alone, with the tiny models and no fleet."""
    with Container.boot(SUITE, store=True) as booted:
        yield FleetHost(booted)


@pytest.fixture
def patient() -> Iterator[Patient]:
    """The same, for servers that somebody set up by hand."""
    with booted() as machine:
        yield machine
