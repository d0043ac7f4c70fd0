import pytest

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


def test_a_problem_says_where_what_and_what_to_type() -> None:
    place = Location(file="fleet.yaml", line=12, column=9, source="  port: x")
    problem = Problem(message="must be a number", hint="write 11434", path="instances.a.port", location=place)

    assert str(problem) == (
        "fleet.yaml:12:9: instances.a.port: must be a number\n      port: x\n            ^\n  hint: write 11434"
    )


def test_a_problem_without_a_place() -> None:
    problem = Problem(message="is masked", path="ollama@a.service", severity=Severity.WARNING)

    assert str(problem) == "warning: ollama@a.service: is masked"


@pytest.mark.parametrize("column", [1, 60, 61, 62, 500])
def test_the_caret_stands_under_its_column_in_a_long_line(column: int) -> None:
    source = "".join(chr(ord("a") + at % 26) for at in range(1000))
    place = Location(file="f", line=1, column=column, source=source)

    _, shown, caret = str(Problem(message="m", location=place)).split("\n")
    assert shown[caret.index("^")] == source[column - 1]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OllamactlError("x"), ExitCode.FAILED),
        (HostError("x"), ExitCode.FAILED),
        (UsageError("x"), ExitCode.USAGE),
        (NotPermitted("x", hint="sudo"), ExitCode.NOT_PERMITTED),
        (SpecError([]), ExitCode.SPEC),
    ],
)
def test_exit_codes(error: OllamactlError, code: ExitCode) -> None:
    assert error.exit_code is code


def test_every_error_is_also_a_list_of_problems() -> None:
    assert NotPermitted("needs root", hint="sudo x").problems == (Problem(message="needs root", hint="sudo x"),)
    assert SpecError([Problem(message="a"), Problem(message="b")]).problems[1].message == "b"
