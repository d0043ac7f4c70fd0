"""The packaged JSON Schema, the only list of the spec's keys, and where a document breaks it.

The only importer of jsonschema, which costs 80 ms: only when a document is really validated.
"""

import json
from collections.abc import Callable
from functools import cache
from importlib import resources
from itertools import islice
from typing import Any

_MAX_ERRORS = 2000


@cache
def text() -> str:
    """The schema as packaged, for editors."""
    return resources.files("ollamactl.spec").joinpath("fleet.schema.json").read_text(encoding="utf-8")


@cache
def load() -> dict[str, Any]:
    """The schema as data (draft 2020-12); do not change it."""
    schema: dict[str, Any] = json.loads(text())
    return schema


def instance_keys() -> dict[str, Any]:
    """The keys of one instance with their schemas."""
    keys: dict[str, Any] = load()["$defs"]["instance"]["properties"]
    return keys


def errors(data: Any, place: Callable[[tuple[str | int, ...]], Any]) -> list[Any]:
    """jsonschema's ValidationErrors for a document, ordered by what `place` says of a path."""
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

    # jsonschema walks through sets: without an order of ours each run would tell another part of many.
    found = islice(Draft202012Validator(load()).iter_errors(data), _MAX_ERRORS)
    return sorted(found, key=lambda error: place(tuple(error.absolute_path)))
