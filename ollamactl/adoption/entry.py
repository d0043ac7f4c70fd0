"""What is carried over, and what is not: one value or one sentence each, with where it comes from. Pure."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One key of an instance."""

    key: str
    """With its group where it is in one: `restart.delay`, `environment.OLLAMA_DEBUG`."""
    value: str = field(repr=False)
    """As YAML writes it."""
    where: str
    """The directive or variable, and its file and line; or why it is written where nothing set it."""
    hidden: bool = False
    """A secret that is not to be printed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """Something that the spec cannot say, or says for itself."""

    what: str
    where: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    """One server as an instance."""

    name: str
    unit: str
    binary: Entry | None = None
    models: tuple[str, ...] = ()
    store: str = ""
    """The folder of its models; empty where it is not known."""
    store_from: str = ""
    entries: tuple[Entry, ...] = ()
    left: tuple[Left, ...] = ()


def quoted(text: str) -> str:
    """Any text as YAML's double quotes hold it; what is no character (a byte that is no UTF-8) is replaced."""
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(letter: str) -> str:
    if letter in '"\\':
        return f"\\{letter}"
    if letter.isprintable():
        return letter
    return f"\\U{ord(letter):08x}" if not 0xD800 <= ord(letter) < 0xE000 else "\N{REPLACEMENT CHARACTER}"
