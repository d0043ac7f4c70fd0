"""Taking a service's place: its stop and its successor's start go together, and nothing else comes between."""

from ollamactl.model import Instance
from ollamactl.outcome import Outcome
from ollamactl.planning.plan import Step, StepKind
from tests.unit.executing import Lab, named, started, step
from tests.unit.fakes import refusal

LINKS = {"/etc/systemd/system/a.target.wants/ollama.service": "/etc/systemd/system/ollama.service"}


def leaving(target: Instance, unit: str = "ollama.service") -> list[Step]:
    return [
        step(StepKind.DISABLE, unit, instance=target.name, links=LINKS),
        step(StepKind.DISPLACE, unit, instance=target.name),
    ]


def jobs(lab: Lab) -> list[str]:
    return [line for line in lab.diary.lines if line.split()[0].endswith("Unit")]


def given_up(lab: Lab, *steps: Step) -> Outcome:
    return lab.execute(*steps, timeout=0.1)


def test_its_successor_is_the_first_to_start_when_all_is_in_place() -> None:
    lab, one, two = Lab(), named("one", 1), named("two", 2)

    given_up(lab, *started(two), *started(one), *leaving(one), step(StepKind.RELOAD, "systemd"))

    assert lab.diary.lines[:2] == [f"unlink {next(iter(LINKS))}", "reload"]
    assert jobs(lab) == ["StopUnit ollama.service", f"StartUnit {one.unit}", f"StartUnit {two.unit}"]


def test_who_waits_for_two_starts_after_both() -> None:
    lab, one = Lab(), named("one", 1)

    given_up(lab, *started(one), *leaving(one), *leaving(one, "b.service"))

    assert jobs(lab) == ["StopUnit ollama.service", "StopUnit b.service", f"StartUnit {one.unit}"]


def test_where_it_does_not_stop_its_successor_is_not_started() -> None:
    lab, one, two = Lab(), named("one", 1), named("two", 2)
    lab.manager.results = {"StopUnit ollama.service": "timeout"}

    outcome = given_up(lab, *started(one), *started(two), *leaving(one))

    assert jobs(lab) == ["StopUnit ollama.service", f"StartUnit {two.unit}"]
    assert [str(problem.message) for problem in outcome.problems] == ["it did not stop: timeout"]
    assert not outcome.ok


def test_who_is_up_already_is_left_alone() -> None:
    """install.sh was run again: its service crash-loops beside the server."""
    lab, one = Lab(), named("one", 1)

    outcome = lab.execute(*leaving(one))

    assert jobs(lab) == ["StopUnit ollama.service"]
    assert (outcome.ok, len(outcome.done)) == (True, 2)


def test_what_comes_back_is_started_last_and_after_its_links() -> None:
    lab, one = Lab(), named("one", 1)
    back = [step(StepKind.ENABLE, "ollama.service", links=LINKS), step(StepKind.RESTORE, "ollama.service")]

    given_up(lab, *back, step(StepKind.STOP, "ollama@gone.service"), step(StepKind.RELOAD, "systemd"), *started(one))

    assert lab.diary.lines == [
        "StopUnit ollama@gone.service", f"relink {next(iter(LINKS))}", "reload", f"StartUnit {one.unit}",
        "StartUnit ollama.service",
    ]  # fmt: skip


def test_links_that_cannot_go_stop_nothing() -> None:
    lab, one = Lab(), named("one", 1)
    lab.diary.failures = {f"unlink {next(iter(LINKS))}": refusal()}

    outcome = lab.execute(*leaving(one), step(StepKind.RELOAD, "systemd"))

    assert (outcome.complete, jobs(lab)) == (False, [])
