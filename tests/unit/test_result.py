"""The envelope of every command, and how each exception becomes one."""

import pytest

from ollamactl import __version__
from ollamactl.errors import (
    ExitCode,
    HostError,
    Location,
    NotPermitted,
    OllamactlError,
    Problem,
    Severity,
    SpecError,
    UsageError,
)
from ollamactl.result import STATUS, Result, failure, problem_data


def test_the_envelope_has_its_keys_in_this_order() -> None:
    result = Result(command="plan", exit_code=ExitCode.DRIFT, changed=True, data={"steps": []}, text="for people")
    assert list(result.envelope().items()) == [
        ("ollamactl", __version__),
        ("command", "plan"),
        ("status", "drift"),
        ("changed", True),
        ("problems", []),
        ("data", {"steps": []}),
    ]


def test_every_exit_code_has_its_word_and_number() -> None:
    assert {int(code): STATUS[code] for code in ExitCode} == {
        0: "ok",
        1: "failed",
        2: "usage",
        3: "drift",
        77: "denied",
        78: "invalid",
        130: "interrupted",
    }


def test_a_problem_has_every_key_also_where_nothing_is_known() -> None:
    assert problem_data(Problem(message="x", severity=Severity.NOTE)) == {
        "severity": "note",
        "message": "x",
        "path": "",
        "instance": "",
        "hint": "",
        "file": None,
        "line": None,
        "column": None,
    }
    at = Location(file="fleet.yaml", line=3, column=7, source="the line")
    told = problem_data(Problem(message="x", location=at, instance="a", path="instances.a", hint="y"))
    assert (told["file"], told["line"], told["column"]) == ("fleet.yaml", 3, 7)
    assert (told["instance"], told["path"], told["hint"]) == ("a", "instances.a", "y")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OllamactlError("no"), 1),
        (HostError("no"), 1),
        (UsageError("no"), 2),
        (NotPermitted("no"), 77),
        (SpecError([Problem(message="no")]), 78),
    ],
)
def test_an_exception_ends_with_its_own_code_and_its_problems(error: OllamactlError, code: int) -> None:
    result = failure("apply", error)
    assert (int(result.exit_code), result.changed, result.text) == (code, False, "")
    assert [problem.message for problem in result.problems] == ["no"]


def test_a_wrong_spec_keeps_all_its_problems_in_order() -> None:
    problems = [Problem(message=str(number)) for number in range(5)]
    assert [problem.message for problem in failure("check", SpecError(problems)).problems] == ["0", "1", "2", "3", "4"]


def test_the_hint_of_an_exception_is_the_problems() -> None:
    (problem,) = failure("apply", NotPermitted("no", hint="sudo !!")).problems
    assert problem.hint == "sudo !!"
