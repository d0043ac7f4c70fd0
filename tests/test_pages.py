"""Every command and every YAML of README and docs/ is what the programs take; links lead somewhere."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest
import yaml  # type: ignore[import-untyped]

from ollamactl.cli import cli
from ollamactl.cli.common import spelled_out
from ollamactl.errors import SpecError
from ollamactl.exporting import openwebui
from ollamactl.spec import schema, specfile
from tests import docpages
from tests.docpages import PAGES, TOP, Block

SPECS = [block for page in PAGES for block in docpages.blocks(page) if block.language == "yaml"]
SCRIPTS = [block for page in PAGES for block in docpages.blocks(page) if block.language == "sh"]
SHELL = {
    "ansible-playbook", "apt", "cd", "chmod", "curl", "eval", "ln", "mkdir", "ollama", "pipx", "python3", "rm", "sleep",
    "tee",
}  # fmt: skip
"""Other programs, whose options nobody checks here; the walk-throughs run most of them."""


def load(text: str) -> None:
    specfile.load(text.encode(), name="page")


def completed(text: str, kind: str) -> str:
    """A whole spec of a part of one."""
    if kind == "instance":
        port = "" if re.search(r"^port:", text, re.M) else "port: 11434\n"
        return "version: 1\ninstances:\n  example:\n" + "".join(f"    {line}\n" for line in (text + port).splitlines())
    version = "" if "version:" in text else "version: 1\n"
    return version + text + ("" if "instances:" in text else "instances: {example: {port: 11434}}\n")


@pytest.mark.parametrize("block", SPECS, ids=lambda block: block.place)
def test_each_spec_in_the_pages_is_one(block: Block) -> None:
    kind = block.marks[0] if block.marks else ""
    if kind == "other":
        assert isinstance(yaml.safe_load(block.text), dict)
    else:
        load(completed(block.text, kind) if kind in {"part", "instance"} else block.text)


def test_each_key_with_a_value_in_the_text_is_one() -> None:
    keys = [*schema.load()["properties"], *schema.load()["$defs"]["instance"]["properties"]]
    wrong, seen = [], 0
    for page in PAGES:
        for span in docpages.spans(page):
            if re.match(rf"({'|'.join(keys)}): (?!\w+\.)\S", span) and "..." not in span:
                seen += 1
                wrong += [] if accepted(span) else [f"{page.name}: {span}"]
    assert (wrong, seen > 10) == ([], True)


def accepted(span: str) -> bool:
    def holds(kind: str) -> bool:
        try:
            load(completed(span + "\n", kind))
        except SpecError:
            return False
        return True

    # A host beyond loopback needs what the text around says
    return holds("instance") or holds("part") or (span.startswith("host: ") and accepted_with_allow(span))


def accepted_with_allow(span: str) -> bool:
    load(completed(f"{span}\nallow: [any]\n", "instance"))
    return True


@pytest.mark.parametrize("block", SCRIPTS, ids=lambda block: block.place)
def test_each_command_in_the_pages_is_one(block: Block) -> None:
    for words in docpages.commands(block.text):
        check(words)


def test_each_command_in_the_text_is_one() -> None:
    wrong, seen = [], 0
    for page in PAGES:
        for span in docpages.spans(page):
            if re.match(r"(sudo )?((ollamactl|systemctl|journalctl) \S|make [a-z-]+$)", span):
                seen += 1
                try:
                    for words in docpages.commands(span):
                        check(words)
                except (click.ClickException, AssertionError) as error:
                    wrong.append(f"{page.name}: {span}: {error}")
    assert (wrong, seen > 30) == ([], True)


def check(words: list[str]) -> None:
    """A command's words are what that program takes; raises a ClickException or an AssertionError where not."""
    program, *rest = words
    if program == "ollamactl":
        parse(rest)
    elif program in {"systemctl", "journalctl"}:
        for word in (word.partition("=")[0] for word in rest if word.startswith("-")):
            assert re.search(rf"(^|[\s,]){word}\b", manual(program)), f"{program} has no {word}"
        if program == "systemctl":
            verb = next(word for word in rest if not word.startswith("-"))
            assert re.search(rf"^  {verb} ", manual(program), re.M), f"systemctl has no {verb}"
    elif program == "make":
        assert set(rest) <= set(re.findall(r"^([a-z-]+):", (TOP / "Makefile").read_text(), re.M))
    else:
        assert program in SHELL or "=" in program or Path(program).name == "pip", f"who checks {program}?"


def parse(words: list[str]) -> None:
    """As click reads it; folders that are not there are no mistake."""
    words = spelled_out(words)
    for number, word in enumerate(words[:-1]):
        if word == "--root":
            words[number + 1] = "/"
    names = [number for number, word in enumerate(words) if word in cli.commands]
    if not names:
        assert set(words) <= {"--version", "--help"}, f"no command in {words}"
        return
    command = cli.commands[words[names[0]]]
    command.make_context(words[names[0]], [*words[: names[0]], *words[names[0] + 1 :]])


@cache
def manual(program: str) -> str:
    return subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    wrong = []
    for link in docpages.links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        if re.match(r"https?:", link):
            continue
        if not target.exists() or (anchor and anchor not in docpages.anchors(target)):
            wrong.append(link)
    assert wrong == []


def test_pages_of_docs_are_reached_from_readme() -> None:
    assert {f"docs/{page.name}" for page in PAGES[1:]} <= {link.partition("#")[0] for link in docpages.links(PAGES[0])}


def generated() -> Iterator[tuple[str, str]]:
    spec = importlib.util.spec_from_file_location("pages", TOP / "packaging/pages.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["pages"] = module
    spec.loader.exec_module(module)
    yield from module.pages()


@pytest.mark.parametrize(("name", "text"), list(generated()), ids=lambda value: value[:12])
def test_the_reference_is_what_the_program_says(name: str, text: str) -> None:
    assert (TOP / "docs" / name).read_text() == text, f"docs/{name} is old: make docs"


def test_the_compose_file_of_the_guide_names_the_servers_of_the_spec_before_it() -> None:
    blocks = docpages.blocks(TOP / "docs/guide.md")
    number = next(number for number, block in enumerate(blocks) if block.marks[:1] == ("other",))
    before = specfile.load(blocks[number - 1].text.encode(), name="guide").fleet
    variables = yaml.safe_load(blocks[number].text)["services"]["open-webui"]["environment"]
    printed = re.findall(r"^(\w+)=", openwebui.text(()), re.M)

    assert list(variables) == printed
    assert variables["OLLAMA_BASE_URLS"].split(";") == [
        f"http://host.docker.internal:{each.port}" for each in before.instances
    ]
