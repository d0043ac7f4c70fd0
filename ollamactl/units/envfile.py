"""What systemd reads of an EnvironmentFile= (systemd.exec(5), and env-file.c there). Pure."""

import re

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BLANKS = " \t\n\r"
_ESCAPED = '"\\`$'
"""What a backslash takes its meaning from within double quotes; before anything else it is a backslash."""


def parse(text: str) -> dict[str, str]:
    """The assignments; lines that are none, such as `export A=1`, are ignored as systemd ignores them."""
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        if text[at] in _BLANKS:
            at += 1
            continue
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        if text[at] in "#;":
            at = end + 1
            continue
        name, equals, _ = text[at:end].partition("=")
        if not equals:
            at = end + 1
            continue
        value, at = _value(text, at + len(name) + 1)
        if _NAME.fullmatch(name.strip()):
            found[name.strip()] = value
    return found


def exported(text: str) -> tuple[str, ...]:
    """The names in lines that a shell would take and systemd ignores: `export A=1`."""
    return tuple(re.findall(r"^[ \t]*export[ \t]+([A-Za-z_][A-Za-z0-9_]*)=", text, re.MULTILINE))


def _value(text: str, at: int) -> tuple[str, int]:
    """The value from a place on, and the place after its line. Quotes count only where a word begins."""
    out, solid, quote, started = "", 0, "", False
    while at < len(text):
        letter, after = text[at], text[at + 1 : at + 2]
        at += 1
        if letter == "\\" and quote != "'":
            literal = quote == '"' and after not in (*_ESCAPED, "\n", "")
            out += ("\\" if literal else "") + after.replace("\n", "")
            at, solid, started = at + 1, len(out), started or not quote
        elif quote:
            if letter == quote:
                quote = ""
            else:
                out += letter
            solid = len(out)
        elif letter == "\n":
            break
        elif letter in "\"'" and not started:
            quote = letter
        elif started or letter not in _BLANKS:
            out, started = out + letter, True
            solid = solid if letter in _BLANKS else len(out)
    return out[:solid], at
