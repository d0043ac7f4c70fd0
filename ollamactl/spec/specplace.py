"""Problems of an instance, put where the spec writes the value: in the instance or in `defaults`."""

import re
from collections.abc import Iterator, Mapping

from ollamactl.errors import Location, Problem, Severity
from ollamactl.spec import suggest

Path = tuple[str | int, ...]
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def dotted(path: Path) -> str:
    """A path as messages write it: `instances.mistral.allow[0]`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{_short(part)}" for part in _printable(path))
    return text.removeprefix(".")


def _short(key: str) -> str:
    return (key if len(key) <= 80 else f"{key[:77]}...") or '""'


def _printable(path: Path) -> Iterator[str | int]:
    """The parts of a path but those of a secret: what is no name below `secrets`, and what is stuck to that word."""
    secret = False
    for part in path:
        if isinstance(part, str) and suggest.resembles(part, "secrets"):
            secret, part = True, re.split(r"[^\w.-]", part, maxsplit=1)[0]  # noqa: PLW2901
        elif secret and isinstance(part, str) and not _NAME.fullmatch(part):
            name, assigns, _ = part.partition("=")
            if assigns and _NAME.fullmatch(name):
                yield name
            return
        yield part


class Place:
    """Finds where a value stands."""

    def __init__(self, locations: Mapping[Path, Location]) -> None:
        self._locations = locations

    def of(self, instance: str, *keys: str | int) -> Path:
        """The path of an instance's value: its own, that of `defaults`, or the nearest that is written."""
        own: Path = ("instances", instance, *keys)
        shared: Path = ("defaults", *keys)
        if own in self._locations:
            return own
        if shared in self._locations:
            return shared
        if keys and isinstance(keys[-1], int):
            return self.of(instance, *keys[:-1])
        # Of what is written nowhere, the group that it would stand in counts.
        return shared if shared[:2] in self._locations and own[:3] not in self._locations else own

    def written(self, instance: str, *keys: str | int) -> bool:
        """Whether the instance itself writes the value."""
        return ("instances", instance, *keys) in self._locations

    def line(self, path: Path) -> str:
        """` (line 12)` of the place, or an empty string."""
        location = self._find(path)
        return f" (line {location.line})" if location else ""

    def problem(self, path: Path, message: str, hint: str = "", severity: Severity = Severity.ERROR) -> Problem:
        """A problem at a path, or at the nearest one above it that is written."""
        return Problem(
            message=message,
            hint=hint,
            path=dotted(path),
            location=self._find(path),
            severity=severity,
            instance=str(path[1]) if path[0] == "instances" and len(path) > 1 else "",
        )

    def _find(self, path: Path) -> Location | None:
        while path:
            if (location := self._locations.get(path)) is not None:
                return location
            path = path[:-1]
        return None
