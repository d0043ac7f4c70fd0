"""The directives of a unit's files with their lines, and which of them gave a variable (systemd.syntax(7)). Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ollamactl.doctor.environ import EnvironmentFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Directive:
    """One assignment; `line` is where it begins."""

    section: str
    name: str
    value: str
    path: str
    line: int

    @property
    def place(self) -> str:
        """`/etc/systemd/system/ollama.service:7`."""
        return f"{self.path}:{self.line}"


def read(texts: Mapping[str, str]) -> tuple[Directive, ...]:
    """All of them in systemd's order; an empty value that took back those before it has taken them away."""
    found: list[Directive] = []
    for path, text in texts.items():
        for each in _parse(path, text):
            if each.value:
                found.append(each)
            else:
                found = [other for other in found if (other.section, other.name) != (each.section, each.name)]
    return tuple(found)


def last(directives: Sequence[Directive], name: str) -> Directive | None:
    """The one that has the last word."""
    return next((each for each in reversed(directives) if each.name == name), None)


def origin(name: str, directives: Sequence[Directive], files: Sequence[EnvironmentFile]) -> str:
    """Where a variable was given its value, as file and line; empty where none of them did. The last file wins."""
    in_file = re.compile(rf"^[ \t]*{re.escape(name)}[ \t]*=", re.MULTILINE)
    for file in reversed(files):
        if matches := list(in_file.finditer(file.text or "")):
            return f"{file.path}:{(file.text or '').count(chr(10), 0, matches[-1].start()) + 1}"
    in_unit = re.compile(rf"(?:^|[\s\"']){re.escape(name)}=")
    given = (each for each in reversed(directives) if each.name == "Environment" and in_unit.search(each.value))
    return next((each.place for each in given), "")


def _parse(path: str, text: str) -> Iterator[Directive]:
    section, begun, at = "", "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if stripped.startswith(("#", ";")) or (not stripped and not begun):
            continue  # a comment does not end what goes on over several lines
        at = at if begun else number
        if stripped.endswith("\\"):
            begun += f"{stripped[:-1]} "
            continue
        whole, begun = f"{begun}{stripped}".strip(), ""
        if whole.startswith("[") and whole.endswith("]"):
            section = whole[1:-1]
            continue
        name, equals, value = whole.partition("=")
        if equals:
            yield Directive(section=section, name=name.strip(), value=value.strip(), path=path, line=at)
