"""A Modelfile as the request that `ollama create` makes of it (parser/parser.go in Ollama). Pure."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_COMMANDS = (
    "from", "adapter", "template", "system", "license", "renderer", "parser", "requires", "parameter", "message",
)  # fmt: skip
_FLOATS = (
    "top_p", "min_p", "typical_p", "temperature", "repeat_penalty", "presence_penalty", "frequency_penalty",
)  # fmt: skip
_INTEGERS = (
    "num_keep", "seed", "num_predict", "top_k", "repeat_last_n", "num_ctx", "num_batch", "num_gpu", "main_gpu",
    "num_thread", "draft_num_predict",
)  # fmt: skip
_ROLES = ("system", "user", "assistant")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One instruction."""

    number: int
    """Of the line that it begins on."""
    command: str
    """In lower case."""
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Modelfile:
    """What a Modelfile says."""

    sources: tuple[str, ...]
    """Of FROM: a model's name or a file's path, as written."""
    adapters: tuple[str, ...]
    request: Mapping[str, Any]
    """All else, as /api/create takes it."""


def parse(text: str) -> Modelfile:
    """Reads a Modelfile. Raises ValueError with a sentence that names the line."""
    lines = tuple(_lines(text))
    sources = tuple(line.value for line in lines if line.command == "from")
    if not sources:
        raise ValueError("it has no FROM, so there is nothing to make a model of")
    request: dict[str, Any] = {}
    parameters: dict[str, Any] = {}
    for line in lines:
        if line.command in ("template", "system", "renderer", "parser", "requires"):
            request[line.command] = line.value.removeprefix("v") if line.command == "requires" else line.value
        elif line.command == "license":
            request.setdefault("license", []).append(line.value)
        elif line.command == "message":
            role, _, content = line.value.partition(" ")
            if role not in _ROLES:
                raise ValueError(f"line {line.number}: MESSAGE begins with system, user or assistant, not {role!r}")
            request.setdefault("messages", []).append({"role": role, "content": _unquoted(content, line.number)})
        elif line.command == "parameter":
            _parameter(line, parameters)
    if parameters:
        request["parameters"] = parameters
    adapters = tuple(line.value for line in lines if line.command == "adapter")
    return Modelfile(sources=sources, adapters=adapters, request=request)


def _lines(text: str) -> Iterator[Line]:
    rows = text.removeprefix("\ufeff").splitlines()
    at = 0
    while at < len(rows):
        number, row = at + 1, rows[at].strip()
        at += 1
        if not row or row.startswith("#"):
            continue
        command, _, value = (part.strip() for part in re.sub(r"\s", " ", row, count=0).partition(" "))
        value = row[len(command) :].strip()
        if command.lower() not in _COMMANDS:
            raise ValueError(f"line {number}: {command[:40]!r} is none of {', '.join(_COMMANDS).upper()}")
        if not value:
            raise ValueError(f"line {number}: {command.upper()} has no value")
        # A quoted value goes on to the quotes that end it, over as many lines as that takes
        while _open(_quoted(command, value)) and at < len(rows):
            value += f"\n{rows[at]}"
            at += 1
        plain = value if command.lower() in ("message", "parameter") else _unquoted(value, number)
        yield Line(number=number, command=command.lower(), value=plain)


def _quoted(command: str, value: str) -> str:
    """The part of a value that may be in quotes."""
    return value.partition(" ")[2].strip() if command.lower() in ("message", "parameter") else value


def _open(value: str) -> bool:
    if value.startswith('"""'):
        return len(value) < 6 or not value.rstrip().endswith('"""')
    return value.startswith('"') and (len(value) < 2 or not value.rstrip().endswith('"'))


def _unquoted(value: str, number: int) -> str:
    value = value.strip()
    if _open(value):
        raise ValueError(f"line {number}: the quotes that begin here never end")
    if value.startswith('"""'):
        return value[3:-3]
    return value[1:-1] if value.startswith('"') else value


def _parameter(line: Line, parameters: dict[str, Any]) -> None:
    name, _, written = line.value.partition(" ")
    value = _unquoted(written, line.number)
    try:
        if name == "stop":
            parameters.setdefault("stop", []).append(value)
        elif name in _FLOATS:
            parameters[name] = float(value)
        elif name in _INTEGERS:
            parameters[name] = int(value)
        elif name == "use_mmap":
            parameters[name] = {"true": True, "false": False}[value.lower()]
        else:
            raise ValueError(f"line {line.number}: there is no parameter {name!r}")
    except KeyError:
        raise ValueError(f"line {line.number}: {name} is true or false, not {value!r}") from None
    except ValueError as error:
        if str(error).startswith("line "):
            raise
        raise ValueError(f"line {line.number}: {name} is a number, not {value!r}") from None
