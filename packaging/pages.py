"""Writes docs/commands.md from click and docs/spec.md from the spec's schema, the same words as the manual pages have.

python3 packaging/pages.py DIRECTORY
"""

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import reference
from reference import Command, Key, Paragraph

from ollamactl.spec import schema

MADE = "<!-- Made by packaging/pages.py from the program itself: change it there, then `make docs`. -->"


def main(directory: Path) -> None:
    """Write both pages."""
    for name, text in pages():
        (directory / name).write_text(text)


def pages() -> Iterator[tuple[str, str]]:
    """Each page's file name and text."""
    yield "commands.md", _commands()
    yield "spec.md", _spec()


def _commands() -> str:
    program, commands = reference.program(), list(reference.commands())
    shared = {names for names, _ in program.options}
    return _page(
        "Commands",
        f"{prose(program.summary)} Each command's manual page says the same: `man ollamactl-apply`.",
        *("\n".join(f"- [`{each.name}`](#{each.name}): {prose(each.summary)}" for each in commands),),
        "## Options of all commands",
        reference.OPTIONS,
        _list(program.options),
        "What each command prints with `--output json` is in [json.md](json.md).",
        "## Exit codes",
        "\n".join(f"- {number}: {prose(words)}" for number, words in reference.exit_codes()),
        *(block for each in commands for block in _command(each, shared)),
        "## Files",
        "\n".join(f"- `{path}`: {prose(words)}" for path, words in reference.places().items()),
    )


def _command(command: Command, shared: Iterable[str]) -> Iterator[str]:
    own = [option for option in command.options if option[0] not in shared]
    yield f"## `{command.name}`"
    yield f"    ollamactl {' '.join([command.name, *(['[OPTIONS]'] if own else []), *command.arguments])}"
    yield from _prose(command.paragraphs)
    if own:
        yield _list(own)


def _spec() -> str:
    return _page(
        "The spec",
        prose(schema.load()["description"]),
        prose(reference.FLEET),
        f"```yaml\n{reference.EXAMPLE.read_text()}```",
        "How they are used is in the [guide](guide.md).",
        "## Keys of the fleet",
        _keys(reference.fleet_keys()),
        "## Keys of an instance",
        prose(reference.of_instances()),
        _keys(reference.instance_keys()),
    )


def _keys(keys: Iterable[Key]) -> str:
    return "\n".join(f"- **`{key.path}`**: {' '.join(map(prose, (key.description, *key.facts)))}" for key in keys)


def _list(options: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"- `{names}`: {prose(words)}" for names, words in options)


def _prose(paragraphs: Iterable[Paragraph]) -> Iterator[str]:
    for paragraph in paragraphs:
        yield prose(paragraph.text)
        if paragraph.lines:
            yield "\n".join(f"    {line.strip()}" for line in paragraph.lines)


def _page(title: str, *blocks: str) -> str:
    return "\n\n".join((f"# {title}", MADE, *blocks)) + "\n"


def prose(text: str) -> str:
    """Running text for Markdown: outside of `words` in backticks no character is markup."""
    parts = text.split("`")
    return "`".join(part if number % 2 else re.sub(r"([*_<\[\\])", r"\\\1", part) for number, part in enumerate(parts))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
