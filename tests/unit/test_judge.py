"""When a server counts as hung, and when it may be restarted for it."""

from dataclasses import replace

import pytest

from ollamactl.healing.judge import Finding, Memory, State, Verdict, hold, judge
from ollamactl.healing.signs import Life, RunnerSigns, Signs
from ollamactl.model import Instance
from ollamactl.observed import Active, UnitState

INSTANCE = Instance(name="llama3", port=11434, models=("llama3",))
UNIT = UnitState(name=INSTANCE.unit, load_state="loaded", active=Active.ACTIVE, sub_state="running", main_pid=7)
WELL = Signs(instance=INSTANCE, unit=UNIT, identity="7@1", age=20, life=Life.ANSWERS)
SILENT = replace(WELL, life=Life.SILENT, words="no HTTP answer within 5s")
DOWN = Signs(instance=INSTANCE, unit=replace(UNIT, active=Active.ACTIVATING, sub_state="auto-restart", main_pid=0))


def runner(life: Life, pid: int = 8, words: str = "it does something") -> RunnerSigns:
    return RunnerSigns(pid=pid, identity=f"{pid}@2", life=life, words=words)


def having(*runners: RunnerSigns, server: Signs = WELL) -> Signs:
    return replace(server, runners=runners)


def looks(*signs: Signs, limit: int = 3) -> Verdict:
    """What the last look says after those before."""
    memory, verdict = Memory(), None
    for each in signs:
        verdict = judge(each, memory, limit=limit)
        memory = verdict.memory
    assert verdict
    return verdict


def test_who_answers_is_well() -> None:
    verdict = looks(having(runner(Life.ANSWERS)))
    assert (verdict.state, verdict.finding, verdict.due, verdict.memory.failures) == (State.OK, None, False, 0)


@pytest.mark.parametrize(("hung", "finding"), [(SILENT, Finding.SERVER), (having(runner(Life.SILENT)), Finding.RUNNER)])
def test_the_third_failure_in_a_row_is_one_too_many(hung: Signs, finding: Finding) -> None:
    first, second, third = (looks(WELL, *[hung] * times) for times in (1, 2, 3))
    assert [v.memory.failures for v in (first, second, third)] == [1, 2, 3]
    assert [v.due for v in (first, second, third)] == [False, False, True]
    assert {v.finding for v in (first, second, third)} == {finding}


def test_an_answer_in_between_begins_the_count_anew() -> None:
    assert looks(WELL, SILENT, SILENT, WELL, SILENT).memory.failures == 1


def test_another_process_begins_the_count_anew() -> None:
    other = replace(SILENT, identity="9@5", age=500)
    assert looks(WELL, SILENT, SILENT, other).memory.failures == 1
    first, second = having(runner(Life.SILENT, 8)), having(runner(Life.SILENT, 9))
    assert looks(first, first, second).memory.failures == 1
    assert looks(first, first, having(runner(Life.SILENT, 8), runner(Life.SILENT, 9))).memory.failures == 3


def test_another_finding_begins_the_count_anew() -> None:
    assert looks(having(runner(Life.SILENT)), having(runner(Life.SILENT)), SILENT).memory.failures == 1


def test_a_server_that_has_not_answered_yet_may_be_looking_for_cards() -> None:
    young, old = replace(SILENT, age=179), replace(SILENT, age=181)
    verdict = looks(*[young] * 5)
    assert (verdict.state, verdict.finding, verdict.memory.failures) == (State.STARTING, None, 0)
    assert looks(young, old, old, old).due


def test_one_that_has_answered_once_is_past_that() -> None:
    assert looks(WELL, SILENT, SILENT, SILENT).due


def test_that_one_of_before_had_answered_says_nothing_of_this_one() -> None:
    restarted = replace(SILENT, identity="9@5", age=2)
    assert looks(WELL, SILENT, SILENT, SILENT, restarted).state is State.STARTING


@pytest.mark.parametrize("sign", [SILENT, having(runner(Life.SILENT, 8))], ids=["server", "runner"])
@pytest.mark.parametrize("life", [Life.BUSY, Life.LOADING, Life.COMPUTES])
def test_nobody_is_cut_off(sign: Signs, life: Life) -> None:
    at_work = replace(sign, runners=(*sign.runners, runner(life, 9, "it is answering 1 request")))
    verdict = looks(WELL, *[at_work] * 4)
    assert (verdict.over, verdict.due, verdict.held) == (True, False, "it is answering 1 request")
    assert looks(WELL, *[at_work] * 4, sign).due, "as soon as that is over"


@pytest.mark.parametrize("life", [Life.BUSY, Life.LOADING])
def test_who_is_at_work_is_not_failing(life: Life) -> None:
    verdict = looks(*[having(runner(life))] * 5)
    assert (verdict.state, verdict.finding, verdict.memory.failures) == (State.BUSY, None, 0)


def test_a_runner_that_computes_without_an_answer_is_told_after_a_while_and_never_restarted() -> None:
    long_prompt = having(runner(Life.COMPUTES))
    early, late = looks(*[long_prompt] * 2), looks(*[long_prompt] * 9)
    assert (early.state, early.finding) == (State.BUSY, None)
    assert (late.state, late.finding, late.due) == (State.FAILING, Finding.COMPUTING, False)
    assert looks(long_prompt, long_prompt, having(runner(Life.SILENT))).memory.failures == 1


def test_a_server_that_only_we_cannot_reach_is_told_and_not_restarted() -> None:
    verdict = looks(WELL, *[replace(WELL, life=Life.UNREACHABLE, words="no route to host")] * 5)
    assert (verdict.finding, verdict.due, verdict.memory.failures) == (Finding.UNREACHABLE, False, 5)


def test_what_does_not_run_is_left_to_systemd() -> None:
    verdict = looks(WELL, SILENT, SILENT, DOWN)
    assert (verdict.state, verdict.finding, verdict.words) == (
        State.DOWN, None, "left to systemd: activating (auto-restart)",
    )  # fmt: skip
    assert looks(WELL, SILENT, SILENT, DOWN, SILENT).memory.failures == 0


def test_restarts_are_counted_over_all_processes() -> None:
    verdict = judge(replace(WELL, identity="9@5"), Memory(identity="7@1", failures=3, restarts=4), limit=3)
    assert verdict.memory == Memory(identity="9@5", answered=True, restarts=4)


OTHER = Instance(name="embed", port=11435, models=("embed",), requires=(INSTANCE.unit,))


@pytest.mark.parametrize(
    ("other", "held"),
    [
        ((WELL,), ""),
        ((having(runner(Life.BUSY, 9, "it is answering 1 request")),), "it is answering 1 request"),
        ((replace(SILENT, age=4),), "started 4 s ago, and has not answered yet"),
        ((WELL, *[SILENT] * 3), ""),
    ],
)
def test_nor_is_anybody_who_goes_along(other: tuple[Signs, ...], held: str) -> None:
    taken = [replace(each, instance=OTHER, unit=replace(each.unit, name=OTHER.unit)) for each in other]
    verdicts = (looks(WELL, *[SILENT] * 3), looks(*taken))
    (verdict, _) = hold(verdicts, {INSTANCE.unit: (INSTANCE.unit, OTHER.unit)})
    assert verdict.held == (f"{OTHER.unit} goes along with it: {held}" if held else "")
    assert verdict.due is not bool(held)


def test_who_may_not_be_looked_at_is_neither_well_nor_failing_and_keeps_its_count() -> None:
    hidden = replace(WELL, life=Life.HIDDEN, words="only root may")
    verdict = looks(WELL, SILENT, SILENT, hidden)
    assert (verdict.state, verdict.finding, verdict.due) == (State.HIDDEN, None, False)
    assert verdict.words == "not looked at: only root may"
    assert looks(WELL, SILENT, SILENT, hidden, SILENT).due
