"""What the JSON Schema does not allow in a document, in words: what is wrong, and what to write instead. Pure."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from ollamactl.modelname import ModelName
from ollamactl.spec import schema, suggest
from ollamactl.spec.schemahints import MAPPINGS, assigned, wrong_value
from ollamactl.units import ollama_env

_Path = tuple[str | int, ...]

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
_MISSING = {
    "modelfile": "modelfile: /etc/ollamactl/NAME.Modelfile",
    "port": "port: 11434",
    "version": "version: 1",
    "instances": "instances: {llama3: {port: 11434}}",
}
_MAX = 200
"""Looked at together; more than anybody is told, as the nearest key of each takes its time."""
_ITEMS = "several values are a list in brackets: [ONE, OTHER]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One thing that the schema does not allow."""

    path: _Path
    message: str
    hint: str = ""
    on_key: bool = False
    """It is the key that is wrong, not its value."""
    missing: bool = False
    """It is what is not there that is wrong."""
    meant: str = ""
    """The key that an unknown one is taken for."""


def violations(data: Any, place: Callable[[_Path], Any] = str) -> Iterator[Violation]:
    """Everything in a document that the schema does not allow, ordered by what `place` says of a path.

    What follows from another one is left out: a missing key that only its name hides, the value of a bad name.
    """
    found = list(islice((violation for error in schema.errors(data, place) for violation in _read(error)), _MAX))
    hidden = {(*violation.path[:-1], violation.meant) for violation in found if violation.meant}
    bad_names = {violation.path for violation in found if violation.on_key}
    for violation in found:
        if violation.on_key or violation.path not in (hidden if violation.missing else bad_names):
            yield violation


def _read(error: Any) -> Iterator[Violation]:
    path = tuple(error.absolute_path)
    match error.validator:
        case "type" if "enum" in error.schema:
            return  # the enum says it better
        case "additionalProperties" if error.validator_value is False:
            known = error.schema["properties"]
            for key, value in error.instance.items():
                if key not in known:
                    yield _unknown((*path, key), key, value, known)
        case "required":
            for key in error.validator_value:
                if key not in error.instance and f"{key!r} is a required" in error.message:
                    yield Violation(
                        path=(*path, key), message="is missing", hint=f"write {_MISSING[key]}", missing=True
                    )
        case "pattern" if "propertyNames" in error.absolute_schema_path:
            yield _bad_name((*path, error.instance))
        case _:
            message, hint = wrong_value(error, path)
            yield Violation(path=path, message=message, hint=hint)


def _unknown(path: _Path, key: str, value: Any, known: dict[str, Any]) -> Violation:
    message = "there is no such key here"
    word, colon, rest = key.partition(":")
    if value is None and colon and word in known:
        hint = f"a space must follow the colon: {word}: {'...' if word == 'secrets' else rest}"
        return Violation(path=path, message=message, hint=hint, on_key=True, meant=word)
    meant = _OTHER_WORDS.get(key.lower()) or ollama_env.spec_key(key)
    if meant not in known:
        hint = _elsewhere(key, value, path)
        meant = "" if hint else suggest.nearest(key, known)
    if meant:
        hint = f"did you mean {meant}?"
    if not hint and value is None:
        hint = _ITEMS
    if not hint:
        hint = f"known here: {', '.join(known)}" if len(known) < 12 else "all keys: ollamactl schema"
    return Violation(path=path, message=message, hint=hint, on_key=True, meant=meant)


def _elsewhere(key: str, value: Any, path: _Path) -> str:
    """Where a real key, or an instance, belongs that stands in the wrong place."""
    keys = schema.instance_keys()
    for group in ("restart", "limits", "on_demand"):
        if key in keys[group]["properties"] and path[-2:-1] != (group,):
            return f"it belongs in {group}: {{{key}: ...}}"
    if path[:1] == ("defaults",) and key in ("port", "models"):
        return "each instance needs its own: write it there"
    if len(path) == 1 and key in ("binary", "models"):
        return f"it belongs in ollama: {{{key}: ...}}"
    if len(path) == 1 and key in keys:
        return f"it belongs in an instance (instances: {{NAME: {{{key}: ...}}}}) or in defaults"
    if len(path) == 1 and isinstance(value, dict) and not value.keys().isdisjoint(keys):
        return "an instance stands below instances: indent it"
    if len(path) > 1 and key in schema.load()["properties"]:
        return f"{key} belongs at the top level: look at the indentation"
    if len(path) > 3 and key in keys:
        return f"{key} belongs to the instance: look at the indentation"
    return ""


def _bad_name(path: _Path) -> Violation:
    name = str(path[-1])
    if path[0] == "instances" and len(path) == 2:
        message = "is not a valid name for an instance"
        hint = "use letters, digits, _ . and -, 64 at most, a letter or digit first; a model goes into models:"
        if (":" in name or "/" in name) and (plain := _plain_name(name)):
            hint = f'write {plain}: and in it models: ["{name}"]'
    else:
        message, hint = "is not a valid name for a variable", "use letters, digits and _, no digit first"
        if "secrets" in path[:-1]:  # the name may be a piece of a value, so it is not told
            message = "a name here is not valid for a variable"
        if "=" in name:
            hint = f"write {MAPPINGS['secrets']}" if "secrets" in path else f"write {assigned(name)}"
    return Violation(path=path, message=message, hint=hint, on_key=True)


def _plain_name(text: str) -> str:
    """A name for an instance that is made of a model's; empty where the text is not one."""
    try:
        model = ModelName.parse(text)
    except ValueError:
        return ""
    words = [model.model, model.tag] if ":" in text.rpartition("/")[2] else [model.model]
    return "-".join(words)[:64].lstrip("_.-")
