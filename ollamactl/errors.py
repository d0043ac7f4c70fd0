"""What can go wrong, as values and exceptions, each with the exit code that it ends in.

    OllamactlError            1   what was asked for did not happen
    ├── SpecError            78   the spec is wrong (sysexits.h EX_CONFIG); holds every problem found
    ├── NotPermitted         77   needs root, or a right that the caller lacks (sysexits.h EX_NOPERM)
    ├── UsageError            2   the command line asks for something impossible
    ├── Interrupted         130   SIGINT or SIGTERM ended it (128 + 2, as shells count)
    └── HostError             1   the host does not let us: no manager, full disk, foreign file

Only the command line turns an exception into an exit code.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum


class ExitCode(IntEnum):
    """How a command ends; the contract with scripts and Ansible."""

    OK = 0
    FAILED = 1
    USAGE = 2
    DRIFT = 3
    NOT_PERMITTED = 77
    SPEC = 78
    INTERRUPTED = 130


class Severity(StrEnum):
    """How much a problem matters: an error stops, a warning is shown, a note informs."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """A place in a text file: the file as the user named it, line and column counted from 1."""

    file: str
    line: int
    column: int
    source: str = ""
    """The whole line of text, for the caret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong: what, where, and what to type next."""

    message: str
    hint: str = ""
    path: str = ""
    """The key's path in the spec (`instances.mistral.port`), or the file or unit concerned."""
    location: Location | None = None
    severity: Severity = Severity.ERROR
    instance: str = ""

    def __str__(self) -> str:
        """`file:line:col: path: message`, or with the severity for what is no error or has no place in a spec.

        Then the source line with a caret, and the hint: as many as are known.
        """
        at = self.location
        place = f"{at.file}:{at.line}:{at.column}" if at else ""
        severity = "" if at and self.severity is Severity.ERROR else str(self.severity)
        lines = [": ".join(part for part in (place, severity, self.path, self.message) if part)]
        if at and at.source and self.severity is not Severity.NOTE:
            start = max(0, at.column - 61)
            lines.append(f"    {at.source[start : start + 120]}")
            lines.append(" " * (4 + at.column - 1 - start) + "^")
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)


class WrongValueError(ValueError):
    """A value that cannot be: the sentence, what to type instead, and the place in a list."""

    def __init__(self, message: str, hint: str = "", item: int | None = None) -> None:
        super().__init__(message)
        self.hint, self.item = hint, item
        self.others: tuple[WrongValueError, ...] = ()
        """What else is wrong in the same list."""


def listed(names: Sequence[str]) -> str:
    """`a, b and c`, or the first few and how many more."""
    if len(names) > 6:
        names = [*names[:5], f"{len(names) - 5} more"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


class OllamactlError(Exception):
    """What was asked for did not happen. `str()` says what and where, `hint` what to do next."""

    exit_code = ExitCode.FAILED

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The error as problems, one unless a subclass holds more."""
        return (Problem(message=str(self), hint=self.hint),)


class SpecError(OllamactlError):
    """The spec is wrong; nothing was changed."""

    exit_code = ExitCode.SPEC

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self._problems = tuple(problems)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Every problem found, in the order of the file."""
        return self._problems


class NotPermitted(OllamactlError):
    """The caller may not do this; `hint` holds the command to type."""

    exit_code = ExitCode.NOT_PERMITTED


class UsageError(OllamactlError):
    """The command line asks for something impossible."""

    exit_code = ExitCode.USAGE


class HostError(OllamactlError):
    """The host does not let us: no manager, a full disk, a foreign file in our place."""


class Interrupted(OllamactlError):
    """Somebody ended the command by a signal."""

    exit_code = ExitCode.INTERRUPTED

    def __init__(self, signal: str) -> None:
        super().__init__(
            f"interrupted by {signal}",
            hint="the same command goes on from here; what is left to do: ollamactl plan",
        )
