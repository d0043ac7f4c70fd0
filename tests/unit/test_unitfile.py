"""Values survive systemd's parsers, as decoders written after its sources read them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollamactl.units import unitfile

# What a spec lets through: no NUL, no newline, nothing that is not a character
VALUES = st.text(
    st.characters(blacklist_categories=("Cs",), blacklist_characters="\0\n\r\ufffe\uffff", max_codepoint=0x1FFFD)
    | st.sampled_from("\\\"'`$%:; \t#=~{}*"),
    max_size=30,
)
WHITESPACE = " \t\r"
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,12}", fullmatch=True)
PATHS = VALUES.map(lambda text: f"/{text.strip(WHITESPACE)}")
C_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "s": " "}


def words(
    text: str,
    separators: str = " \t\n\r",
    *,
    c_escapes: bool = False,
    separators_only: bool = False,
    retain: bool = False,
) -> list[str]:
    """extract_first_word() with EXTRACT_UNQUOTE until the end, as src/basic/extract-word.c does it."""
    found: list[str] = []
    word: str | None = None
    quote, at = "", 0
    while at < len(text):
        char = text[at]
        at += 1
        if char == "\\" and not retain:
            assert at < len(text), "a backslash at the end joins the next line"
            char = text[at]
            at += 1
            if separators_only and char not in f"{separators}\\":
                raise ValueError(f"\\{char}")
            if c_escapes and char == "x":
                char, at = chr(int(text[at : at + 2], 16)), at + 2
            elif c_escapes and char not in "\\\"'":
                char = C_ESCAPES[char]
            word = (word or "") + char
        elif char == quote:
            quote = ""
        elif not quote and char in "\"'":
            quote, word = char, word or ""
        elif not quote and char in separators:
            if word is not None:
                found.append(word)
            word = None
        else:
            word = (word or "") + char
    assert not quote
    return found if word is None else [*found, word]


def specifiers(text: str) -> str:
    assert not re.search(r"(?<!%)(?:%%)*%(?!%)", text)
    return text.replace("%%", "%")


def shell_value(text: str) -> str:
    """The double-quoted state of parse_env_file_internal() in src/basic/env-file.c."""
    assert text[0] == text[-1] == '"'
    value, at, inner = "", 0, text[1:-1]
    while at < len(inner):
        if inner[at] == "\\":
            at += 1
            value += inner[at] if inner[at] in '"\\`$' else f"\\{inner[at]}"
        else:
            assert inner[at] != '"'
            value += inner[at]
        at += 1
    return value


def whole(text: str) -> str:
    """The value of one line `Key=VALUE`, as systemd's own line reader leaves it: stripped, and no continuation."""
    (directive,) = unitfile.parse(f"[Service]\nKey={text}\nOther=1\n")[:-1]
    return directive.value


@given(NAMES, VALUES)
def test_environment_reaches_the_process_unchanged(name: str, value: str) -> None:
    line = whole(unitfile.quote_environment(name, value))
    assert [specifiers(word) for word in words(line, c_escapes=True)] == [f"{name}={value}"]
    assert unitfile.unquote_environment(line) == (name, value)


@given(NAMES, VALUES)
def test_environment_files_follow_the_shell(name: str, value: str) -> None:
    key, _, quoted = unitfile.quote_env_file(name, value).partition("=")
    assert (key, shell_value(quoted)) == (name, value)


@given(VALUES)
def test_arguments_of_a_command(arg: str) -> None:
    line = whole(f"/bin/x {unitfile.escape_exec(arg)}")
    (_, word) = words(line, c_escapes=True)
    assert not re.search(r"(?<!\$)(?:\$\$)*\$(?!\$)", word)
    assert specifiers(word).replace("$$", "$") == arg
    assert not line.startswith("/bin/x ;"), "a bare semicolon begins another command"


def test_a_script_keeps_its_lines_in_the_unit_and_reaches_the_shell_as_one() -> None:
    script = "# told\na='$1'; # %s\nprintf \"%d\\n\" ${#a}\n"
    lines = unitfile.escape_script(script)
    assert lines.splitlines() == ["# told", r"a=\'$$1\'; # %%s " + "\\", r'printf "%%d\\n" $${#a} ' + "\\"]
    (directive,) = unitfile.parse(f"[Service]\nExecStartPost=/bin/bash -c '\\\n{lines}' x\n")
    *_, word, last = words(directive.value, c_escapes=True)
    assert last == "x"
    assert " ".join(specifiers(word).replace("$$", "$").split()) == "a='$1'; # %s printf \"%d\\n\" ${#a}"


@given(PATHS)
def test_the_program_of_a_command(path: str) -> None:
    assert [specifiers(word) for word in words(whole(unitfile.escape_exec_path(path)), c_escapes=True)] == [path]


@given(PATHS, PATHS)
def test_bound_paths(source: str, target: str) -> None:
    line = whole(f"{unitfile.escape_bind(source)}/blobs:{unitfile.escape_bind(target)}")
    wanted = [f"{source}/blobs", target]
    assert [specifiers(word) for word in words(line, ": \t\n\r", separators_only=True)] == wanted
    (entry,) = words(line, retain=True)  # as newer managers do it: into words first
    parts = re.findall(r"((?:\\[\\:]|[^\\:])+)(?::|$)", entry)
    assert [specifiers(re.sub(r"\\(.)", r"\1", part)) for part in parts] == wanted


@given(PATHS)
def test_temporary_file_systems(path: str) -> None:
    (entry,) = words(whole(f"{unitfile.escape_temporary(path)}:ro"))
    at_colons = re.findall(r"((?:\\.|[^:\\])+)(?::|$)", entry, re.DOTALL)
    assert [specifiers(re.sub(r"\\(.)", r"\1", part)) for part in at_colons] == [path, "ro"]


@given(PATHS)
def test_paths_of_a_list(path: str) -> None:
    assert [specifiers(word) for word in words(whole(unitfile.escape_path(path)))] == [path]


@given(VALUES.map(lambda text: text.strip(WHITESPACE)))
def test_plain_values(value: str) -> None:
    assert specifiers(whole(unitfile.plain(value))) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("127.0.0.1:11434", "A=127.0.0.1:11434"),
        ("GPU-5c1a,GPU-6", "A=GPU-5c1a,GPU-6"),
        ("", "A="),
        ("50%", "A=50%%"),
        ("a b", '"A=a b"'),
        ("$HOME", '"A=$HOME"'),
        ("\x1b", r'"A=\x1b"'),
        ("é", '"A=é"'),
    ],
)
def test_only_what_needs_it_is_quoted(value: str, text: str) -> None:
    assert unitfile.quote_environment("A", value) == text


def test_parse_joins_lines_and_drops_comments() -> None:
    text = (
        "# a \\\n[Unit]\nAfter = a.service \\\n; between\n  b.service\n\n[Service]\nEnvironment=A=1\\\\\nExecStart=\n"
    )
    assert unitfile.parse(text) == [
        ("Unit", "After", "a.service    b.service"),
        ("Service", "Environment", "A=1\\\\"),
        ("Service", "ExecStart", ""),
    ]
