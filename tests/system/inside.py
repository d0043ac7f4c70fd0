"""A fleet to look at from within its units and from other machines: what a server is let do, and who reaches it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.lab.container import Container
from tests.lab.roots import SUITES
from tests.system.fleethost import FleetHost


def fleet_of(spec: str, *, before: Callable[[Container], None] | None = None, suites: Sequence[str] = SUITES) -> Any:
    """A module's fixture: one fleet that is up, on the oldest systemd and on the newest; `before` prepares the machine.

    Its tests leave the fleet as they found it.
    """

    @pytest.fixture(scope="module", params=suites)
    def fleet(request: pytest.FixtureRequest) -> Iterator[FleetHost]:
        with Container.boot(request.param, store=True) as machine:
            if before:
                before(machine)
            host = FleetHost(machine)
            host.applied(spec)
            yield host

    return fleet


@dataclass(frozen=True)
class Tried:
    """What the stand-in met when it tried something within its unit (tests/standin/try.go)."""

    errno: str
    data: Any


def attempt(host: FleetHost, port: int, op: str, *, at: str = "127.0.0.1", **parameters: object) -> Tried:
    """Have the stand-in behind a port try one thing; `errno` is empty when it was let."""
    url = f"http://{at}:{port}/standin/try?{urlencode({'op': op, **parameters}, doseq=True)}"
    answer = json.loads(host.machine.run(["curl", "-sS", "--max-time", "10", url]).stdout)
    return Tried(errno=answer["errno"], data=answer["data"])


def attempts(
    host: FleetHost,
    port: int,
    op: str,
    name: str,
    values: Iterable[object],
    *,
    at: str = "127.0.0.1",
    **fixed: object,
) -> dict[Any, str]:
    """The same thing tried with several values of one parameter, side by side: value -> errno."""
    wanted = list(values)
    with ThreadPoolExecutor(8) as pool:
        tried = pool.map(lambda value: attempt(host, port, op, at=at, **fixed, **{name: value}), wanted)
        return {value: one.errno for value, one in zip(wanted, tried, strict=True)}


@dataclass(frozen=True)
class Answer:
    """A server's answer; status 0 is none at all."""

    status: int
    text: str

    @property
    def json(self) -> Any:
        """The answer as data."""
        return json.loads(self.text)


def ask(
    host: FleetHost, port: int, method: str, path: str, body: object = None,
    *, at: str = "127.0.0.1", netns: str = "", seconds: float = 30,
) -> Answer:  # fmt: skip
    """Send a request to a server of the machine, from a network namespace of it where one is named."""
    url = f"http://{at}:{port}{path}"
    command = ["curl", "-sS", "-X", method, "--max-time", str(seconds), "-w", "\n%{http_code}", url]
    if body is not None:
        command += ["--data", json.dumps(body)]
    prefix = ["ip", "netns", "exec", netns] if netns else []
    text, _, status = host.machine.run([*prefix, *command], check=False).stdout.rpartition("\n")
    return Answer(status=int(status), text=text)
