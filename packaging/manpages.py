"""Writes the man pages: ollamactl(1) and one of each command from click, ollamactl-fleet(5) from the spec's schema.

    python3 packaging/manpages.py DIRECTORY

Runs from the checkout, and takes every word from where the program has it, so no page can be out of date. The markup is
man(7)'s; SOURCE_DATE_EPOCH dates the pages (reproducible-builds.org).
"""

import inspect
import json
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import click

from ollamactl import __version__
from ollamactl.cli import cli
from ollamactl.facts import Layout
from ollamactl.model import HEAL_TIMER, TARGET, TEMPLATE
from ollamactl.spec import schema
from ollamactl.spec.source import USUAL

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "fleet.yaml"
_SPECIAL = {"\\": r"\e", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti", "…": r"\[u2026]"}
_TEXT = {letter: name for letter, name in _SPECIAL.items() if letter != "-"}  # a hyphen is one, in prose


def main(directory: Path) -> None:
    """Write every page."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in pages():
        (directory / name).write_text(text)


def pages() -> Iterator[tuple[str, str]]:
    """Each page's file name and text."""
    yield "ollamactl.1", _top()
    for name, command in cli.commands.items():
        yield f"ollamactl-{name}.1", _of_command(name, command)
    yield "ollamactl-fleet.5", _fleet()


def _top() -> str:
    context = _context(cli, "ollamactl")
    # The exit codes get a section of their own
    words, _, codes = inspect.cleandoc(cli.help or "").partition("Exit codes:")
    return _page(
        "ollamactl", 1, cli.get_short_help_str(200),
        _section("SYNOPSIS", r".B ollamactl", r".RI [ OPTIONS ]", r".I COMMAND", r".RI [ ARGUMENTS ]"),
        _section("DESCRIPTION", *_prose(words)),
        _section("COMMANDS", *(
            line
            for name, command in cli.commands.items()
            for line in (".TP", f".BR {code(f'ollamactl-{name}')} (1)", prose(command.get_short_help_str(200)))
        )),
        _section("OPTIONS", "They stand before or after the command.", *_options(cli, context)),
        _exit_status(codes),
        _section("FILES", *_files()),
        _section("ENVIRONMENT", *_environment()),
        _see("ollamactl-fleet(5)", *(f"ollamactl-{name}(1)" for name in cli.commands), "systemd(1)", "systemctl(1)"),
    )  # fmt: skip


def _of_command(name: str, command: click.Command) -> str:
    context = _context(command, name, _context(cli, "ollamactl"))
    arguments = [piece for piece in command.collect_usage_pieces(context) if piece != "[OPTIONS]"]
    more = []
    if any(parameter.name == "spec" for parameter in command.params):
        installed = name == "verify"
        usual = (
            "the fleet that is installed" if installed else f"{code(USUAL[0])} in this folder, then {code(USUAL[1])}"
        )
        more = [".PP", f"Without \\fISPEC\\fR it takes {usual}; \\fB\\-\\fR is standard input."]
    return _page(
        f"ollamactl-{name}", 1, command.get_short_help_str(200),
        _section("SYNOPSIS", f".B ollamactl {name}", r".RI [ OPTIONS ]", *(f".I {code(each)}" for each in arguments)),
        _section("DESCRIPTION", *_prose(inspect.cleandoc(command.help or "")), *more),
        _section("OPTIONS", *_options(command, context)),
        _exit_status((cli.help or "").partition("Exit codes:")[2]),
        _see("ollamactl(1)", "ollamactl-fleet(5)"),
    )  # fmt: skip


def _context(command: click.Command, name: str, parent: click.Context | None = None) -> click.Context:
    return click.Context(command, info_name=name, parent=parent, help_option_names=["-h", "--help"])


def _fleet() -> str:
    whole = schema.load()
    instance = whole["$defs"]["instance"]
    own = {key: value for key, value in whole["properties"].items() if key not in ("defaults", "instances")}
    return _page(
        "ollamactl-fleet", 5, "the fleet of Ollama servers that ollamactl makes of a machine",
        _section("SYNOPSIS", *(line for path in USUAL for line in (f".B {code(path)}", ".br"))),
        _section("DESCRIPTION", prose(whole["description"]), ".PP", prose(_DESCRIPTION)),
        _section("KEYS OF THE FLEET", *_keys(own, whole["required"])),
        _section("KEYS OF AN INSTANCE", prose(_OF_INSTANCES),
                 *_keys(instance["properties"], instance["required"])),
        _section("EXAMPLES", ".EX", *map(code, EXAMPLE.read_text().splitlines()), ".EE"),
        _section("FILES", *_files()),
        _see("ollamactl(1)", "ollamactl-check(1)", "ollamactl-plan(1)", "ollamactl-apply(1)", "ollamactl-schema(1)",
             "systemd.resource-control(5)"),
    )  # fmt: skip


_DESCRIPTION = """A fleet is one file in YAML, and a machine has one fleet. Durations are `90s`, `5m`, `1h30m` and \
`forever`, sizes `512M` and `24G`. `ollamactl check` tells of every mistake with its line and column, \
`ollamactl schema` prints the JSON Schema that this page is made from, for editors."""

_OF_INSTANCES = """They stand below `instances`, in a mapping with a name for each server: it is the unit's, \
`ollama@NAME.service`. All but `port` and `models` may stand in `defaults`, too, for every instance that does not give \
its own."""


def _keys(properties: Mapping[str, Any], required: Iterable[str], above: str = "") -> Iterator[str]:
    """An entry a key; those of a mapping follow it with their path."""
    for key, value in properties.items():
        yield from (".TP", f".B {code(above + key)}")
        yield prose(value["description"])
        yield from _facts(value, required=key in required)
        yield from _keys(value.get("properties", {}), value.get("required", ()), f"{above}{key}.")


def _facts(value: Mapping[str, Any], *, required: bool) -> Iterator[str]:
    """Type, bounds, default and examples of a key, a sentence each."""
    words = []
    if "const" in value:
        words.append(f"Always {_value(value['const'])}.")
    if required:
        words.append("It is required.")
    if len(value.get("enum", ())) > 1:
        words.append(f"One of {', '.join(_value(each) for each in value['enum'])}.")
    if "minimum" in value and "maximum" in value:
        words.append(f"From {value['minimum']} to {value['maximum']}.")
    if not required and "default" in value and value["default"] != {}:
        words.append(f"Default: {_value(value['default'])}.")
    if "examples" in value:
        words.append(f"For example: {', '.join(_value(each) for each in value['examples'])}.")
    yield from words


def _value(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return f"\\fB{code(text)}\\fR"


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record:
            names, words = record
            yield from (".TP", f".B {code(names)}", prose(" ".join(words.split())))


def _exit_status(text: str) -> str:
    """From `0 done, 1 failed, ...` of the help."""
    found = re.findall(r"(\d+) ([^,.]+)", " ".join(text.split()))
    return _section("EXIT STATUS", *(line for number, words in found for line in (".TP", f".B {number}", words)))


def _files() -> Iterator[str]:
    layout = Layout()
    rows = {
        USUAL[1]: "the spec, where none is named",
        f"{layout.unit_dir}/{TEMPLATE}": "what all servers share; `ollamactl apply` writes it, and those that follow",
        f"{layout.unit_dir}/{TEMPLATE.replace('@', '@NAME')}.d/10-ollamactl.conf": "what is a server's own",
        f"{layout.unit_dir}/{TARGET}": "starts and stops them all",
        f"{layout.unit_dir}/{HEAL_TIMER}": "looks for servers that hang, where the spec has `health`",
        f"{layout.state_dir}/": "views of the models, secrets, history",
        f"{layout.instance_state}/": "the servers' homes",
    }
    for path, words in rows.items():
        yield from (".TP", f".I {code(path)}", prose(words))


def _environment() -> Iterator[str]:
    yield from (".TP", r".BR XDG_CONFIG_HOME , \ XDG_STATE_HOME")
    yield prose("where units and state of `--user` lie, in place of `~/.config` and `~/.local/state`")


def _see(*names: str) -> str:
    rows = [re.fullmatch(r"(.+)(\(\d\))", name) for name in names]
    lines = [f".BR \\%{code(row[1])} {row[2]}" for row in rows if row]  # \\% has none of them hyphenated
    return _section("SEE ALSO", *(f"{line} ," for line in lines[:-1]), *lines[-1:])


def _page(name: str, section: int, summary: str, *sections: str) -> str:
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH") or time.time())
    day = time.strftime("%Y-%m-%d", time.gmtime(epoch))
    head = f'.TH {code(name.upper())} {section} {day} "ollamactl {__version__}" "ollamactl"'
    summary = summary[:1].lower() + summary[1:].rstrip(".")
    return "\n".join((head, ".SH NAME", f"{code(name)} \\- {prose(summary)}", *sections, ""))


def _section(title: str, *lines: str) -> str:
    return "\n".join((f".SH {title}", *lines))


def _prose(text: str) -> Iterator[str]:
    """Paragraphs of a help text; one that begins with \\b is laid out already (click, Preventing Rewrapping)."""
    for number, block in enumerate(filter(None, (part.strip("\n") for part in text.split("\n\n")))):
        if number:
            yield ".PP"
        if block.startswith("\b\n"):
            head, *rest = block.splitlines()[1:]
            yield from (prose(head), ".PP", ".EX", *map(code, rest), ".EE")
        else:
            yield prose(" ".join(block.split()))


def prose(text: str) -> str:
    """Running text for roff: `words` in backticks become bold, and no line begins with a control character."""
    parts = text.split("`")
    done = (f"\\fB{code(part)}\\fR" if number % 2 else _escaped(part, _TEXT) for number, part in enumerate(parts))
    return _guarded("".join(done))


def code(text: str) -> str:
    """What is typed as it stands: a minus is a minus (man-pages(7), Generating optimal glyphs)."""
    return _guarded(_escaped(text, _SPECIAL))


def _escaped(text: str, names: Mapping[str, str]) -> str:
    return "".join(names.get(letter, letter) for letter in text)


def _guarded(line: str) -> str:
    return f"\\&{line}" if line.startswith((".", "'")) else line


if __name__ == "__main__":
    main(Path(sys.argv[1]))
