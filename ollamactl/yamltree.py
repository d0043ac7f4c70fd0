"""YAML text as plain data with the place of every value; the only importer of yaml.

Plain words are read by YAML 1.2's core schema: only `true` and `false` are booleans (`on`, `off`, `yes` and `no` are
words), and what readers of YAML take for different things (`010`, `12:30`, `1_000`) stays text.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import yaml  # type: ignore[import-untyped]

from ollamactl import spectext
from ollamactl.errors import Location, Problem, SpecError
from ollamactl.specplace import Path, dotted

_MAX_VALUES = 200_000
_MAX_DEPTH = 20
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# Control characters, line ends and noncharacters: systemd does not load a unit that holds one of the latter.
_UNSAFE = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ufdd0-\ufdef"
    + "".join(f"{chr(plane << 16 | 0xFFFE)}{chr(plane << 16 | 0xFFFF)}" for plane in range(17))
    + "]"
)
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[-+]?[0-9]{1,30}\.[0-9]{0,30}(?:[eE][-+]?[0-9]{1,3})?")
_WORDS: dict[str, bool | None] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_NOT_TEXT = frozenset("-+0123456789~nNtTfF")
_STR = "tag:yaml.org,2002:str"


class Locations(Mapping[Path, Location]):
    """Where each value stands: a scalar at its own place, a list or mapping at the key that holds it."""

    def __init__(self, file: str, lines: Sequence[str]) -> None:
        self._file, self._lines = file, lines
        self._values: dict[Path, tuple[int, int]] = {}
        self._keys: dict[Path, tuple[int, int]] = {}

    def __getitem__(self, path: Path) -> Location:
        return self._location(self._values[path])

    def __iter__(self) -> Iterator[Path]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def key(self, path: Path) -> Location | None:
        """Where the key itself stands; None where a list's item or nothing is there."""
        place = self._keys.get(path)
        return self._location(place) if place else None

    def record(self, path: Path, value: tuple[int, int], key: tuple[int, int] | None) -> None:
        """Note where a value and its key stand, as line and column counted from 0."""
        self._values[path] = value
        if key:
            self._keys[path] = key

    def _location(self, place: tuple[int, int]) -> Location:
        line, column = place
        text = self._lines[line] if line < len(self._lines) else ""
        return Location(file=self._file, line=line + 1, column=column + 1, source=text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A document as plain data."""

    data: Any
    locations: Locations
    words: Mapping[Path, str]
    """The text of each value that is no string: `1.10` of the number 1.1."""
    problems: tuple[Problem, ...]
    """What is wrong with the YAML but leaves data to look at: duplicate keys, keys that are no words."""


def parse(data: bytes, *, name: str) -> Tree:
    """Read one YAML document; `name` is what messages call the file.

    Raises SpecError where there is nothing to look at: no YAML, no text, too big, too deep.
    """
    text = spectext.decode(data, name)
    lines = text.splitlines()
    try:
        root = _compose(text, name, lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = _at(name, lines, mark.line, mark.column) if mark else None
        raise SpecError([Problem(message=_sentence(error), hint=_hint(error), location=at)]) from error
    except yaml.YAMLError as error:
        raise SpecError([Problem(message=f"is no YAML: {error}", path=name)]) from error
    if root is None:
        raise SpecError([Problem(message="is empty", path=name, hint="write a first spec with: ollamactl init")])
    builder = _Builder(name, lines)
    value = builder.build(root, (), 0)
    return Tree(
        data=value,
        locations=builder.locations,
        words=builder.words,
        problems=tuple(builder.problems),
    )


@dataclass(slots=True)
class _Node:
    """A scalar (text), a list of nodes, or a list of (key, value) pairs of nodes."""

    place: tuple[int, int]
    text: str | None = None
    plain: bool = False
    items: "list[_Node] | None" = None
    pairs: "list[tuple[_Node, _Node]] | None" = None
    open: bool = True


def _compose(text: str, name: str, lines: Sequence[str]) -> _Node | None:
    """Events to nodes, without recursion and with limits, so that no text can exhaust stack, memory or patience."""
    root: _Node | None = None
    stack: list[_Node] = []
    waiting: list[_Node | None] = []  # for each mapping on the stack: the key whose value comes next
    anchors: dict[str, _Node] = {}
    count = 0
    events = yaml.parse(text, Loader=_LOADER)
    for event in events:
        kind = type(event)
        if kind is yaml.ScalarEvent or kind is yaml.SequenceStartEvent or kind is yaml.MappingStartEvent:
            mark = event.start_mark
            place = (mark.line, mark.column)
            if event.tag is not None and event.tag != "!" and not (kind is yaml.ScalarEvent and event.tag == _STR):
                raise _fatal(name, lines, place, f"the tag {event.tag!r} is not allowed", "remove the tag")
            if kind is yaml.ScalarEvent:
                node = _Node(place, event.value, event.implicit[0] and event.tag is None)
                # An alias that stands for a mapping's key needs no more than its text.
                node.open = False
            elif kind is yaml.SequenceStartEvent:
                node = _Node(place, items=[])
            else:
                node = _Node(place, pairs=[])
            if event.anchor:
                anchors[event.anchor] = node
        elif kind is yaml.AliasEvent:
            place = (event.start_mark.line, event.start_mark.column)
            found = anchors.get(event.anchor)
            if found is None:
                raise _fatal(name, lines, place, f"no anchor &{event.anchor} stands before this")
            if found.open:
                raise _fatal(name, lines, place, f"*{event.anchor} stands inside its own anchor")
            node = found
        elif kind is yaml.SequenceEndEvent or kind is yaml.MappingEndEvent:
            stack.pop().open = False
            waiting.pop()
            continue
        elif kind is yaml.DocumentStartEvent and root is not None:
            place = (event.start_mark.line, event.start_mark.column)
            raise _fatal(name, lines, place, "a second document begins here; a spec is one", "remove this ---")
        else:
            continue
        count += 1
        if count > _MAX_VALUES:
            raise _too_many(name)
        if not stack:
            root = node
        else:
            top = stack[-1]
            if top.items is not None:
                top.items.append(node)
            elif (key := waiting[-1]) is None:
                waiting[-1] = node
            else:
                cast(list[tuple[_Node, _Node]], top.pairs).append((key, node))
                waiting[-1] = None
        if kind is yaml.SequenceStartEvent or kind is yaml.MappingStartEvent:
            stack.append(node)
            waiting.append(None)
            if len(stack) > _MAX_DEPTH:
                raise _fatal(name, lines, node.place, f"is nested deeper than {_MAX_DEPTH} levels")
    if root and root.text == "" and root.plain:
        return None
    return root


class _Builder:
    """Nodes to data; aliases are expanded here, so here stands their limit."""

    def __init__(self, name: str, lines: Sequence[str]) -> None:
        self.name, self.lines = name, lines
        self.locations = Locations(name, lines)
        self.words: dict[Path, str] = {}
        self.problems: list[Problem] = []
        self.left = _MAX_VALUES

    def build(self, node: _Node, path: Path, depth: int, key: tuple[int, int] | None = None) -> Any:
        self.left -= 1
        if self.left < 0:
            raise _too_many(self.name)
        if depth > _MAX_DEPTH:
            raise _fatal(self.name, self.lines, node.place, f"is nested deeper than {_MAX_DEPTH} levels")
        text = node.text
        if text is not None:
            self.locations.record(path, node.place, key)
            if node.plain:
                return self._plain(text, path) if not text or text[0] in _NOT_TEXT else text
            if _UNSAFE.search(text):
                self._unsafe(text, path, self.locations[path])
            return text
        self.locations.record(path, key or node.place, key)
        if node.items is not None:
            return [self.build(item, (*path, at), depth + 1) for at, item in enumerate(node.items)]
        return self._mapping(node, path, depth)

    def _plain(self, text: str, path: Path) -> Any:
        value = _resolve(text)
        if value is not text:
            self.words[path] = text
        return value

    def _mapping(self, node: _Node, path: Path, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        first: dict[str, tuple[int, int]] = {}
        merged: list[_Node] = []
        for key, value in cast(list[tuple[_Node, _Node]], node.pairs):
            word = key.text
            if word is None:
                self._problem(path, key.place, "a key must be a word, not a list or a mapping")
                continue
            if key.plain:
                if word == "<<":
                    merged += self._sources(value, path)
                    continue
                if (not word or word[0] in _NOT_TEXT) and not isinstance(_resolve(word), str):
                    shown = word or "nothing"
                    self._problem(path, key.place, f"a key must be a word, not {shown}", f'quote it: "{word}"')
                    continue
            elif _UNSAFE.search(word):
                self._unsafe(word, path, _at(self.name, self.lines, *key.place))
                continue
            if word in first:
                line = first[word][0] + 1
                message = f"{word} is given twice; first in line {line}"
                self._problem((*path, word), key.place, message, "keep one of the two")
                continue
            first[word] = key.place
            result[word] = self.build(value, (*path, word), depth + 1, key.place)
        for source in merged:
            for key, value in source.pairs or ():
                if key.plain and key.text == "<<":
                    self._problem(path, key.place, "a mapping that is merged with << may not hold a << of its own")
                elif key.text is not None and key.text not in result:
                    result[key.text] = self.build(value, (*path, key.text), depth + 1, key.place)
        return result

    def _sources(self, value: _Node, path: Path) -> list[_Node]:
        sources = [value] if value.items is None else value.items
        if any(source.pairs is None for source in sources):
            self._problem(path, value.place, "<< merges mappings, and this is none", "write <<: *ANCHOR")
            return []
        return sources

    def _problem(self, path: Path, place: tuple[int, int], message: str, hint: str = "") -> None:
        location = _at(self.name, self.lines, *place)
        self.problems.append(Problem(message=message, hint=hint, path=dotted(path), location=location))

    def _unsafe(self, text: str, path: Path, location: Location) -> None:
        bad = cast(re.Match[str], _UNSAFE.search(text))[0]
        what = "a line break" if bad in "\n\r\x85\u2028\u2029" else f"the character U+{ord(bad):04X}"
        hint = "write it in one line; after | or > that takes |- or >-" if bad == "\n" else "remove it"
        problem = Problem(message=f"holds {what}", hint=hint, path=dotted(path), location=location)
        self.problems.append(problem)


def _resolve(text: str) -> Any:
    """The value of a plain word; the very same object where it is text."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def _at(name: str, lines: Sequence[str], line: int, column: int) -> Location:
    source = lines[line] if line < len(lines) else ""
    return Location(file=name, line=line + 1, column=column + 1, source=source)


def _fatal(name: str, lines: Sequence[str], place: tuple[int, int], message: str, hint: str = "") -> SpecError:
    return SpecError([Problem(message=message, hint=hint, location=_at(name, lines, *place))])


def _too_many(name: str) -> SpecError:
    message = f"holds more than {_MAX_VALUES} values, aliases counted as often as they stand"
    return SpecError([Problem(message=message, path=name)])


def _sentence(error: yaml.MarkedYAMLError) -> str:
    parts = [part for part in (error.context, error.problem) if part]
    return f"is no YAML: {', '.join(parts)}"


def _hint(error: yaml.MarkedYAMLError) -> str:
    problem = str(error.problem)
    if "mapping values are not allowed" in problem:
        return "quote a value that holds a colon and a space, and look at the indentation"
    if "\\t" in problem or "cannot start any token" in problem:
        return "indent with spaces, not tabs, and quote a value that begins with @, ` or %"
    if "could not find expected ':'" in problem or "did not find expected key" in problem:
        return "look at the indentation here and in the line before"
    if "quoted scalar" in str(error.context):
        return "a quote that is opened must be closed"
    return ""
