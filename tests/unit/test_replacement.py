"""What is said where the fleet of another spec would go."""

import pytest

from ollamactl.errors import Severity
from ollamactl.model import Fleet, Instance
from ollamactl.observed import Observed, Running
from ollamactl.planning import replacement

HOST = Observed(
    wanted=frozenset({"ollama@new.service", "ollama@llama3.service"}),
    running={"mistral": Running(config="0123"), "theirs": Running()},
)
OLD, NEW = "/etc/ollamactl/fleet.yaml", "/home/x/my fleet.yaml"


def said(*, old: str = OLD, new: str = NEW, there: bool = True, wanted: bool = False) -> tuple[Severity, str, str]:
    found = replacement.problem(
        ("llama3", "mistral"), old=old, new=new, there=there, wanted=wanted, command="sudo ollamactl apply"
    )
    return found.severity, found.message, found.hint


def test_who_leaves_is_ours_and_not_in_the_spec() -> None:
    fleet = Fleet(instances=(Instance(name="new", port=1, models=()),))
    assert replacement.leaving(fleet, HOST, ()) == ("llama3", "mistral")
    assert replacement.leaving(fleet, HOST, ("new",)) == ()
    assert replacement.leaving(Fleet(), Observed(), ()) == ()


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
