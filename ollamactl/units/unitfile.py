"""Writing values into unit files so that they reach the process unchanged, and reading our own unit files back.

Each setting of systemd has rules of its own; a function here is named after the setting that it writes for. Values hold
no newline and no NUL (the spec refuses them). All is pure text.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

_C_ESCAPES = {"\\": r"\\", '"': r"\"", "\t": r"\t", "\r": r"\r", "\b": r"\b", "\f": r"\f", "\v": r"\v", "\a": r"\a"}
_C_UNESCAPES = {escape[1]: char for char, escape in _C_ESCAPES.items()}
_CONTROL = re.compile(r'[\\"\x00-\x1f\x7f]')
_ESCAPED = re.compile(r'\\(?:x([0-9a-f]{2})|([\\"trbfva]))')
_SHELL = re.compile(r'["\\`$]')
_WHITESPACE = " \t\r"  # systemd's own; Python's strip() knows more
_BARE = re.compile(r"[A-Za-z0-9_@%+=:,./~^*\[\]-]+")


class Directive(NamedTuple):
    """One setting of a unit file, as it stands there."""

    section: str
    key: str
    value: str


def escape_specifiers(value: str) -> str:
    """Double `%`, which else begins a specifier (systemd.unit(5), Specifiers)."""
    return value.replace("%", "%%")


def plain(value: str) -> str:
    """A value that systemd takes whole, without quotes: Description=, EnvironmentFile=, WorkingDirectory=.

    A backslash at the end of a line would join the next one (systemd.syntax(7)); the space after it is stripped again.
    """
    value = escape_specifiers(value)
    return f"{value} " if value.endswith("\\") else value


def quote_environment(name: str, value: str) -> str:
    """`NAME=value` for Environment= (systemd.exec(5)): `%%`, C escapes within double quotes; `$` is plain there."""
    return _quote(escape_specifiers(f"{name}={value}"))


def unquote_environment(text: str) -> tuple[str, str]:
    """The name and the value that `quote_environment` wrote."""
    if text.startswith('"') and text.endswith('"') and len(text) > 1:
        text = _ESCAPED.sub(lambda at: chr(int(at[1], 16)) if at[1] else _C_UNESCAPES[at[2]], text[1:-1])
    name, _, value = text.replace("%%", "%").partition("=")
    return name, value


def quote_env_file(name: str, value: str) -> str:
    """`NAME="value"` for a file that EnvironmentFile= names.

    Within double quotes a backslash takes its meaning from the shell (src/basic/env-file.c in systemd): it escapes only
    `"`, `\\`, `` ` `` and `$`. There are no specifiers and no C escapes.
    """
    escaped = _SHELL.sub(r"\\\g<0>", value)
    return f'{name}="{escaped}"'


def escape_exec(arg: str) -> str:
    """An argument of ExecStart= after the first (systemd.service(5), Command lines): `$$`, `%%`, C escapes, quotes."""
    return _quote(escape_specifiers(arg).replace("$", "$$"))


def escape_exec_path(path: str) -> str:
    """The program of ExecStart=: as `escape_exec`, but `$` is not special in it."""
    return _quote(escape_specifiers(path))


def escape_script(text: str) -> str:
    """A script as one argument of ExecStart= that keeps its lines in the unit file: to be put between single quotes.

    systemd joins lines that end with a backslash, and leaves out those between them that begin with `#`; so what is to
    be ended ends with a semicolon, and `systemctl status` shows one line.
    """
    lines = escape_specifiers(text).replace("$", "$$").replace("\\", r"\\").replace("'", r"\'").splitlines()
    return "".join(f"{line}\n" if line.startswith("#") else f"{line} \\\n" for line in lines)


def escape_path(path: str) -> str:
    """One path of a list of paths that knows quotes and backslashes: RequiresMountsFor=."""
    return re.sub(r"""([\\"' \t\r])""", r"\\\1", escape_specifiers(path))


def escape_bind(path: str) -> str:
    """A path of BindPaths= and BindReadOnlyPaths=, where a colon divides source and target.

    In the one spelling that 252 and 262 read alike: quotes keep blanks together, and a backslash stands before colons
    and backslashes only (EXTRACT_UNESCAPE_SEPARATORS in systemd's src/core/load-fragment.c).
    """
    escaped = re.sub(r"([\\:])", r"\\\1", escape_specifiers(path))
    if not re.search(r"""["' \t\r]""", escaped):
        return escaped
    return "".join(f"'{part}'" if '"' in part else f'"{part}"' for part in re.findall(r'"+|[^"]+', escaped))


def escape_temporary(path: str) -> str:
    """A path of TemporaryFileSystem=, which is taken apart twice: into words, then at colons.

    From 255 on no spelling of a colon or backslash survives systemd-executor: such a unit fails to start.
    """
    return re.sub(r"""([\\"' \t\r])""", r"\\\1", re.sub(r"([\\:])", r"\\\1", escape_specifiers(path)))


def parse(text: str) -> list[Directive]:
    """The directives of a unit file in their order, continuation lines joined (systemd.syntax(7)), without comments."""
    directives, section = [], ""
    for line in _logical_lines(text):
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
        elif line:
            key, _, value = line.partition("=")
            directives.append(Directive(section, key.rstrip(_WHITESPACE), value.lstrip(_WHITESPACE)))
    return directives


def _logical_lines(text: str) -> Iterator[str]:
    begun = ""
    for line in text.split("\n"):
        if line.lstrip(_WHITESPACE).startswith(("#", ";")):
            continue
        if (len(line) - len(line.rstrip("\\"))) % 2:
            begun += f"{line[:-1]} "
        else:
            yield (begun + line).strip(_WHITESPACE)
            begun = ""


def _quote(text: str) -> str:
    """One word for systemd's parser: bare where nothing in it is special, else C-escaped in double quotes."""
    if _BARE.fullmatch(text):
        return text
    escaped = _CONTROL.sub(lambda at: _C_ESCAPES.get(at[0]) or rf"\x{ord(at[0]):02x}", text)
    return f'"{escaped}"'
