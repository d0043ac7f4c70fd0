"""A value that the JSON Schema does not allow, in words: what is wrong with it, and what to write instead. Pure."""

from typing import Any

from ollamactl.spec import schema, suggest

_Path = tuple[str | int, ...]

# YAML 1.1 took these for booleans, and many still write one for the other.
_SWITCH = {
    "yes": ("on", "always", "open", "running"),
    "true": ("on", "always", "open", "running"),
    "up": ("running",),
    "no": ("off", "never", "closed", "stopped"),
    "false": ("off", "never", "closed", "stopped"),
    "none": ("off", "never", "cpu"),
    "down": ("stopped",),
    "unless-stopped": ("always",),
    "nvidia": ("cuda",),
    "amd": ("rocm",),
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
MAPPINGS = {
    "restart": "restart: {policy: always}",
    "limits": "limits: {memory_max: 24G}",
    "on_demand": "on_demand: {stop_after: 10m}",
    "environment": 'environment: {NAME: "value"}',
    "secrets": 'secrets: {NAME: "value"}',
    "gpus": 'gpus: {"0": 24G}',
    "health": "health: {every: 1m, failures: 3}",
    "custom": "custom: {assistant: {modelfile: /etc/ollamactl/assistant.Modelfile}}",
    "pull": 'pull: {environment: {HTTPS_PROXY: "http://proxy.example:3128"}}',
}
"""How the keys that are mappings are written."""


def wrong_value(error: Any, path: _Path) -> tuple[str, str]:
    """The message and the hint for one of jsonschema's errors."""
    value, limits, limit = error.instance, error.schema, error.validator_value
    shown = "this" if "secrets" in path else _show(value)
    hint = ""
    match error.validator:
        case "type":
            wanted = [limit] if isinstance(limit, str) else limit
            return _wrong_type(value, shown, [name for name in wanted if name != "null"], path)
        case "enum":
            choices = [str(choice) for choice in limit if choice is not None]
            message = f"must be {_either(choices)}, not {shown}"
            words = (*_SWITCH.get(str(value).lower(), ()), suggest.nearest(str(value), choices))
            hint = next((f"write {word}" for word in words if word in choices), "")
        case "const":
            message = f"must be {limit}, not {shown}"
            hint = f"write version: {limit}"
            hint += ", without quotes" if value == str(limit) else "; a newer format needs a newer ollamactl"
        case "minimum" | "maximum":
            message = f"must be from {limits.get('minimum')} to {limits.get('maximum')}, not {shown}"
            hint = "write auto to let Ollama choose" if path[-1:] == ("context_length",) and value == 0 else ""
        case "minItems":
            message, hint = "is an empty list", _empty_list(path)
        case "maxItems" | "maxProperties":
            message, hint = f"has more than {limit} items", "make it shorter"
        case "maxLength":
            message, hint = f"is longer than {limit} characters", "make it shorter"
        case "pattern":
            message, hint = f"must be a whole number or auto, not {shown}", "write auto or a number"
        case _:
            message, hint = f"is not allowed here ({error.validator})", "see: ollamactl schema"
    return message, hint


def _wrong_type(value: Any, shown: str, wanted: list[str], path: _Path) -> tuple[str, str]:
    names = _either([_TYPES[name] for name in wanted])
    if value is None:
        return f"is empty; it must be {names}", _empty(path)
    hint = ""
    if wanted == ["boolean"] and isinstance(value, str):
        word = value.lower()
        true, false = word in ("yes", "on", "y", "1", "enabled"), word in ("no", "off", "n", "0", "disabled")
        hint = "write true" if true else "write false" if false else "write true or false"
    elif "integer" in wanted and isinstance(value, str):
        hint = _number_hint(value, path)
    elif "string" in wanted and isinstance(value, bool | int | float):
        hint = _quote_hint(value, path)
    elif "object" in wanted:
        hint = _mapping_hint(value, path)
    return f"must be {names}, not {shown}", hint


def _number_hint(value: str, path: _Path) -> str:
    digits = value.replace("_", "").lstrip("0")
    host, _, port = value.rpartition(":")
    if digits.isdecimal():
        return f"write {digits}, without quotes or a leading 0"
    if path[-1:] == ("port",) and host and port.isdecimal():
        return f'write host: "{host}" and port: {port}'
    return ""


def _mapping_hint(value: Any, path: _Path) -> str:
    key, keys = str(path[-1]) if path else "", schema.instance_keys()
    text = value if isinstance(value, str) else ""
    word, colon, rest = text.partition(":")
    if colon and word in keys:
        return f"a space must follow the colon: {word}: {rest}"
    if path[:1] == ("instances",) and len(path) == 2:
        if key in keys:
            return f"{key} is a key of an instance or of defaults: look at the indentation"
        if isinstance(value, int) and not isinstance(value, bool):
            return f"write {key}: {{port: {value}}}"
    if key == "restart" and text:
        policy = next((word for word in (text, *_SWITCH.get(text, ())) if word in ("always", "never")), "on-failure")
        return f"write restart: {{policy: {policy}}}"
    if key == "environment" and "=" in text:
        return f"write environment: {{{assigned(text)}}}"
    if key in MAPPINGS:
        return f"write {MAPPINGS[key]}"
    return "write NAME: {...} instead of - items" if isinstance(value, list) else ""


def _empty(path: _Path) -> str:
    if path == ("instances",):
        return "indent the instances below it, or write {} for none"
    if path[0:1] == ("instances",) and len(path) == 2:
        return "write port: 11434 below it"
    if path[-2:-1] in (("environment",), ("secrets",)):
        return 'write "" for an empty text'
    return "give it a value or remove the key"


def _quote_hint(value: bool | float, path: _Path) -> str:
    if path[-1:] == ("cpu_quota",) and not isinstance(value, bool):
        return f"write it as a percentage of one CPU: {value if value > 10 else 100 * value}%"
    if path[-1:] == ("cpus",):
        return 'it lists CPUs by their numbers: "0-3,8"'
    if not {"models", "description", "after", "requires"}.isdisjoint(path[-2:]):
        return f'quote it: "{str(value).lower() if isinstance(value, bool) else value}"'
    examples = schema.instance_keys().get(str(path[-1]), {}).get("examples") if path else None
    return f"for example {path[-1]}: {examples[0]}" if examples and isinstance(examples[0], str | int) else ""


def _empty_list(path: _Path) -> str:
    if path[-1:] == ("gpus",):
        return "write gpus: none for no card, gpus: all for every card"
    return "name at least one, or remove the key: the instance's name is then the model's"


def _show(value: Any) -> str:
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


def assigned(text: str) -> str:
    """The shell's NAME=value as YAML."""
    name, _, value = text.partition("=")
    return f'{name}: "{value}"'
