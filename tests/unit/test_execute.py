"""A plan carried out, on a manager that writes down what it is asked and real servers to be proved."""

import os
import signal
from collections.abc import Callable, Sequence

import pytest

from ollamactl import interrupt
from ollamactl.errors import NotPermitted
from ollamactl.execute import lay_out_offline
from ollamactl.files import File
from ollamactl.model import Instance
from ollamactl.observed import Active, UnitState
from ollamactl.planning.plan import Plan, Step, StepKind
from tests.unit.executing import Lab, named, started, step, write
from tests.unit.fakes import refusal
from tests.unit.server import free_port


def stopped(name: str) -> Step:
    return step(StepKind.STOP, f"ollama@{name}.service", instance=name)


EVERYTHING = (
    write("/etc/one"),
    write("/etc/two"),
    stopped("old"),
    step(StepKind.DISABLE, "ollama@old.service"),
    step(StepKind.ENABLE, "ollama@a.service"),
    step(StepKind.ENABLE, "ollama-fleet.target"),
    step(StepKind.REMOVE, "/etc/old"),
    step(StepKind.RELOAD, "systemd"),
)
CALLS = [
    "write /etc/one /etc/two",
    "StopUnit ollama@old.service",
    "disable ollama@old.service",
    "enable ollama@a.service ollama-fleet.target",
    "remove /etc/old",
    "reload",
]


def test_steps_are_done_in_order_files_and_links_at_once(lab: Lab, serve: Callable[[str], Instance]) -> None:
    a, b = serve("a"), serve("b")
    outcome = lab.execute(*EVERYTHING, *started(a), *started(b, StepKind.RESTART))
    assert lab.diary.lines == [*CALLS, "RestartUnit ollama@b.service", "StartUnit ollama@a.service"]
    assert (outcome.ok, outcome.changed, outcome.complete) == (True, True, True)
    assert [proof.instance for proof in outcome.proofs] == ["a", "b"]
    assert lab.told[:5] == [
        ": writing 2 files",
        "old: stopped",
        ": systemd reads its units again",
        "b: restarted, waiting for its answer",
        "a: started, waiting for its answer",
    ]
    assert sorted(lab.told[5:]) == [f"a: answers on {a.listen}", f"b: answers on {b.listen}"]


@pytest.mark.parametrize("line", CALLS)
def test_what_fails_before_the_starts_ends_the_apply_there(lab: Lab, line: str) -> None:
    lab.diary.failures = {line: refusal()}
    outcome = lab.execute(*EVERYTHING, *started(named("a", 1)))
    assert lab.diary.lines == CALLS[: CALLS.index(line) + 1]
    assert [str(problem) for problem in outcome.problems] == ["error: the disk is full\n  hint: make room"]
    assert (outcome.ok, outcome.complete, outcome.proofs) == (False, False, ())
    assert outcome.changed is (line != CALLS[0])


def test_who_may_not_even_begin_gets_the_exception(lab: Lab) -> None:
    lab.diary.failures = {CALLS[0]: NotPermitted("no")}
    with pytest.raises(NotPermitted):
        lab.execute(*EVERYTHING)


def test_a_right_that_is_missing_half_way_does_not_hide_what_was_done(lab: Lab) -> None:
    lab.diary.failures = {CALLS[3]: NotPermitted("no")}
    outcome = lab.execute(*EVERYTHING)
    assert (outcome.changed, outcome.complete, [problem.message for problem in outcome.problems]) == (
        True,
        False,
        ["no"],
    )


def test_a_server_that_does_not_stop_ends_the_apply_after_the_others_have(lab: Lab) -> None:
    lab.manager.results = {"StopUnit ollama@a.service": "timeout"}
    outcome = lab.execute(stopped("a"), stopped("b"), step(StepKind.RELOAD, "systemd"))
    assert lab.diary.lines == ["StopUnit ollama@a.service", "StopUnit ollama@b.service"]
    assert lab.told == ["a: did not stop: timeout", "b: stopped"]
    assert [each.subject for each in outcome.failed] == ["ollama@a.service"]
    assert [str(problem) for problem in outcome.problems] == [
        "error: ollama@a.service did not stop\n  hint: systemctl status ollama@a.service"
    ]


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ("failed", "the unit failed to start"),
        ("timeout", "the start did not end in time"),
        ("canceled", "the start was canceled by another job"),
        ("dependency", "a unit that it needs failed"),
        ("systemd: StartUnit: Unit is masked", "systemd: StartUnit: Unit is masked"),
    ],
)
def test_a_start_that_fails_is_told_and_the_others_go_on(
    lab: Lab, serve: Callable[[str], Instance], result: str, words: str
) -> None:
    bad, good = named("bad", free_port()), serve("good")
    lab.manager.results = {"StartUnit ollama@bad.service": result}
    lab.manager.states = {bad.unit: UnitState(name=bad.unit, active=Active.FAILED, sub_state="failed")}
    outcome = lab.execute(*started(bad), *started(good))
    assert [str(problem) for problem in outcome.problems] == [
        f"error: ollama@bad.service: {words}\n  hint: journalctl -u ollama@bad.service -n 50"
    ]
    assert {proof.instance: proof.ok for proof in outcome.proofs} == {"bad": False, "good": True}
    assert [each.instance for each in outcome.failed] == ["bad"]
    assert (outcome.ok, outcome.changed, outcome.complete) == (False, True, True)
    assert f"bad: did not start: {result}" in lab.told


def test_a_manager_that_is_lost_while_starting_does_not_hide_what_was_done(lab: Lab) -> None:
    lab.diary.failures = {"StartUnit ollama@a.service": refusal("systemd: the connection is closed")}
    outcome = lab.execute(write("/etc/one"), *started(named("a", free_port())))
    assert (outcome.changed, outcome.complete, outcome.ok) == (True, False, False)
    assert [problem.message for problem in outcome.problems] == ["systemd: the connection is closed"]


OFFLINE = (
    write("/etc/one"),
    step(StepKind.DISABLE, "ollama@old.service"),
    step(StepKind.ENABLE, "ollama@a.service"),
    step(StepKind.REMOVE, "/etc/old"),
    step(StepKind.RELOAD, "systemd"),
    step(StepKind.START, "ollama@a.service"),
)


def test_an_image_gets_files_and_links_and_nothing_else(lab: Lab) -> None:
    outcome = lay_out_offline(Plan(steps=OFFLINE), files=lab.files)
    assert set(lab.diary.lines) == {
        "write /etc/one",
        "unlink ollama@old.service",
        "link ollama@a.service",
        "remove /etc/old",
    }
    assert (len(outcome.done), outcome.ok, outcome.changed) == (4, True, True)


def test_an_image_that_is_full_is_told(lab: Lab) -> None:
    lab.diary.failures = {"link ollama@a.service": refusal()}
    outcome = lay_out_offline(Plan(steps=OFFLINE), files=lab.files)
    assert (outcome.ok, outcome.complete, outcome.changed) == (False, False, True)
    assert [problem.message for problem in outcome.problems] == ["the disk is full"]


def test_a_signal_while_files_are_written_ends_it_when_systemd_has_read_them() -> None:
    lab = Lab()
    write_all = lab.files.write_all

    def interrupted(files: Sequence[File]) -> None:
        write_all(files)
        os.kill(os.getpid(), signal.SIGINT)

    lab.files.write_all = interrupted  # type: ignore[method-assign]
    with interrupt.heard():
        outcome = lab.execute(write("/a"), step(StepKind.STOP, "x.service"), step(StepKind.RELOAD, "systemd"))

    assert outcome.interrupted
    assert lab.diary.lines == ["write /a", "reload"]
