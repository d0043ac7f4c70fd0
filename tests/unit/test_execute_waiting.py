"""Who is waited for, how long, and who is not, on a manager that writes down what it is asked."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from threading import Event

import pytest

from ollamactl.model import Instance
from ollamactl.observed import Active, UnitState
from ollamactl.planning.plan import StepKind
from ollamactl.proving import probe
from tests.unit.executing import EXPECTED, Lab, named, started, step
from tests.unit.fakes import running
from tests.unit.server import Ollama, free_port, hang, ollama, talking

BROKEN: Mapping[str, UnitState] = {
    "failed": UnitState(name="", active=Active.FAILED, sub_state="failed"),
    "between restarts": UnitState(name="", active=Active.ACTIVATING, sub_state="auto-restart", restarts=1),
    "restarted": replace(running(""), restarts=1),
    "ended well": UnitState(name="", active=Active.INACTIVE),
}


@pytest.mark.parametrize("state", BROKEN)
def test_a_server_that_breaks_down_is_not_waited_for(lab: Lab, state: str) -> None:
    a = named("a", free_port())
    lab.manager.states = {a.unit: replace(BROKEN[state], name=a.unit)}
    begun = time.monotonic()
    outcome = lab.execute(*started(a), timeout=60)
    assert time.monotonic() - begun < 3
    assert not outcome.ok
    assert not outcome.problems
    assert lab.told[-1] == "a: failed: connection refused"


def test_a_restart_of_systemds_own_just_before_is_not_held_against_the_server(
    lab: Lab, serve: Callable[[str], Instance]
) -> None:
    a = serve("a")
    lab.manager.states = {a.unit: replace(running(a.unit), restarts=1)}
    assert lab.execute(*started(a, StepKind.RESTART)).ok
    assert not lab.execute(*started(a)).ok


def test_a_server_that_was_seen_on_its_way_up_is_looked_at_again(lab: Lab, serve: Callable[[str], Instance]) -> None:
    a = serve("a")
    steps = [each for each in started(a) if each.kind in (StepKind.WAIT, StepKind.VERIFY)]
    outcome = lab.execute(*steps, units=[replace(running(a.unit), active=Active.ACTIVATING)])
    assert outcome.ok


def test_a_server_that_ended_and_was_forgotten_is_not_waited_for(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The manager lists loaded units alone."""
    monkeypatch.setattr(lab.manager, "units", lambda _: ())
    begun = time.monotonic()
    outcome = lab.execute(*started(named("a", free_port())), timeout=60)
    assert time.monotonic() - begun < 3
    assert [check.found for check in outcome.proofs[0].failures] == ["inactive (dead)"]


def test_a_server_that_never_answers_is_waited_for_until_the_time_is_up(lab: Lab) -> None:
    with talking(hang) as port:
        outcome = lab.execute(*started(named("a", port)), timeout=0.5)
    (proof,) = outcome.proofs
    assert [check.found for check in proof.failures] == ["no HTTP answer, still after 500ms"]


def test_whatever_holds_up_a_question_holds_up_no_apply(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other applies wait for this one's lock."""
    stuck = Event()
    monkeypatch.setattr(probe.Server, "version", lambda _: str(stuck.wait(20)))
    begun = time.monotonic()
    outcome = lab.execute(*started(named("a", free_port())), timeout=0.2)
    assert time.monotonic() - begun < 5
    stuck.set()
    assert [check.found for check in outcome.proofs[0].failures] == ["no answer"]


def test_a_server_that_is_late_is_proved_when_it_answers(lab: Lab) -> None:
    with ollama(Ollama(), bound_for=0.5) as port:
        assert lab.execute(*started(named("a", port))).ok


def test_an_answer_that_was_seen_may_still_be_waking_the_one_who_waits(
    lab: Lab, serve: Callable[[str], Instance], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended, woken, write, errors = Event(), Event(), os.eventfd_write, []

    def late(descriptor: int, value: int) -> None:
        ended.wait(0.5)
        try:
            write(descriptor, value)
        except OSError as error:
            errors.append(error)
        woken.set()

    monkeypatch.setattr(os, "eventfd_write", late)
    assert lab.execute(*started(serve("a"))).ok
    ended.set()
    assert woken.wait(5)
    assert not errors


def test_a_plan_that_only_verifies_changes_nothing_and_waits_for_nobody(
    lab: Lab, serve: Callable[[str], Instance]
) -> None:
    targets = [serve("good"), named("bad", free_port())]
    begun = time.monotonic()
    outcome = lab.execute(
        *(step(StepKind.VERIFY, each.unit, instance=each.name, target=each) for each in targets),
        units=[running(each.unit) for each in targets],
        timeout=60,
    )
    assert time.monotonic() - begun < 3
    assert {proof.instance: proof.ok for proof in outcome.proofs} == {"good": True, "bad": False}
    assert (lab.diary.lines, lab.told, outcome.changed) == ([], [], False)


def test_load_has_each_declared_model_loaded(lab: Lab) -> None:
    behaviour = Ollama()
    behaviour.load_gate.set()
    with ollama(behaviour) as port:
        outcome = lab.execute(*started(named("a", port)), expected=replace(EXPECTED, load=True, gpu=False))
    assert outcome.ok
    assert [str(check.kind) for check in outcome.proofs[0].checks][-2:] == ["load", "placement"]
    assert "/api/generate m:latest" in behaviour.asked
