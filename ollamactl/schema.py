"""The packaged JSON Schema, the only list of the spec's keys, and what it says against a document, in words.

The only importer of jsonschema, which costs 80 ms: only when a document is really validated.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import islice
from typing import Any

from ollamactl import ollama_env, suggest

_MAX_ERRORS = 2000
_LATER = {
    "on_demand": "remove it: without it the server always runs",
}
_OTHER_WORDS = {
    "num_ctx": "context_length",
    "ctx": "context_length",
    "env": "environment",
    "listen": "host",
    "address": "host",
    "bind": "host",
    "gpu": "gpus",
    "devices": "gpus",
    "cors": "origins",
    "depends_on": "requires",
    "autostart": "enabled",
    "memory": "memory_max",
}
# YAML 1.1 took these for booleans, and many still write one for the other.
_SWITCH = {
    "yes": ("on", "always"),
    "true": ("on", "always"),
    "no": ("off", "never"),
    "false": ("off", "never"),
    "none": ("off", "never"),
}
_TYPES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping (key: value)",
    "null": "null",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One thing that the schema does not allow."""

    path: tuple[str | int, ...]
    message: str
    hint: str = ""
    on_key: bool = False
    """It is the key that is wrong, not its value."""


@cache
def text() -> str:
    """The schema as packaged, for editors."""
    return resources.files("ollamactl").joinpath("schema/fleet.schema.json").read_text(encoding="utf-8")


@cache
def load() -> dict[str, Any]:
    """The schema as data (draft 2020-12); do not change it."""
    schema: dict[str, Any] = json.loads(text())
    return schema


def instance_keys() -> dict[str, Any]:
    """The keys of one instance with their schemas."""
    keys: dict[str, Any] = load()["$defs"]["instance"]["properties"]
    return keys


def violations(data: Any, place: Callable[[tuple[str | int, ...]], Any] = str) -> Iterator[Violation]:
    """Everything in a document that the schema does not allow, ordered by what `place` says of a path."""
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

    # jsonschema walks through sets: without an order of ours each run would tell another part of many.
    errors = islice(Draft202012Validator(load()).iter_errors(data), _MAX_ERRORS)
    for error in sorted(errors, key=lambda error: place(tuple(error.absolute_path))):
        path = tuple(error.absolute_path)
        match error.validator:
            case "type" if "enum" in error.schema:
                continue  # the enum says it better
            case "additionalProperties" if error.validator_value is False:
                known = error.schema["properties"]
                for key in error.instance:
                    if key not in known:
                        yield _unknown((*path, key), key, known)
            case "required":
                for key in error.validator_value:
                    if key not in error.instance and f"{key!r} is a required" in error.message:
                        yield Violation(path=path, message=f"needs {key}", hint=_missing(key), on_key=True)
            case "pattern" if "propertyNames" in error.absolute_schema_path:
                yield _bad_name((*path, error.instance))
            case _:
                yield _wrong_value(error, path)


def _unknown(path: tuple[str | int, ...], key: str, known: dict[str, Any]) -> Violation:
    if key in _LATER:
        return Violation(path=path, message="this version does not support it yet", hint=_LATER[key], on_key=True)
    meant = _OTHER_WORDS.get(key.lower()) or ollama_env.spec_key(key)
    hint = f"did you mean {meant}?" if meant in known else _elsewhere(key, path) or suggest.hint(key, known)
    if not hint:
        hint = f"known here: {', '.join(known)}" if len(known) < 12 else "all keys: ollamactl schema"
    return Violation(path=path, message="there is no such key here", hint=hint, on_key=True)


def _elsewhere(key: str, path: tuple[str | int, ...]) -> str:
    """Where a real key belongs that stands in the wrong place."""
    keys = instance_keys()
    for group in ("restart", "limits"):
        if key in keys[group]["properties"] and path[-2:-1] != (group,):
            return f"it belongs into {group}: {{{key}: ...}}"
    if path[:1] == ("defaults",) and key in ("port", "models"):
        return "each instance needs its own: write it there"
    if len(path) == 1 and key in keys:
        return f"it belongs to an instance (instances: {{NAME: {{{key}: ...}}}}) or into defaults"
    if len(path) > 1 and key in load()["properties"]:
        return f"{key} belongs to the top level: look at the indentation"
    if len(path) > 3 and key in keys:
        return f"{key} belongs to the instance: look at the indentation"
    return ""


def _missing(key: str) -> str:
    examples = {"port": "port: 11434", "version": "version: 1", "instances": "instances: {llama3: {port: 11434}}"}
    return f"write {examples[key]}" if key in examples else ""


def _bad_name(path: tuple[str | int, ...]) -> Violation:
    if path[0] == "instances" and len(path) == 2:
        message = "is no name for an instance"
        hint = "use letters, digits, _ . and -, 64 at most, a letter or digit first; a model goes into models:"
    else:
        message, hint = "is no name for a variable", "use letters, digits and _, no digit first"
    return Violation(path=path, message=message, hint=hint, on_key=True)


def _wrong_value(error: Any, path: tuple[str | int, ...]) -> Violation:
    value, schema, limit = error.instance, error.schema, error.validator_value
    shown = "this" if "secrets" in path else show(value)
    hint = ""
    match error.validator:
        case "type":
            wanted = [limit] if isinstance(limit, str) else limit
            return _wrong_type(value, shown, [name for name in wanted if name != "null"], path)
        case "enum" if path[-1:] == ("network",) and value == "private":
            message, hint = "this version does not support network: private yet", "remove it, or write network: host"
        case "enum":
            choices = [str(choice) for choice in limit if choice is not None]
            message = f"must be {_either(choices)}, not {shown}"
            words = (*_SWITCH.get(str(value).lower(), ()), suggest.nearest(str(value), choices))
            hint = next((f"write {word}" for word in words if word in choices), "")
        case "const":
            message = f"must be {limit}, not {shown}"
            hint = f"write version: {limit}; a newer format needs a newer ollamactl"
        case "minimum" | "maximum":
            message = f"must be from {schema.get('minimum')} to {schema.get('maximum')}, not {shown}"
            hint = "write auto to let Ollama choose" if path[-1:] == ("context_length",) and value == 0 else ""
        case "minItems":
            message, hint = "is an empty list", _empty_list(path)
        case "maxItems" | "maxProperties":
            message, hint = f"holds more than {limit}", "make it shorter"
        case "maxLength":
            message, hint = f"is longer than {limit} characters", "make it shorter"
        case "pattern":
            message, hint = f"must be a whole number or auto, not {shown}", "write auto or a number"
        case _:
            message, hint = f"is not allowed here ({error.validator})", "see: ollamactl schema"
    return Violation(path=path, message=message, hint=hint)


def _wrong_type(value: Any, shown: str, wanted: list[str], path: tuple[str | int, ...]) -> Violation:
    names = _either([_TYPES[name] for name in wanted])
    if value is None:
        return Violation(path=path, message=f"is empty; it must be {names}", hint=_empty(path))
    hint = ""
    if wanted == ["boolean"] and isinstance(value, str):
        word = value.lower()
        true, false = word in ("yes", "on", "y", "1", "enabled"), word in ("no", "off", "n", "0", "disabled")
        hint = "write true" if true else "write false" if false else "write true or false"
    elif "integer" in wanted and isinstance(value, str) and value.replace("_", "").lstrip("0").isdecimal():
        hint = f"write {value.replace('_', '').lstrip('0')}, without quotes or a leading 0"
    elif "string" in wanted and isinstance(value, bool | int | float):
        hint = _quote_hint(value, path)
    elif "object" in wanted and isinstance(value, list):
        hint = "write NAME: {...} instead of - items"
    return Violation(path=path, message=f"must be {names}, not {shown}", hint=hint)


def _empty(path: tuple[str | int, ...]) -> str:
    if path == ("instances",):
        return "write {} for none"
    if path[0:1] == ("instances",) and len(path) == 2:
        return "write port: 11434 below it"
    if path[-2:-1] in (("environment",), ("secrets",)):
        return 'write "" for an empty text'
    return "give it a value or remove the key"


def _quote_hint(value: bool | float, path: tuple[str | int, ...]) -> str:
    if path[-1:] == ("cpu_quota",):
        return f"in per cent of one CPU: {value}%"
    if path[-1:] == ("cpus",):
        return 'it lists CPUs by their numbers: "0-3,8"'
    return f'quote it: "{str(value).lower() if isinstance(value, bool) else value}"'


def _empty_list(path: tuple[str | int, ...]) -> str:
    if path[-1:] == ("gpus",):
        return "write gpus: none for no card, gpus: all for every card"
    return "name at least one, or remove the key: the instance's name is then the model's"


def show(value: Any) -> str:
    """A value as a message quotes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "nothing"
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "a mapping"
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


def _either(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
