"""Values of variables that mean something to one of the parsers on their way, and how YAML writes them."""

from __future__ import annotations

import random
from collections.abc import Mapping

NASTY = [
    *("%", "%%", "%n", "%i.%h", "100%", "$", "$$", "$HOME", "${HOME}", "`id`", "$(id)"),
    *("'", '"', "'one'", '"two"', "it's", "'\"'\"'", '\\"', '"\\', '"'),
    *("\\", "\\\\", "a\\", "\\n", "\\t", "\\x41", "\\u0041", "\\s", "\\ ", "C:\\dir\\"),
    *(" ", "  ", " lead", "trail ", " both ", "\t", "\ttab\t", "a\tb", "a  b"),
    *("#", "# c", "a # b", ";", "; c", "a;b", "=", "==", "a=b=c", "[Service]", "ExecStart=/bin/false", "-", "~", "/*"),
    *("", "*", "?", "{a,b}", "!", "&&", "||", "<in >out", "()", "|", "^", "@", ":", ",", "%s %d"),
    *("é", "日本語", "🦙", "e\u0301", "\u00a0", "\u200b", "\u202e", "\ufeff", "\U0010fffd", "ÿ"),
    *("true", "null", "0x1F", "1_000", "1e3", "- item", "a: b", "--flag", "\\", "x" * 5000, "%$\"'\\ é#;" * 500),
]
LONGEST = 100 * 1024
"""Bytes of a name and its value together; more is refused."""


def quoted(text: str) -> str:
    """A text in YAML's double quotes, where everything can be written (YAML 1.2, 7.3.1)."""
    return '"' + "".join(f"\\{c}" if c in '"\\' else c if c.isprintable() else f"\\U{ord(c):08x}" for c in text) + '"'


def flow(variables: Mapping[str, str]) -> str:
    """A mapping in one line of YAML."""
    return "{" + ", ".join(f"{name}: {quoted(value)}" for name, value in variables.items()) + "}"


def chance(seed: int, count: int) -> list[str]:
    """Random texts, most of their characters special to one of the parsers on the way."""
    dice = random.Random(seed)
    special = " \t\"'\\$%#;=`{}[]()<>|&!?*~^:,.@/-_+\u00a0\u0301é日🦙abAB01"
    return ["".join(dice.choice(special) for _ in range(dice.randint(0, 40))) for _ in range(count)]


def named(values: list[str]) -> dict[str, str]:
    """A name of its own for each value."""
    return {f"V{number}": value for number, value in enumerate(values)}
