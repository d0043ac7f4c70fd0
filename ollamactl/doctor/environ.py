"""The environment that a unit gives its server, as systemd.exec(5) puts it together, with each value's origin. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ollamactl.units import envconfig, envfile


@dataclass(frozen=True, slots=True)
class Given:
    """A value, and the file that it comes from; empty where that is not known."""

    value: str
    where: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """A server's variables."""

    given: Mapping[str, Given] = field(default_factory=dict)
    complete: bool = True
    """False where a part of it could not be read: what is not in it may still be set."""

    def get(self, name: str) -> str:
        """The value as Ollama sees it, without blanks and quotes around; empty where it is unset."""
        found = self.given.get(name)
        return envconfig.word(found.value) if found else ""

    def lacks(self, name: str) -> bool:
        """Whether it is sure that the variable is unset or empty."""
        return self.complete and not self.get(name)

    def told(self, name: str) -> str:
        """`OLLAMA_VULKAN=off in /etc/default/ollama`, or `OLLAMA_VULKAN is not set`."""
        found = self.given.get(name)
        if not found:
            return f"{name} is not set"
        value = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in found.value)
        return f"{name}={value}" + (f" in {found.where}" if found.where else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentFile:
    """A file of EnvironmentFile=."""

    path: str
    optional: bool
    """With a dash before it: where it is missing the unit starts all the same."""
    text: str | None = None
    """None where there is none, or where the caller may not read it."""
    missing: bool = False


def assemble(
    manager: Iterable[str],
    assignments: Iterable[str],
    unit_files: Mapping[str, str],
    environment_files: Iterable[EnvironmentFile],
    unset: Iterable[str],
) -> Environment:
    """Later ones win: the manager's own variables, Environment= (as the manager tells it), then the files' in order.

    `unit_files` are the texts of the unit and its drop-ins in systemd's order, to tell where a value was written.
    """
    given = {name: Given(value) for name, value in _pairs(manager)}
    given |= {name: Given(value, _written_in(name, unit_files)) for name, value in _pairs(assignments)}
    complete = True
    for file in environment_files:
        if file.text is None:
            complete = complete and file.missing
        else:
            given |= {name: Given(value, file.path) for name, value in envfile.parse(file.text).items()}
    for word in unset:
        name, equals, value = word.partition("=")
        if name in given and (not equals or given[name].value == value):
            del given[name]
    return Environment(given=given, complete=complete)


def _pairs(words: Iterable[str]) -> Iterable[tuple[str, str]]:
    return ((name, value) for name, equals, value in (word.partition("=") for word in words) if equals)


def _written_in(name: str, texts: Mapping[str, str]) -> str:
    setting = re.compile(rf"^\s*Environment\s*=.*\b{re.escape(name)}=", re.MULTILINE)
    return next((path for path, text in reversed(list(texts.items())) if setting.search(text.replace("\\\n", " "))), "")
