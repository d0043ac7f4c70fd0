"""What is said of an administrator's drop-ins, and how a plan changes it."""

import pytest

from ollamactl.errors import Severity
from ollamactl.facts import Facts, Layout
from ollamactl.observed import DropIn, Heeded, Observed
from ollamactl.planning import heed
from ollamactl.planning.plan import Plan, Step, StepKind

UNIT = "ollama@a.service"
RELOAD = Step(kind=StepKind.RELOAD, subject="systemd")
RESTART = Step(kind=StepKind.RESTART, subject=UNIT, instance="a")
OTHERS = Step(kind=StepKind.START, subject="ollama@b.service", instance="b")
APPLIES = ("an administrator's drop-in applies too: /x.conf", "")
LATER = ("an administrator's drop-in takes effect at the next restart: /x.conf", "sudo ollamactl restart a")
UNREAD = (
    "systemd has not read an administrator's drop-in as it is now: /x.conf",
    "sudo systemctl daemon-reload && sudo ollamactl restart a",
)


@pytest.mark.parametrize(
    ("heeded", "steps", "said"),
    [
        (Heeded.NOW, (), APPLIES),
        (Heeded.NOW, (RELOAD, RESTART), APPLIES),
        (Heeded.AT_RESTART, (), LATER),
        (Heeded.AT_RESTART, (RELOAD, OTHERS), LATER),
        (Heeded.AT_RESTART, (RESTART,), APPLIES),
        (Heeded.AT_RELOAD, (), UNREAD),
        (Heeded.AT_RELOAD, (RESTART,), UNREAD),
        (Heeded.AT_RELOAD, (RELOAD,), LATER),
        (Heeded.AT_RELOAD, (RELOAD, RESTART), APPLIES),
    ],
)
def test_what_is_said_is_what_is_true_after_the_plan(
    heeded: Heeded, steps: tuple[Step, ...], said: tuple[str, str]
) -> None:
    observed = Observed(foreign_drop_ins={UNIT: (DropIn(path="/x.conf", heeded=heeded),)})
    (note,) = heed.problems(observed, Plan(steps=steps))
    assert (note.path, note.instance, note.severity) == (UNIT, "a", Severity.NOTE)
    assert (note.message, note.hint) == said


def test_those_that_are_heeded_alike_are_told_at_once() -> None:
    drop_ins = [
        DropIn(path="/1"), DropIn(path="/2", heeded=Heeded.AT_RESTART), DropIn(path="/3")
    ]  # fmt: skip
    assert [note.message.partition(": ")[2] for note in heed.told(UNIT, drop_ins)] == ["/1, /3", "/2"]


def test_a_user_types_something_else() -> None:
    unread = {UNIT: (DropIn(path="/x.conf", heeded=Heeded.AT_RELOAD),)}
    (note,) = heed.problems(Observed(facts=Facts(layout=Layout(user=True)), foreign_drop_ins=unread), Plan())
    assert note.hint == "systemctl --user daemon-reload && ollamactl --user restart a"
