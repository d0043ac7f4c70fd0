"""What hangs on a real systemd is restarted, and nobody else; test_heal_runner has the real runner.

Each look waits for who does not answer, so one story has all that can be wrong at once, and a server well beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.lab.container import Container, end
from tests.system.conftest import SUITE
from tests.system.fleethost import SPEC, FleetHost, edited, unit
from tests.system.hangs import STATE_FILE, figure, generate, heal, load, runner, runner_port, serve, stop, told

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("heal")]

FLEET = """\
version: 1
ollama: {binary: /usr/local/bin/ollama-standin}
health: {every: 1h, failures: 2}
defaults: {gpus: none, restart: {delay: 100ms, tries: 5}, environment: {STANDIN_RUNNER: "1"}}
instances:
  well: {port: 11434, models: llama3}
  silent: {port: 11435, models: llama3}
  stuck: {port: 11436, models: llama3}
  mute: {port: 11437, models: llama3}
  spins: {port: 11438, models: llama3}
  answers: {port: 11439, models: llama3}
  working: {port: 11440, models: llama3}
  loads: {port: 11441, models: llama3}
  needed: {port: 11442, models: llama3}
  rider: {port: 11443, models: llama3, requires: [needed]}
  young: {port: 11444, models: llama3}
  looping: {port: 11445, models: llama3, restart: {policy: always, delay: 1m, tries: 2}}
  off: {port: 11446, models: llama3}
"""
YOUNG = edited(FLEET, "11444, models: llama3", "11444, models: llama3, environment: {STANDIN_ANSWER_MS: '3600000'}")
NAMES = re.findall("(?m)^  ([a-z]+): {port", FLEET)
PORTS = {name: 11434 + number for number, name in enumerate(NAMES)}
FIGURED = ("heal_failures", "heal_restarts_total", "server_busy", "server_failing", "server_up", "server_wanted")
Rows = dict[str, dict[str, Any]]


@dataclass
class Story:
    """What was so before and after each look."""

    host: FleetHost
    pids: dict[str, int] = field(default_factory=dict)
    rows: list[Rows] = field(default_factory=list)
    invocations: list[dict[str, str]] = field(default_factory=list)
    figures: list[dict[str, int]] = field(default_factory=list)
    remembered: list[str] = field(default_factory=list)
    skipped: str = ""
    dry: str = ""
    refused: int = 0

    def look(self, *, service: bool = False) -> None:
        if service:
            serve(self.host)
        else:
            self.rows.append(heal(self.host))
        self.note()

    def note(self) -> None:
        self.invocations.append(self.host.invocations(*PORTS))
        self.remembered.append(self.host.machine.read(STATE_FILE))
        self.figures.append({f"{what} {who}": figure(self.host, what, who) for what in FIGURED for who in PORTS})

    def restarted(self, look: int) -> set[str]:
        """Whom a look has restarted."""
        before, after = self.invocations[look - 1 : look + 1]
        return {name for name in PORTS if after[name] != before[name]}


@pytest.fixture(scope="module")
def story() -> Iterator[Story]:
    with Container.boot(SUITE, store=True) as machine:
        host = FleetHost(machine)
        host.applied(FLEET)
        story = Story(host)
        asking = set_the_scene(story)
        story.look()
        with_the_lock_held(story)
        story.look()
        for name in ("working", "rider"):
            end(asking[name])
        machine.run(["kill", "-KILL", str(runner(host, "working"))])
        host.misbehave(PORTS["spins"], STANDIN_HANG_RUNNER="", STANDIN_RUNNER_SPINS="")
        host.wait_for(lambda: "would be restarted now" in without_root(story))
        story.look(service=True)
        yield story
        for each in asking.values():
            end(each)


def set_the_scene(story: Story) -> dict[str, Any]:
    """All are seen well, and then hang each in its own way; gives the requests that are under way."""
    host = story.host
    for name in ("well", "stuck", "mute", "spins", "answers", "working", "rider"):
        load(host, PORTS[name], "llama3")
    assert {row["finding"] for row in heal(host).values()} == {None}
    for name in ("answers", "working", "rider"):
        host.misbehave(PORTS[name], STANDIN_GENERATE_MS="600000")
    host.misbehave(PORTS["loads"], STANDIN_LOAD_MS="600000")
    asking = {name: generate(host, PORTS[name], "llama3") for name in ("answers", "working", "loads", "rider")}
    host.wait_for(lambda: {name for name, row in heal(host).items() if row["state"] == "busy"} == set(asking))
    host.misbehave(runner_port(host, runner(host, "mute")), STANDIN_HANG_RUNNER="1")
    spinning = runner_port(host, runner(host, "spins"))
    host.misbehave(spinning, STANDIN_HANG_RUNNER="1", STANDIN_RUNNER_SPINS="1")
    host.spec(YOUNG)
    assert host.json("apply", SPEC, "--keep-going", "--timeout", "1s").code == 1
    assert host.json("stop", "off").code == 0
    host.machine.run(["kill", "-KILL", str(host.pid("looping"))])
    host.wait_for(lambda: host.show("looping", "SubState")["SubState"] == "auto-restart")
    story.pids = {name: host.pid(name) for name in ("silent", "working", "loads", "needed")}
    story.pids["stuck"] = runner(host, "stuck")
    for pid in story.pids.values():
        stop(host, pid)
    story.note()
    return asking


def with_the_lock_held(story: Story) -> None:
    """As by an apply: servers come and go then."""
    machine, place = story.host.machine, "/run/ollamactl.lock"
    holding = machine.popen(["flock", place, "sleep", "600"])
    story.host.wait_for(lambda: machine.run(["flock", "-n", place, "true"], check=False).returncode == 1)
    ran = story.host.json("heal")
    serve(story.host)
    end(holding)
    assert (ran.code, ran.envelope["data"]["servers"]) == (0, [])
    assert machine.read(STATE_FILE) == story.remembered[-1]
    story.skipped = ran.envelope["data"]["skipped"]


def without_root(story: Story) -> str:
    """A dry run, which counts nothing."""
    said = story.host.machine.ollamactl("heal", "--dry-run", user="nobody", check=False)
    story.dry, story.refused = said.stdout, story.host.machine.ollamactl("heal", user="nobody", check=False).returncode
    assert said.returncode == 3
    assert story.host.machine.read(STATE_FILE) == story.remembered[-1]
    return story.dry


def test_the_first_look_finds_what_hangs_and_touches_nobody(story: Story) -> None:
    silent = "no HTTP answer within 5s; its process (pid {}) is stopped by a signal"
    stuck = f"its runner (pid {story.pids['stuck']}) does not answer, and is stopped by a signal"
    found = {name: (row["finding"], row["words"]) for name, row in story.rows[0].items() if row["finding"]}
    mute, words = found.pop("mute")
    assert mute == "runner"
    assert words.endswith("does not generate a token: no HTTP answer within 10s")
    hung = {name: ("server", silent.format(story.pids[name])) for name in ("silent", "working", "loads", "needed")}
    assert found == {**hung, "stuck": ("runner", stuck)}
    assert not story.restarted(1)


def test_the_second_restarts_just_who_hangs_and_is_not_at_work(story: Story) -> None:
    assert story.restarted(2) == {"silent", "stuck", "mute"}
    assert {name for name, row in story.rows[1].items() if row["restarted"]} == story.restarted(2)
    assert not story.host.machine.exists(f"/proc/{story.pids['stuck']}")
    for name in story.restarted(2):
        assert story.host.models(PORTS[name]) == ["llama3:latest"]


def test_one_that_computes_is_told_and_never_restarted(story: Story) -> None:
    rows = [rows["spins"] for rows in story.rows]
    assert [(row["state"], row["finding"], row["due"]) for row in rows] == [
        ("busy", None, False), ("failing", "computing", False),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "held"),
    [
        ("working", "it is answering 1 request"),
        ("loads", "it is loading a model"),
        ("needed", f"{unit('rider')} goes along with it: it is answering 1 request"),
    ],
)
def test_one_that_hangs_while_a_restart_would_cut_somebody_off_waits(story: Story, name: str, held: str) -> None:
    """A runner may answer though its server does not; and systemd restarts who requires a server with it."""
    assert [rows[name]["held"] for rows in story.rows] == [None, held]


@pytest.mark.parametrize(
    ("name", "state", "words"),
    [
        ("answers", "busy", "it is answering 1 request"),
        ("looping", "down", "left to systemd: activating (auto-restart)"),
        ("off", "down", "left to systemd: inactive (dead)"),
        ("well", "ok", "answers"),
    ],
)
def test_who_does_not_hang_is_left_alone(story: Story, name: str, state: str, words: str) -> None:
    assert [(rows[name]["state"], rows[name]["words"], rows[name]["failures"]) for rows in story.rows] == [
        (state, words, 0)
    ] * 2


def test_a_server_that_was_started_just_now_may_be_silent(story: Story) -> None:
    """It answers HTTP only when it has found its cards."""
    rows = [rows["young"] for rows in story.rows]
    assert {(row["state"], row["finding"], row["failures"]) for row in rows} == {("starting", None, 0)}


def test_as_soon_as_nobody_would_be_cut_off_their_turn_comes(story: Story) -> None:
    assert story.restarted(3) - {"looping"} == {"working", "needed", "rider"}
    assert f"  {unit('working')} would be restarted now\n" in story.dry
    assert f"loads: no HTTP answer within 5s; its process (pid {story.pids['loads']})" in story.dry
    assert "\n  not restarted yet: it is loading a model\n" in story.dry


def test_a_turn_is_skipped_while_somebody_changes_the_fleet(story: Story) -> None:
    assert story.skipped.startswith("/run/ollamactl.lock is locked by pid")
    assert story.rows[1]["silent"]["failures"] == 2, "and then it goes on counting"


def test_only_root_restarts(story: Story) -> None:
    assert story.refused == 77


def test_the_journal_has_it_with_fields_and_in_the_log_of_the_unit(story: Story) -> None:
    rows = told(story.host, FINDING="server", INSTANCE="silent")
    says = f"silent: no HTTP answer within 5s; its process (pid {story.pids['silent']}) is stopped by a signal"
    assert [(row["MESSAGE"], row["FAILURES"]) for row in rows] == [
        (f"{says} (1 time in a row)", "1"),
        (f"{says} (2 times in a row): heal restarts it", "2"),
        (f"silent: heal has restarted {unit('silent')}", "2"),
    ]
    assert {(row["UNIT"], row["OBJECT_SYSTEMD_UNIT"]) for row in rows} == {(unit("silent"), unit("silent"))}
    assert says in story.host.machine.journal(unit("silent"))
    held = [row["MESSAGE"] for row in told(story.host, INSTANCE="loads")]
    assert held[-1].endswith("(3 times in a row): not restarted, for it is loading a model")
    assert not told(story.host, INSTANCE="well")


def test_the_figures_follow(story: Story) -> None:
    def silent(figure: str) -> list[int]:
        return [figures[f"{figure} silent"] for figures in story.figures[1:]]

    assert (silent("heal_failures"), silent("heal_restarts_total")) == ([1, 2, 0], [0, 1, 1])
    assert (silent("server_up"), silent("server_failing")) == ([0, 0, 1], [1, 1, 0])
    last = story.figures[2]
    assert (last["server_up well"], last["server_busy well"], last["server_busy rider"]) == (1, 0, 1)
    assert (last["server_up off"], last["server_wanted off"], last["server_failing off"]) == (0, 1, 0)
