"""README.md and docs/ as data: their code, with what it is marked as, and their links.

A fenced block says by the words after its language what is done with it:

- `yaml`: a whole spec; with a path it is what a walk-through writes there
- `yaml part`: keys at a spec's top; `yaml instance`: keys of one instance; `yaml other FILE`: another program's
- `sh`: commands that a walk-through runs (tests/system/test_guide.py); `sh WORD`: in a walk-through of its own, and
  `sh elsewhere` in none, because they need the Internet, Docker, several hosts or this checkout's tools
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TOP = Path(__file__).parents[1]
PAGES = (TOP / "README.md", *sorted((TOP / "docs").glob("*.md")))
_FENCE = re.compile(r"^```(?P<marks>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_END = {";", "&&", "||", "|", "&", "(", ")", "\n"}
_REDIRECT = {">", ">>", "<", "<<<", "2>"}


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block."""

    page: str
    line: int
    section: str
    """The heading that it stands below."""
    language: str
    marks: tuple[str, ...]
    text: str

    @property
    def place(self) -> str:
        """Where to look when it is wrong."""
        return f"{self.page}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in their order."""
    text = page.read_text()
    return list(_blocks(page.name, text))


def _blocks(page: str, text: str) -> Iterator[Block]:
    for found in _FENCE.finditer(text):
        before = _FENCE.sub("", text[: found.start()])
        headings = re.findall(r"^##? (.+)$", before, re.MULTILINE)
        language, *marks = found["marks"].split() or [""]
        yield Block(
            page=page, line=text.count("\n", 0, found.start()) + 1, section=headings[-1], language=language,
            marks=tuple(marks), text=found["text"],
        )  # fmt: skip


def prose(page: Path) -> str:
    """What stands between the blocks."""
    return _FENCE.sub("", page.read_text())


def spans(page: Path) -> list[str]:
    """What stands in backticks within the text; line breaks are blanks there."""
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose(page))]


def commands(script: str) -> Iterator[list[str]]:
    """The simple commands of a shell's lines, those within `$(...)` too, without redirections and sudo."""
    for line in script.replace("\\\n", " ").splitlines():
        for inner in re.findall(r"\$\(([^()]*)\)", line):
            yield from commands(inner)
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        skip = False
        for word in [*lexer, "\n"]:
            if word in _END:
                if words:
                    yield words[1:] if words[0] == "sudo" else words
                words = []
            elif word in _REDIRECT:
                skip = True
            elif skip:
                skip = False
            else:
                words.append(word)


def anchors(page: Path) -> set[str]:
    """What a link to a part of a page may say, as GitHub makes it of headings."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: Path) -> list[str]:
    """Where a page's links lead, pictures' too."""
    return re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", prose(page)))
