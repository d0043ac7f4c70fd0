"""A generation: what one change of the fleet set out to do, and how it ended; as a value and as JSON. Pure."""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any

from ollamactl.facts import Layout
from ollamactl.files import File, ObservedFile
from ollamactl.observed import Displaced


class Ending(StrEnum):
    """How a change ended."""

    UNFINISHED = "unfinished"
    """It is at work, or was killed."""
    INTERRUPTED = "interrupted"
    """Somebody ended it at a safe point, and what it had changed by then was left."""
    DONE = "done"
    FAILED = "failed"
    """What it had changed by then was left."""
    UNDONE = "rolled back"
    """It failed, and the fleet is as it was before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """One change. Rows of plan and proofs are as the JSON envelope has them."""

    number: int
    command: str
    """`apply`, `rollback` or `destroy`."""
    of: int = 0
    """The generation that a rollback went back to; 0 is the time before the first, and what any other command has."""
    when: str
    """The start, in ISO 8601 with the zone's offset."""
    who: str
    source: str = ""
    """The spec's path; empty for standard input."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Of ollamactl, systemd and each binary."""
    instances: tuple[str, ...] = ()
    secrets: Mapping[str, str] = field(default_factory=dict)
    """By instance: the digest of its secrets."""
    steps: tuple[Mapping[str, Any], ...] = ()
    ending: Ending = Ending.UNFINISHED
    ended: str = ""
    problems: tuple[str, ...] = ()
    proofs: tuple[Mapping[str, Any], ...] = ()
    displaced: Mapping[str, Displaced] = field(default_factory=dict)
    """Services of somebody else's that had made room for the fleet by then, each as it was before."""
    digest: str = ""
    """SHA-256 of the files' text, to see damage."""

    @property
    def origin(self) -> int:
        """The generation whose state it is: its own, or the one that it went back to."""
        return self.of if self.command == "rollback" else self.number


def wanted_files(
    desired: Iterable[File], there: Mapping[str, ObservedFile], layout: Layout, only: frozenset[str]
) -> tuple[File, ...]:
    """Every file as an apply leaves it: with --only, the other instances' as they are."""
    wanted = {file.path: file for file in desired if not only or not file.instance or file.instance in only}
    if only:
        for path, file in there.items():
            owner = layout.owner(path)
            if file.ours and not file.leftover and owner and owner not in only:
                wanted[path] = File(path=path, data=file.data, mode=file.mode, kind=layout.kind(path), instance=owner)
    return tuple(wanted[path] for path in sorted(wanted))


def files_text(files: Iterable[File]) -> str:
    """The files as JSON; bytes that are no text in base64 (RFC 4648)."""
    return json.dumps([_row(file) for file in files], indent=0)


def _row(file: File) -> dict[str, Any]:
    try:
        content = {"text": file.data.decode()}
    except UnicodeDecodeError:
        content = {"base64": base64.b64encode(file.data).decode()}
    return {"path": file.path, "mode": file.mode, **content}


def files_from(text: str, layout: Layout) -> tuple[File, ...]:
    """The files again. Raises ValueError where that is not what `files_text` made."""
    rows = json.loads(text)
    if not isinstance(rows, list):
        raise ValueError("they are no list")
    try:
        return tuple(_file(row, layout) for row in rows)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(str(error)) from error


def _file(row: Mapping[str, Any], layout: Layout) -> File:
    data = row["text"].encode() if "text" in row else base64.b64decode(row["base64"], validate=True)
    path = row["path"]
    if not path.startswith((f"{layout.unit_dir}/", f"{layout.state_dir}/")):
        raise ValueError(f"{path} is no place of ollamactl's")
    return File(path=path, data=data, mode=int(row["mode"]), kind=layout.kind(path), instance=layout.owner(path))


def digest(text: str) -> str:
    """SHA-256 in hex, of text in UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()


def to_json(generation: Generation) -> str:
    """The generation without its files."""
    return json.dumps(asdict(generation), indent=1, ensure_ascii=False)


def from_json(text: str) -> Generation:
    """The generation again. Raises ValueError where that is none; keys of later versions are passed by."""
    try:
        known = {each.name for each in fields(Generation)}
        values = {key: value for key, value in json.loads(text).items() if key in known}
        values["ending"] = Ending(values["ending"])
        for key in ("instances", "steps", "problems", "proofs"):
            values[key] = tuple(values[key])
        values["displaced"] = {unit: Displaced(**row) for unit, row in values.get("displaced", {}).items()}
        return Generation(**values)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(str(error)) from error


def before(generations: Iterable[Generation], current: Generation) -> Generation | None:
    """Where a rollback without a number goes: the newest that ended well before the one whose state this is."""
    older = [each for each in generations if each.ending is Ending.DONE and each.number < current.origin]
    return max(older, key=lambda each: each.number, default=None)


BEGINNING = Generation(number=0, command="destroy", when="", who="", ending=Ending.DONE)
"""Before the first: no fleet, and whatever made room for one is there again."""


def current(generations: Iterable[Generation]) -> Generation | None:
    """The newest whose state the host is in; one that was rolled back has left none."""
    left = [each for each in generations if each.ending is not Ending.UNDONE]
    return max(left, key=lambda each: each.number, default=None)


def good(generations: Iterable[Generation]) -> int:
    """The number of the newest that ended well, 0 where none did: the state that can be relied on."""
    return max((each.number for each in generations if each.ending is Ending.DONE), default=0)


def displaced(generations: Iterable[Generation], *, settled: bool = False) -> Mapping[str, Displaced]:
    """What has made room for the fleet by the newest change, or by the newest that ended well."""
    left = [each for each in generations if not settled or each.ending is Ending.DONE]
    return max(left, key=lambda each: each.number).displaced if left else {}


def expendable(generations: Iterable[Generation], keep: int) -> tuple[int, ...]:
    """Those that may go so that `keep` stay: never the newest that ended well, nor the one before it."""
    rows = sorted(generations, key=lambda each: each.number, reverse=True)
    good = {each.number for each in [row for row in rows if row.ending is Ending.DONE][:2]}
    return tuple(each.number for each in rows[max(keep, 1) :] if each.number not in good)
