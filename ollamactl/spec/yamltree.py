"""YAML text as plain data with the place of every value. Pure.

Plain words are read by YAML 1.2's core schema: only `true` and `false` are booleans (`on`, `off`, `yes` and `no` are
words). What readers of YAML take for different things (`010`, `12:30`, `1_000`, `1.10`) stays text.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ollamactl.errors import Location, Problem
from ollamactl.spec import spectext, yamlnodes
from ollamactl.spec.specplace import Path, dotted
from ollamactl.spec.spectext import Spot, Text
from ollamactl.spec.yamlnodes import MAX_DEPTH, MAX_VALUES, Node

_MAX_PROBLEMS = 100
# Control characters, line ends and noncharacters: systemd does not load a unit that holds one of the latter.
_UNSAFE = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ufdd0-\ufdef"
    + "".join(f"{chr(plane << 16 | 0xFFFE)}{chr(plane << 16 | 0xFFFF)}" for plane in range(17))
    + "]"
)
_SPACES = re.compile("[\xa0\u1680\u2000-\u200b\u202f\u205f\u3000\ufeff]")
"""What looks like a space, or like nothing, and is a letter to YAML."""
_BEGINS = re.compile(r"""\s*["']?([\w-]+)["']?\s*:""")
"""A line that looks like a key and its value."""
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")
_WORDS: dict[str, bool | None] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_NOT_TEXT = frozenset("-+0123456789~nNtTfF")


def unsafe(word: str) -> re.Match[str] | None:
    """The first character that no text of a spec may have: it could not stand in a unit file, or in a message."""
    return None if word.isprintable() else _UNSAFE.search(word)


class Locations(Mapping[Path, Location]):
    """Where each value stands: a scalar at its own place, a list or mapping at the key that holds it."""

    def __init__(self, text: Text) -> None:
        self._text = text
        self._values: dict[Path, Spot] = {}
        self._keys: dict[Path, Spot] = {}

    def __getitem__(self, path: Path) -> Location:
        return self._text.location(self._values[path])

    def __iter__(self) -> Iterator[Path]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def key(self, path: Path) -> Location | None:
        """Where the key itself stands; None where a list's item or nothing is there."""
        spot = self._keys.get(path)
        return self._text.location(spot) if spot else None

    def spot(self, path: Path) -> Spot:
        """Where a value begins, to sort by; (0, 0) where nothing is there."""
        return self._values.get(path, (0, 0))

    def record(self, path: Path, value: Spot, key: Spot | None) -> None:
        """Note where a value and its key stand."""
        self._values[path] = value
        if key:
            self._keys[path] = key


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A document as plain data."""

    data: Any
    locations: Locations
    words: Mapping[Path, str]
    """How each number, boolean or null is written."""
    problems: tuple[Problem, ...]
    """What is wrong with the YAML but leaves data to look at: duplicate keys, keys that are no words, line breaks."""


def parse(data: bytes, *, name: str, hidden: str = "") -> Tree:
    """Read one YAML document; `name` is what messages call the file.

    No location shows a line that holds values below a key called `hidden`.
    Raises SpecError where there is nothing to look at: no text, no YAML, empty, too big, too deep.
    """
    text = spectext.decode(data, name, hidden)
    root = yamlnodes.compose(text)
    if root is None:
        raise text.error("is empty", hint="write a first spec with: ollamactl init")
    builder = _Builder(text)
    value = builder.build(root, (), 0)
    return Tree(data=value, locations=builder.locations, words=builder.words, problems=builder.problems())


class _Builder:
    """Nodes to data; aliases are expanded here, so here stands their limit."""

    def __init__(self, text: Text) -> None:
        self.text = text
        self.locations = Locations(text)
        self.words: dict[Path, str] = {}
        self.found: list[tuple[Path, Spot, str, str]] = []
        self.left = MAX_VALUES
        self.hidden: set[int] = set()
        """The nodes (by id) of secrets; one that hides its lines once hides them for every alias."""

    def build(self, node: Node, path: Path, depth: int, key: Spot | None = None) -> Any:
        self._count()
        if depth > MAX_DEPTH:
            raise yamlnodes.too_deep(self.text, node.spot)
        word = node.text
        if word is not None:
            self.locations.record(path, node.spot, key)
            return self._scalar(word, node, path)
        self.locations.record(path, key or node.spot, key)
        if node.items is not None:
            return [self.build(item, (*path, at), depth + 1) for at, item in enumerate(node.items)]
        return self._mapping(node, path, depth)

    def problems(self) -> tuple[Problem, ...]:
        """What was found, located only now that all lines with secrets are known."""
        return tuple(
            Problem(
                message=message,
                hint=hint,
                path=dotted(path),
                location=self.text.location(spot),
                instance=str(path[1]) if path[:1] == ("instances",) and len(path) > 1 else "",
            )
            for path, spot, message, hint in self.found[:_MAX_PROBLEMS]
        )

    def _scalar(self, word: str, node: Node, path: Path) -> Any:
        if node.plain and (not word or word[0] in _NOT_TEXT):
            value = _resolve(word)
            if value is not word:
                self.words[path] = word
                return value
        if node.last > node.spot[0] and id(node) not in self.hidden:
            self._holds_no_key(node)
        self._is_safe(word, node.spot, path)
        return word

    def _holds_no_key(self, node: Node) -> None:
        """A quote that is not closed takes the lines that follow for text, secrets too, which then no rule knows."""
        for line in range(node.spot[0] + 1, node.last + 1):
            found = _BEGINS.match(self.text.line(line))
            if found and self.text.hides(found[1]):
                hint = "close the quote, or indent what follows as a key"
                raise self.text.error(f"goes on to line {line + 1}, which begins with {found[1]}:", node.spot, hint)

    def _mapping(self, node: Node, path: Path, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        first: dict[str, Spot] = {}
        merged: list[Node] = []
        for key, value in node.pairs or ():
            self._hide_below(key, value)
            if key.plain and key.text == "<<":
                merged += self._sources(value, path)
                continue
            word = self._key(key, path, value)
            if word in first:
                message = f"is given twice; first on line {first[word][0] + 1}"
                self.found.append(((*path, word), key.spot, message, "keep one of the two"))
            elif word is not None:
                first[word] = key.spot
                result[word] = self.build(value, (*path, word), depth + 1, key.spot)
        for source in merged:
            for key, value in source.pairs or ():
                self._count()
                self._hide_below(key, value)
                if key.plain and key.text == "<<":
                    message = "what is merged with << may not itself merge others"
                    self.found.append((path, key.spot, message, "name both: <<: [*ONE, *OTHER]"))
                elif (word := self._key(key, path, value)) is not None and word not in result:
                    result[word] = self.build(value, (*path, word), depth + 1, key.spot)
        return result

    def _hide_below(self, key: Node, value: Node) -> None:
        """Hide the lines of a secret before anything in it can be told of, as it may be what nobody expects."""
        if key.text is not None and self.text.hides(key.text):
            self._hide(value)

    def _hide(self, node: Node) -> None:
        if id(node) in self.hidden:
            return
        self.hidden.add(id(node))
        if node.text is not None:
            self.text.hide(node.spot[0], node.last)
        for key, value in node.pairs or ():
            self._hide(key)
            self._hide(value)
        for item in node.items or ():
            self._hide(item)

    def _key(self, key: Node, path: Path, value: Node) -> str | None:
        """The key's word; None where it is none, which has been noted."""
        word = key.text
        if word is None:
            self.found.append((path, key.spot, "a key must be a word, not a list or a mapping", ""))
            return None
        if id(key) in self.hidden and value.plain and value.text == "" and self._follow(key, value):
            message = "a comma within a value ends it"
            self.found.append((path, key.spot, message, "put the whole value in quotes"))
            return None
        if id(key) in self.hidden and key.plain and not isinstance(_resolve(word), str):
            self.found.append((path, key.spot, "a name must be a word", "use letters, digits and _, no digit first"))
            return None
        if key.plain and (not word or word[0] in _NOT_TEXT) and not isinstance(_resolve(word), str):
            message, hint = f"a key must be a word, not {word or 'nothing'}", f'quote it: "{word}"'
            if word and value.plain and value.text == "" and self._follow(key, value):
                message, hint = f"{word} has no key", "several values are a list in brackets: [ONE, OTHER]"
            self.found.append((path, key.spot, message, hint))
            return None
        if not word.isprintable() and (space := _SPACES.search(word)):
            message = f"a key must not contain the space U+{ord(space[0]):04X}"
            self.found.append((path, key.spot, message, "write spaces of the usual kind"))
            return None
        return word if self._is_safe(word, key.spot, path) else None

    def _follow(self, key: Node, value: Node) -> bool:
        """Whether an empty value follows its key without a colon, as in {a: 0, 1}."""
        end = key.spot[1] + len(key.text or "")
        return key.spot[0] == value.spot[0] and ":" not in self.text.line(key.spot[0])[end : value.spot[1]]

    def _sources(self, value: Node, path: Path) -> list[Node]:
        sources = [value] if value.items is None else value.items
        if any(source.pairs is None for source in sources):
            self.found.append((path, value.spot, "<< merges mappings, and this is not one", "write <<: *ANCHOR"))
            return []
        return sources

    def _is_safe(self, word: str, spot: Spot, path: Path) -> bool:
        """Whether a text can stand in a unit file and in a message; if not, it has been noted."""
        if not (bad := unsafe(word)):
            return True
        if bad[0] in "\n\r\x85\u2028\u2029":
            hint = "write it on one line; a block needs |- or >- instead of | or >"
            self.found.append((path, spot, "contains a line break", hint))
        else:
            self.found.append((path, spot, f"contains the character U+{ord(bad[0]):04X}", "remove it"))
        return False

    def _count(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise yamlnodes.too_many(self.text)


def _resolve(word: str) -> Any:
    """The value of a plain word; the very same object where it is text."""
    if word in _WORDS:
        return _WORDS[word]
    return int(word) if _INT.fullmatch(word) else word
