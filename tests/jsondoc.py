"""docs/json.md as data: which keys each command's `data` has, and those of the objects in it."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

TEXT = (Path(__file__).parents[1] / "docs" / "json.md").read_text()
_ITEM = re.compile(r"^- `(?P<name>\w+)`(?P<when> \([^)]*\))?: .*?(?:\[[a-z]+\]\(#(?P<kind>[a-z]+)\).*)?$", re.MULTILINE)
_ALL_OF = re.compile(r"^- what \[[a-z]+\]\(#([a-z]+)\) have", re.MULTILINE)


class Key(NamedTuple):
    """One documented key."""

    always: bool
    kind: str
    """The section that tells what is in it; empty for plain values."""


def _sections() -> Iterator[tuple[str, Mapping[str, Key]]]:
    found: dict[str, dict[str, Key]] = {}
    for section in re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]:
        heading, _, body = section.partition("\n")
        keys = {m["name"]: Key(always=not m["when"], kind=m["kind"] or "") for m in _ITEM.finditer(body)}
        for other in _ALL_OF.findall(body):
            keys |= found[other]
        for name in heading.split(", "):
            found[name] = keys
            yield name, keys


SECTIONS = dict(_sections())
"""`status` in backticks is the command, instances without are what is in its data."""


def wrong(data: Any, section: str) -> list[str]:
    """What differs between some data and the section that describes it, in words; nothing when all is well."""
    if isinstance(data, list):
        return [words for row in data for words in wrong(row, section)]
    keys = SECTIONS[section]
    found = [f"{section}: {name} is not documented" for name in data.keys() - keys.keys()]
    found += [f"{section}: {name} is missing" for name, key in keys.items() if key.always and name not in data]
    for name in data.keys() & keys.keys():
        if keys[name].kind and data[name] is not None:
            found += wrong(data[name], keys[name].kind)
    return found
