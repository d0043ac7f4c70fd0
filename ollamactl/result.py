"""What a command came to, as one value that is printed for people or as JSON; the envelope is a contract."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ollamactl import __version__
from ollamactl.errors import ExitCode, OllamactlError, Problem

STATUS = {
    ExitCode.OK: "ok",
    ExitCode.FAILED: "failed",
    ExitCode.USAGE: "usage",
    ExitCode.DRIFT: "drift",
    ExitCode.NOT_PERMITTED: "denied",
    ExitCode.SPEC: "invalid",
    ExitCode.INTERRUPTED: "interrupted",
}
"""The envelope's `status` for each exit code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One command's outcome."""

    command: str
    exit_code: ExitCode = ExitCode.OK
    changed: bool = False
    problems: tuple[Problem, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    """JSON values only: the command's own part of the envelope."""
    text: str = ""
    """The same for a person."""

    def envelope(self) -> dict[str, Any]:
        """The JSON document that `--output json` prints."""
        return {
            "ollamactl": __version__,
            "command": self.command,
            "status": STATUS[self.exit_code],
            "changed": self.changed,
            "problems": [problem_data(problem) for problem in self.problems],
            "data": dict(self.data),
        }


def problem_data(problem: Problem) -> dict[str, Any]:
    """A problem as JSON; places are given where they are known."""
    at = problem.location
    return {
        "severity": str(problem.severity),
        "message": problem.message,
        "path": problem.path,
        "instance": problem.instance,
        "hint": problem.hint,
        "file": at.file if at else None,
        "line": at.line if at else None,
        "column": at.column if at else None,
    }


def failure(command: str, error: OllamactlError) -> Result:
    """The result of a command that an error ended."""
    return Result(command=command, exit_code=error.exit_code, problems=error.problems)
