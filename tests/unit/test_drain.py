"""Who is at work is waited for, who is not is not kept waiting, and patience ends."""

from collections.abc import Callable
from dataclasses import replace

from ollamactl.drain import Drain
from ollamactl.observed import UnitState
from ollamactl.planning.plan import Step, StepKind

UNITS = {unit: UnitState(name=unit, main_pid=pid) for pid, unit in enumerate(("a", "b", "c"), start=1)}
STEPS = [Step(kind=StepKind.RESTART, subject=unit, instance=unit) for unit in UNITS]


def idle_after(looks: dict[int, int]) -> Callable[[int], str]:
    """Each process is at work for so many looks."""

    def at_work(pid: int) -> str:
        looks[pid] = looks.get(pid, 0) - 1
        return "it is answering 1 request" if looks[pid] >= 0 else ""

    return at_work


def drain(at_work: Callable[[int], str], patience: float | None, told: list[str] | None = None) -> Drain:
    heard = told if told is not None else []
    return Drain(
        units=UNITS,
        at_work=at_work,
        patience=patience,
        tell=lambda name, words: heard.append(f"{name}: {words}"),
    )


def names(batches: list[list[Step]]) -> list[str]:
    return ["".join(step.subject for step in batch) for batch in batches]


def test_without_patience_nobody_is_asked() -> None:
    assert names(list(drain(lambda _: "busy", None).due(STEPS))) == ["abc"]


def test_the_idle_ones_go_first_and_the_others_as_they_become_so() -> None:
    told: list[str] = []
    looking = drain(idle_after({2: 2}), 30, told)
    assert names(list(looking.due(STEPS))) == ["ac", "b"]
    assert looking.late == {}
    assert told == ["b: it is answering 1 request: waiting until it is done"]


def test_one_look_is_not_enough_to_call_a_server_idle() -> None:
    looks = iter(["it is answering 1 request", "", "", "it is answering 1 request", "", "", ""])
    assert names(list(drain(lambda _: next(looks), 30).due([STEPS[1]]))) == ["b"]
    assert list(looks) == []


def test_who_would_take_one_at_work_down_waits_for_it() -> None:
    told: list[str] = []
    together = [replace(step, group="a" if step.subject != "c" else "") for step in STEPS]
    assert names(list(drain(idle_after({2: 2}), 30, told).due(together))) == ["c", "ab"]
    words = "it is answering 1 request: waiting until it is done"
    assert told == [f"a: b goes down with it: {words}", f"b: {words}"]
    looking = drain(idle_after({2: 10**6}), 0.3)
    assert names(list(looking.due(together))) == ["c"]
    assert list(looking.late) == ["b", "a"]


def test_who_never_becomes_idle_is_late_and_the_others_are_not() -> None:
    looking = drain(idle_after({2: 10**6}), 0.3)
    assert names(list(looking.due(STEPS))) == ["ac"]
    assert looking.late == {"b": "it is answering 1 request, still after 300ms"}


def test_a_start_and_what_does_not_run_wait_for_nobody() -> None:
    start = Step(kind=StepKind.START, subject="a")
    down = Step(kind=StepKind.STOP, subject="d")
    assert names(list(drain(lambda _: "busy", 1).due([start, down]))) == ["ad"]
