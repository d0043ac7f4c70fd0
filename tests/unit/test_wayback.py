"""The way back that fails itself: both stories are told, whatever ended it."""

from pathlib import Path

import pytest

from ollamactl.cli.common import Settings
from ollamactl.cli.fleet import applied_result
from ollamactl.compiled import Compiled
from ollamactl.errors import HostError, Interrupted, OllamactlError
from ollamactl.files import ObservedFile
from ollamactl.generation import Ending, Generation, good
from ollamactl.host import observe
from ollamactl.host.unitdir import UnitDir
from ollamactl.model import Fleet, Instance
from ollamactl.outcome import Outcome
from ollamactl.room import Room
from ollamactl.wayback import taken_back, worth_it
from ollamactl.workflow import Applied, Planned
from tests.unit.executing import write
from tests.unit.fakes import refusal
from tests.unit.simhost import SimHost

FLEET = Fleet(instances=(Instance(name="a", port=11434, models=("llama3:latest",), gpus=()),))


def failed() -> Applied:
    """An apply that has written, and whose server then did not start."""
    simulated = SimHost()
    before, plan = simulated.observe(FLEET), simulated.plan(FLEET)
    compiled = Compiled(fleet=FLEET, facts=before.facts, files=(), there={})
    outcome = Outcome(done=[write("/etc/x")], problems=list(refusal("it did not start").problems))
    return Applied(planned=Planned(compiled=compiled, observed=before, plan=plan), outcome=outcome, generation=4)


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (HostError("systemd hangs", hint="see how it is"), "see how it is"),
        (HostError("the disk is bad"), "the same command again"),
        (Interrupted("SIGINT"), "the same command goes on from here; what is left to do: ollamactl plan"),
    ],
)
def test_what_ends_it_is_told_beside_the_first_failure(
    error: OllamactlError, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: UnitDir, __: object = None) -> dict[str, ObservedFile]:
        raise error

    monkeypatch.setattr(UnitDir, "managed", broken)
    first = failed()
    making = Room([], first.planned.plan, first.planned.observed)
    assert worth_it(first)

    undone = taken_back(
        observe.host(root=str(tmp_path)), first.planned, first, making, good=3, timeout=1, tell=lambda _, __: None
    )
    told = applied_result("apply", Applied(planned=first.planned, outcome=first.outcome, undone=undone), Settings())

    assert (told.exit_code, told.changed) == (1, True)
    assert [problem.message for problem in told.problems] == [
        "it did not start",
        f"what was changed could not be taken back: {error}",
    ]
    assert told.problems[1].hint == f"{hint}; or to the last generation that held: sudo ollamactl rollback 3"
    assert told.data["rollback"] == {"ok": False, "steps": [], "proofs": []}
    assert "FAILED to roll back" in told.text


def test_the_state_to_rely_on_is_the_newest_that_ended_well() -> None:
    endings = (Ending.DONE, Ending.DONE, Ending.UNFINISHED, Ending.FAILED, Ending.UNDONE)
    rows = [
        Generation(number=number, command="apply", when="", who="", ending=ending)
        for number, ending in enumerate(endings, start=1)
    ]
    assert (good(rows), good(rows[2:]), good([])) == (2, 0, 0)
