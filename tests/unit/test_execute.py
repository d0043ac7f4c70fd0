"""A plan carried out, on a manager that writes down what it is asked and real servers to be proved."""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from threading import Event

import pytest

from ollamactl.errors import NotPermitted
from ollamactl.execute import execute, lay_out_offline
from ollamactl.files import File, FileKind
from ollamactl.model import Instance
from ollamactl.observed import Active, UnitState
from ollamactl.outcome import Outcome
from ollamactl.plan import ORDER, Plan, Step, StepKind
from ollamactl.proof import Expected
from tests.unit.fakes import Diary, FakeFiles, FakeManager, refusal, running
from tests.unit.server import Ollama, free_port, hang, instance, ollama, talking

EXPECTED = Expected(version="0.34.0", models={"m:latest": "a" * 64})


class Lab:
    """Everything that execute() is given, and what was told."""

    def __init__(self) -> None:
        self.diary = Diary()
        self.manager = FakeManager(self.diary)
        self.files = FakeFiles(self.diary)
        self.told: list[str] = []

    def execute(
        self, *steps: Step, timeout: float = 10, units: Iterable[UnitState] = (), expected: Expected = EXPECTED
    ) -> Outcome:
        plan = Plan(steps=tuple(sorted(steps, key=lambda step: ORDER[step.kind])))
        return execute(
            plan,
            files=self.files,
            manager=self.manager,
            units={unit.name: unit for unit in units},
            expected=dict.fromkeys((step.instance for step in steps), expected),
            timeout=timeout,
            tell=lambda name, words: self.told.append(f"{name}: {words}"),
        )


@pytest.fixture
def lab() -> Lab:
    return Lab()


@pytest.fixture
def serve() -> Iterator[Callable[..., Instance]]:
    """Starts servers that answer as Ollama does."""
    with ExitStack() as stack:
        yield lambda name: named(name, stack.enter_context(ollama(Ollama())))


def named(name: str, port: int) -> Instance:
    return replace(instance(port), name=name)


def step(kind: StepKind, subject: str, **more: object) -> Step:
    return Step(kind=kind, subject=subject, **more)  # type: ignore[arg-type]


def write(path: str) -> Step:
    return step(StepKind.WRITE, path, file=File(path=path, data=b"", kind=FileKind.DROP_IN))


def started(target: Instance, kind: StepKind = StepKind.START) -> list[Step]:
    """What a plan holds for a server that is started."""
    kinds = (kind, StepKind.WAIT, StepKind.VERIFY)
    return [step(each, target.unit, instance=target.name, target=target) for each in kinds]


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


def test_a_server_that_never_answers_is_waited_for_until_the_time_is_up(lab: Lab) -> None:
    with talking(hang) as port:
        outcome = lab.execute(*started(named("a", port)), timeout=0.5)
    (proof,) = outcome.proofs
    assert [check.found for check in proof.failures] == ["no HTTP answer within 500ms, still after 500ms"]


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


def test_a_manager_that_is_lost_while_starting_does_not_hide_what_was_done(lab: Lab) -> None:
    lab.diary.failures = {"StartUnit ollama@a.service": refusal("systemd: the connection is closed")}
    outcome = lab.execute(write("/etc/one"), *started(named("a", free_port())))
    assert (outcome.changed, outcome.complete, outcome.ok) == (True, False, False)
    assert [problem.message for problem in outcome.problems] == ["systemd: the connection is closed"]


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
