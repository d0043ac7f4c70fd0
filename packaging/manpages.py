"""Writes the man pages: ollamactl(1) and one of each command from click, ollamactl-fleet(5) from the spec's schema.

    python3 packaging/manpages.py DIRECTORY

Runs from the checkout, and takes every word from where the program has it (`reference.py`), so no page can be out of
date. The markup is man(7)'s; SOURCE_DATE_EPOCH dates the pages (reproducible-builds.org).
"""

import os
import re
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import reference
from reference import Command, Key, Paragraph

from ollamactl import __version__
from ollamactl.spec import schema
from ollamactl.spec.source import USUAL

_SPECIAL = {"\\": r"\e", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti", "…": r"\[u2026]"}
_TEXT = {letter: name for letter, name in _SPECIAL.items() if letter != "-"}  # a hyphen is one, in prose


def main(directory: Path) -> None:
    """Write every page."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in pages():
        (directory / name).write_text(text)


def pages() -> Iterator[tuple[str, str]]:
    """Each page's file name and text."""
    commands = list(reference.commands())
    yield "ollamactl.1", _top(reference.program(), commands)
    for command in commands:
        yield f"ollamactl-{command.name}.1", _of_command(command)
    yield "ollamactl-fleet.5", _fleet()


def _top(program: Command, commands: Iterable[Command]) -> str:
    commands = list(commands)
    return _page(
        "ollamactl", 1, program.summary,
        _section("SYNOPSIS", r".B ollamactl", r".RI [ OPTIONS ]", r".I COMMAND", r".RI [ ARGUMENTS ]"),
        _section("DESCRIPTION", *_prose(program.paragraphs)),
        _section("COMMANDS", *(
            line
            for each in commands
            for line in (".TP", f".BR {code(f'ollamactl-{each.name}')} (1)", prose(each.summary))
        )),
        _section("OPTIONS", reference.OPTIONS, *_options(program)),
        _exit_status(),
        _section("FILES", *_files()),
        _section("ENVIRONMENT", *_environment()),
        _see("ollamactl-fleet(5)", *(f"ollamactl-{each.name}(1)" for each in commands), "systemd(1)", "systemctl(1)"),
    )  # fmt: skip


def _of_command(command: Command) -> str:
    return _page(
        f"ollamactl-{command.name}", 1, command.summary,
        _section("SYNOPSIS", f".B ollamactl {command.name}", r".RI [ OPTIONS ]",
                 *(f".I {code(each)}" for each in command.arguments)),
        _section("DESCRIPTION", *_prose(command.paragraphs)),
        _section("OPTIONS", *_options(command)),
        _exit_status(),
        _see("ollamactl(1)", "ollamactl-fleet(5)"),
    )  # fmt: skip


def _fleet() -> str:
    return _page(
        "ollamactl-fleet", 5, "the fleet of Ollama servers that ollamactl makes of a machine",
        _section("SYNOPSIS", *(line for path in USUAL for line in (f".B {code(path)}", ".br"))),
        _section("DESCRIPTION", prose(schema.load()["description"]), ".PP", prose(reference.FLEET)),
        _section("KEYS OF THE FLEET", *_keys(reference.fleet_keys())),
        _section("KEYS OF AN INSTANCE", prose(reference.of_instances()), *_keys(reference.instance_keys())),
        _section("EXAMPLES", ".EX", *map(code, reference.EXAMPLE.read_text().splitlines()), ".EE"),
        _section("FILES", *_files()),
        _see("ollamactl(1)", "ollamactl-check(1)", "ollamactl-plan(1)", "ollamactl-apply(1)", "ollamactl-schema(1)",
             "systemd.resource-control(5)"),
    )  # fmt: skip


def _keys(keys: Iterable[Key]) -> Iterator[str]:
    for key in keys:
        yield from (".TP", f".B {code(key.path)}", prose(key.description), *map(prose, key.facts))


def _options(command: Command) -> Iterator[str]:
    for names, words in command.options:
        yield from (".TP", f".B {code(names)}", prose(words))


def _exit_status() -> str:
    rows = reference.exit_codes()
    return _section("EXIT STATUS", *(line for number, words in rows for line in (".TP", f".B {number}", words)))


def _files() -> Iterator[str]:
    for path, words in reference.places().items():
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


def _prose(paragraphs: Iterable[Paragraph]) -> Iterator[str]:
    for number, paragraph in enumerate(paragraphs):
        if number:
            yield ".PP"
        yield prose(paragraph.text)
        if paragraph.lines:
            yield from (".PP", ".EX", *map(code, paragraph.lines), ".EE")


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
