"""Whatever a variable holds: the server's process has exactly it, and a secret shows nowhere else."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping

import pytest

from tests.lab.container import Container
from tests.lab.roots import SUITES
from tests.soak import amount
from tests.system.fleethost import FleetHost
from tests.system.variables import LONGEST, NASTY, chance, flow, named

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("soak")]

VALUES = amount("VALUES", 500)
EACH = 250
"""Variables of an instance, half of them secrets."""
MARK = "hunter2"
BASE = 11500
FORBIDDEN = {*range(0x09), *range(0x0A, 0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, *range(0xD800, 0xE000)}
"""What no unit or no YAML can hold; the spec refuses it."""
Variables = dict[str, str]


def text(dice: random.Random) -> str:
    """Any text that a variable may hold: of special characters, of one plane of Unicode, or long."""
    match dice.randrange(8):
        case 0:
            return dice.choice(NASTY)
        case 1:
            return "".join(map(chr, _points(dice, dice.randint(0, 30), 0x10FFFF)))
        case 2:
            return "".join(map(chr, _points(dice, dice.randint(0, 60), 0x2FF)))
        case 3:
            return "".join(dice.choice(NASTY) for _ in range(dice.randint(2, 5)))[: LONGEST // 60]
        case _:
            return chance(dice.randrange(1 << 30), 1)[0]


def _points(dice: random.Random, count: int, last: int) -> Iterator[int]:
    while count:
        point = dice.randint(0, last)
        if point not in FORBIDDEN and point & 0xFFFE != 0xFFFE and not 0xFDD0 <= point < 0xFDF0:
            count -= 1
            yield point


def fleet(count: int) -> Mapping[int, tuple[Variables, Variables]]:
    """By port: what each instance has in `environment` and in `secrets`."""
    dice = random.Random(count)
    found = {}
    for number in range((count + EACH - 1) // EACH):
        half = min(EACH, count - number * EACH) // 2
        public, secret = ([text(dice) for _ in range(half)] for _ in range(2))
        found[BASE + number] = named(public), {f"S{at}": f"{MARK}{value}" for at, value in enumerate(secret)}
    return found


def document(variables: Mapping[int, tuple[Variables, Variables]]) -> str:
    """The spec of them all."""
    rows = [
        f"  i{port}: {{port: {port}, models: llama3, environment: {flow(public)}, secrets: {flow(secret)}}}"
        for port, (public, secret) in variables.items()
    ]
    head = ["version: 1", "ollama: {binary: /usr/local/bin/ollama-standin}", "defaults: {gpus: none}", "instances:"]
    return "\n".join([*head, *rows, ""])


@pytest.mark.parametrize("suite", SUITES)
def test_every_process_has_exactly_its_variables(suite: str, record_property: Callable[[str, object], None]) -> None:
    variables = fleet(VALUES)
    with Container.boot(suite, store=True) as machine:
        host = FleetHost(machine)
        begun = time.monotonic()
        host.applied(document(variables))
        seconds = time.monotonic() - begun
        right = 0
        for port, groups in variables.items():
            given = host.environ(port)
            for wanted in groups:
                assert {name: given.get(name) for name in wanted} == wanted
                right += len(wanted)
        again = host.apply()
        assert (again.code, again.changed, again.steps) == (0, False, [])
        assert MARK not in machine.journal()
        assert MARK not in machine.run(["systemctl", "show", *(f"ollama@i{port}.service" for port in variables)]).stdout
        assert MARK not in machine.run(["systemctl", "status", "ollama@*.service"]).stdout
        assert MARK not in machine.run("cat /proc/[0-9]*/cmdline", check=False).stdout
    told = {"what": f"variables on {suite}", "counts": {"seen by their processes": right}, "slowest": seconds}
    record_property("soak", told)
