"""kill -9 at any point, then apply again: the fleet is what its spec says, and nothing is left behind."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.lab.container import Container
from tests.system.fleethost import UNITS, edited

MOMENTS = int(os.environ.get("OLLAMACTL_KILLS", "24"))
"""How many random moments; `make soak` asks for 200."""
EVERY = 1 if MOMENTS >= 200 else 17
"""Which of the effects on the way back; `make soak` asks for all."""
LAST = 200
"""More effects than any of these applies has: the run ends with the first that is not reached."""

HEAD = """\
version: 1
ollama: {binary: /usr/local/bin/ollama-standin}
defaults: {gpus: none}
instances:
"""
OLD = HEAD + (
    "  changed: {port: 12000, models: [llama3], context_length: 4096, secrets: {TOKEN: one}}\n"
    "  old: {port: 12001, models: [llama3], secrets: {TOKEN: x}}\n"
)
NEW = edited(HEAD, "defaults:", "health: {every: 1h}\ndefaults:") + (
    "  changed: {port: 12000, models: [llama3], context_length: 2048, secrets: {TOKEN: two}}\n"
    "  new: {port: 12001, models: [llama3], secrets: {TOKEN: x}}\n"
)
AWAKE = HEAD + (
    "  both: {port: 12000, models: [llama3]}\n"
    "  moves: {port: 12001, models: [llama3], on_demand: {stop_after: 10m}}\n"
    "  stays: {port: 12002, models: [llama3], on_demand: {stop_after: 10m}}\n"
)
ASLEEP = HEAD + (
    "  both: {port: 12001, models: [llama3], on_demand: {stop_after: 10m}}\n"
    "  moves: {port: 12000, models: [llama3], context_length: 2048, on_demand: {stop_after: 10m}}\n"
    "  stays: {port: 12002, models: [llama3]}\n"
)
BROKEN = edited(NEW, "{TOKEN: two}", "{TOKEN: two}, environment: {STANDIN_EXIT: '3'}, restart: {policy: never}")


@pytest.fixture
def machine() -> Any:
    with Container.boot("bookworm", store=True) as booted:
        booted.write("/root/old.yaml", OLD)
        booted.write("/root/new.yaml", NEW)
        booted.write("/root/broken.yaml", BROKEN)
        booted.write("/root/awake.yaml", AWAKE)
        booted.write("/root/asleep.yaml", ASLEEP)
        booted.write(f"{UNITS}/ollama@old.service.d/override.conf", "[Service]\nNice=1\n")
        booted.write(f"{UNITS}/mine.service", "[Service]\nExecStart=/bin/true\n")
        yield booted


def kills(machine: Container, *words: str) -> list[dict[str, Any]]:
    """Each kill, and what was wrong after it."""
    machine.write("/root/killer.py", (Path(__file__).parent / "killer.py").read_text())
    command = f"eval $(grep ^export $(command -v ollamactl)); exec python3 /root/killer.py {' '.join(words)}"
    done = machine.run(command, timeout=1800)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(("first", "last"), [(0, 30), (30, LAST)])
def test_at_every_step_of_an_apply(machine: Container, first: int, last: int) -> None:
    rows = kills(machine, "steps", str(first), str(last))

    assert [row for row in rows if row["wrong"]] == []
    assert 20 < len(rows) < LAST
    assert [row["killed"] for row in rows] == [*[True] * (len(rows) - 1), last < LAST]


@pytest.mark.parametrize("seed", range(2))
def test_at_random_moments(machine: Container, seed: int) -> None:
    rows = kills(machine, "moments", str(MOMENTS // 2), str(seed))

    assert [row for row in rows if row["wrong"]] == []
    assert len(rows) == MOMENTS // 2
    assert any(row["killed"] for row in rows)


@pytest.mark.parametrize("what", ["undo", "rollback", "destroy"])
def test_on_the_way_back(machine: Container, what: str) -> None:
    rows = kills(machine, what, "0", str(LAST), str(EVERY))

    assert [row for row in rows if row["wrong"]] == []
    assert [row["killed"] for row in rows] == [*[True] * (len(rows) - 1), False]
    assert len(rows) > 2


@pytest.mark.parametrize(("first", "last"), [(0, 21), (21, LAST)])
def test_while_ports_go_to_systemd_and_come_back(machine: Container, first: int, last: int) -> None:
    rows = kills(machine, "doors", str(first), str(last), "1" if EVERY == 1 else "2")

    assert [row for row in rows if row["wrong"]] == []
    assert len(rows) > 5
    assert [row["killed"] for row in rows] == [*[True] * (len(rows) - 1), last < LAST]
