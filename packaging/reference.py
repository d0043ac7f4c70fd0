"""What the program has to say of itself, as values: commands and options from click, keys of the spec from its schema.

Both writers, of manual pages (`manpages.py`) and of docs/ (`pages.py`), take every word from here. Text may hold
`words` in backticks, which stand for what is typed as it is.
"""

import inspect
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import click

from ollamactl.cli import cli
from ollamactl.facts import Layout
from ollamactl.model import HEAL_TIMER, TARGET, TEMPLATE
from ollamactl.spec import schema
from ollamactl.spec.source import USUAL

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "fleet.yaml"


@dataclass(frozen=True, kw_only=True)
class Paragraph:
    """Running text, or lines that are laid out already (click, Preventing Rewrapping) below their heading."""

    text: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Command:
    """`ollamactl`, or a command of it."""

    name: str
    summary: str
    arguments: tuple[str, ...] = ()
    paragraphs: tuple[Paragraph, ...]
    options: tuple[tuple[str, str], ...]
    """As it is typed, and what for."""


@dataclass(frozen=True, kw_only=True)
class Key:
    """A key of the spec, with the path of the mappings that it stands in: `restart.policy`."""

    path: str
    description: str
    facts: tuple[str, ...]
    """Bounds, default and examples, a sentence each."""


OPTIONS = "They stand before or after the command."
FLEET = """A fleet is one file in YAML, and a machine has one fleet. Durations are `90s`, `5m`, `1h30m` and \
`forever`, sizes `512M` and `24G`. `ollamactl check` tells of every mistake with its line and column, \
`ollamactl schema` prints the JSON Schema that this page is made from, for editors."""
INSTANCES = """They stand below `instances`, in a mapping with a name for each server: it is the unit's, \
`ollama@NAME.service`. All but {own} may stand in `defaults`, too, for every instance that does not give its own."""


def program() -> Command:
    """`ollamactl` itself, with the options that all commands have."""
    words, _, _ = inspect.cleandoc(cli.help or "").partition("Exit codes:")
    return Command(
        name="ollamactl",
        summary=cli.get_short_help_str(200),
        paragraphs=tuple(_paragraphs(words)),
        options=tuple(_options(cli, _context(cli, "ollamactl"))),
    )


def commands() -> Iterator[Command]:
    """Each command, in the order in which a person meets them."""
    for name, command in cli.commands.items():
        context = _context(command, name, _context(cli, "ollamactl"))
        pieces = command.collect_usage_pieces(context)
        yield Command(
            name=name,
            summary=command.get_short_help_str(200),
            arguments=tuple(piece for piece in pieces if piece != "[OPTIONS]"),
            paragraphs=(*_paragraphs(inspect.cleandoc(command.help or "")), *_usual_spec(command)),
            options=tuple(_options(command, context)),
        )


def exit_codes() -> list[tuple[str, str]]:
    """From `0 done, 1 failed, ...` of the help."""
    text = (cli.help or "").partition("Exit codes:")[2]
    return re.findall(r"(\d+) ([^,.]+)", " ".join(text.split()))


def fleet_keys() -> Iterator[Key]:
    """What stands at the top of a spec beside `defaults` and `instances`."""
    whole = schema.load()
    own = {key: value for key, value in whole["properties"].items() if key not in ("defaults", "instances")}
    return _keys(own, whole["required"])


def instance_keys() -> Iterator[Key]:
    """What each server may have."""
    instance = schema.load()["$defs"]["instance"]
    return _keys(instance["properties"], instance["required"])


def of_instances() -> str:
    """How these are written; which of them `defaults` does not take."""
    whole = schema.load()
    names = [f"`{key}`" for key in whole["$defs"]["instance"]["properties"]
             if key not in whole["properties"]["defaults"]["properties"]]  # fmt: skip
    return INSTANCES.format(own=f"{', '.join(names[:-1])} and {names[-1]}")


def places() -> dict[str, str]:
    """Where something of ours lies, and what it is."""
    layout = Layout()
    return {
        USUAL[1]: "the spec, where none is named",
        f"{layout.unit_dir}/{TEMPLATE}": "what all servers share; `ollamactl apply` writes it, and those that follow",
        f"{layout.unit_dir}/{TEMPLATE.replace('@', '@NAME')}.d/10-ollamactl.conf": "what is a server's own",
        f"{layout.unit_dir}/{TARGET}": "starts and stops them all",
        f"{layout.unit_dir}/{HEAL_TIMER}": "looks for servers that hang, where the spec has `health`",
        f"{layout.state_dir}/": "views of the models, secrets, history",
        f"{layout.instance_state}/": "the servers' homes",
    }


def _context(command: click.Command, name: str, parent: click.Context | None = None) -> click.Context:
    return click.Context(command, info_name=name, parent=parent, help_option_names=["-h", "--help"])


def _options(command: click.Command, context: click.Context) -> Iterator[tuple[str, str]]:
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record:
            names, words = record
            yield names, re.sub(r"\[(\d+)<=x<=(\d+)\]", r"[from \1 to \2]", " ".join(words.split()))


def _usual_spec(command: click.Command) -> Iterator[Paragraph]:
    if any(parameter.name == "spec" for parameter in command.params) and "Without SPEC" not in (command.help or ""):
        usual = f"`{USUAL[0]}` in this folder, then `{USUAL[1]}`"
        yield Paragraph(text=f"Without SPEC it takes {usual}; `-` is standard input.")


def _paragraphs(text: str) -> Iterator[Paragraph]:
    for block in filter(None, (part.strip("\n") for part in text.split("\n\n"))):
        if block.startswith("\b\n"):
            head, *rest = block.splitlines()[1:]
            yield Paragraph(text=head, lines=tuple(rest))
        else:
            yield Paragraph(text=" ".join(block.split()))


def _keys(properties: Mapping[str, Any], required: Iterable[str], above: str = "") -> Iterator[Key]:
    """An entry a key; those of a mapping follow it with their path."""
    for key, value in properties.items():
        facts = tuple(_facts(value, required=key in required))
        yield Key(path=above + key, description=value["description"], facts=facts)
        yield from _keys(value.get("properties", {}), value.get("required", ()), f"{above}{key}.")
        each = value.get("additionalProperties")
        if isinstance(each, Mapping) and "properties" in each:
            yield from _keys(each["properties"], each.get("required", ()), f"{above}{key}.NAME.")


def _facts(value: Mapping[str, Any], *, required: bool) -> Iterator[str]:
    if "const" in value:
        yield f"Always {_value(value['const'])}."
    if required:
        yield "It is required."
    if len(value.get("enum", ())) > 1:
        yield f"One of {', '.join(_value(each) for each in value['enum'])}."
    if "minimum" in value and "maximum" in value:
        yield f"From {value['minimum']} to {value['maximum']}."
    if not required and "default" in value and value["default"] != {}:
        yield f"Default: {_value(value['default'])}."
    if "examples" in value:
        yield f"For example: {', '.join(_value(each) for each in value['examples'])}."


def _value(value: object) -> str:
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"
