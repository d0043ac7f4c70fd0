"""What is said where the fleet of another spec would go."""

import pytest

from ollamactl import replacement
from ollamactl.errors import Severity
from ollamactl.model import Fleet, Instance
from ollamactl.plan import Plan, Step, StepKind

PLAN = Plan(
    steps=(
        Step(kind=StepKind.WRITE, subject="/etc/systemd/system/ollama@new.service.d/10-ollamactl.conf", instance="new"),
        Step(kind=StepKind.STOP, subject="ollama@mistral.service", instance="mistral"),
        Step(kind=StepKind.DISABLE, subject="ollama@llama3.service", instance="llama3"),
        Step(kind=StepKind.REMOVE, subject="/var/lib/ollamactl/views/llama3/README", instance="llama3"),
        Step(kind=StepKind.RELOAD, subject="systemd"),
    )
)
OLD, NEW = "/etc/ollamactl/fleet.yaml", "/home/x/my fleet.yaml"


def said(*, old: str = OLD, new: str = NEW, there: bool = True, wanted: bool = False) -> tuple[Severity, str, str]:
    found = replacement.problem(
        ("llama3", "mistral"), old=old, new=new, there=there, wanted=wanted, command="sudo ollamactl apply"
    )
    return found.severity, found.message, found.hint


def test_who_leaves_is_who_has_steps_and_is_not_in_the_spec() -> None:
    assert replacement.leaving(Fleet(instances=(Instance(name="new", port=1, models=()),)), PLAN) == (
        "llama3",
        "mistral",
    )
    assert replacement.leaving(Fleet(), Plan()) == ()


@pytest.mark.parametrize(
    ("new", "applied", "typed"),
    [(NEW, NEW, "'/home/x/my fleet.yaml'"), ("/x.yaml", "/x.yaml", "/x.yaml"), ("", "this one", "-")],
)
def test_the_fleet_of_a_spec_that_is_still_there_goes_only_when_that_was_asked_for(
    new: str, applied: str, typed: str
) -> None:
    way_out = "one machine has one fleet: put the instances into that file, or replace it with: "
    assert said(new=new) == (
        Severity.ERROR,
        f"the installed fleet comes from {OLD}; applying {applied} would remove llama3 and mistral",
        f"{way_out}sudo ollamactl apply --replace {typed}",
    )
    assert said(new=new, wanted=True) == (
        Severity.NOTE, f"this removes llama3 and mistral: the installed fleet came from {OLD}", ""
    )  # fmt: skip


def test_the_fleet_of_a_spec_that_is_gone_goes_with_a_note() -> None:
    for wanted in (False, True):
        assert said(there=False, wanted=wanted)[:2] == (
            Severity.NOTE, f"this removes llama3 and mistral: the installed fleet came from {OLD}, which is gone"
        )  # fmt: skip
        assert said(old="", there=False, wanted=wanted)[:2] == (
            Severity.NOTE, "this removes llama3 and mistral: the installed fleet came from standard input"
        )  # fmt: skip
