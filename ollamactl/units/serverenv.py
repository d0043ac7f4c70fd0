"""A server's variables as it really has them, beside what the spec says, and where the two differ, in words. Pure.

Three things know of them: the installed drop-in (the spec's words), the manager's Environment= (with what an
administrator's drop-ins add), and the process (which root may see). The later of them that is known is the truth.
"""

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ollamactl.units import changes, secretfile, unitfile

_SECRET = re.compile(r"^([A-Za-z_]\w*)=", re.MULTILINE | re.ASCII)
_OWN = (changes.CONFIG, secretfile.VARIABLE)

Variables = Mapping[str, str]


class Note(NamedTuple):
    """What is to be known of a variable, or of all."""

    variable: str
    words: str

    def __str__(self) -> str:
        """One line."""
        return f"{self.variable} {self.words}".lstrip()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerEnvironment:
    """What `env --server` tells."""

    variables: Variables
    notes: tuple[Note, ...]

    @property
    def text(self) -> str:
        """Lines for a POSIX shell to evaluate, each note as a comment: above its variable, or at the end."""
        lines = []
        for name, value in self.variables.items():
            lines += [f"# {note}" for note in self.notes if note.variable == name]
            lines.append(export(name, value))
        return "\n".join([*lines, *(f"# {note}" for note in self.notes if note.variable not in self.variables)])


def export(name: str, value: str) -> str:
    """A line for a POSIX shell to evaluate."""
    return f"export {name}={shlex.quote(value)}"


def declared(drop_in: str, home: str) -> dict[str, str]:
    """What an installed drop-in sets, and the home that the template gives."""
    at = (d for d in unitfile.parse(drop_in) if (d.section, d.key) == ("Service", "Environment"))
    found = dict(unitfile.unquote_environment(directive.value) for directive in at)
    return {"HOME": home, **{name: value for name, value in found.items() if name not in _OWN}}


def environment_files(drop_in: str) -> tuple[str, ...]:
    """The files that an installed drop-in names, secrets first."""
    at = (d for d in unitfile.parse(drop_in) if (d.section, d.key) == ("Service", "EnvironmentFile"))
    return tuple(directive.value.replace("%%", "%").strip().removeprefix("-") for directive in at)


def secret_names(text: str) -> tuple[str, ...]:
    """The names in a file of secrets of ours."""
    return tuple(name for name in _SECRET.findall(text) if name not in _OWN)


def tell(
    said: Variables,
    loaded: Variables | None,
    process: Variables | None,
    *,
    hidden: Sequence[str] = (),
    overridden: bool = False,
) -> ServerEnvironment:
    """What the spec has `said`, the manager has `loaded` and the `process` was started with, the last two if known.

    `hidden` are the names of secrets; `overridden` says that there are drop-ins of an administrator.
    """
    by = "by an administrator's drop-in" if overridden else "in what systemd has read"
    names = [name for name in dict.fromkeys((*said, *(loaded or ()))) if name not in (*_OWN, *hidden)]
    variables: dict[str, str] = {}
    notes: list[Note] = []
    for name in names:
        wanted, set_to = said.get(name), (said if loaded is None else loaded).get(name)
        actual = set_to if process is None else process.get(name)
        if actual in (wanted, set_to) or not changes.looks_secret(name):
            variables |= {} if actual is None else {name: actual}
        notes += [Note(name, words) for words in _words(wanted, set_to, actual, by)]
    notes += [Note(name, "is in secrets") for name in hidden]
    return ServerEnvironment(variables=variables, notes=tuple(notes))


def _words(wanted: str | None, set_to: str | None, actual: str | None, by: str) -> Iterator[str]:
    spec = "is not in the spec" if wanted is None else f"is {json.dumps(wanted)} in the spec"
    if set_to != wanted:
        drop_in = "unset" if set_to is None else f"set to {json.dumps(set_to)}"
        when = "" if set_to == actual else ", from the next start on"
        yield f"{spec}, and {drop_in} {by}{when}"
    elif actual != wanted:
        yield f"{spec}, and {'not set' if actual is None else 'something else'} in the running server"
