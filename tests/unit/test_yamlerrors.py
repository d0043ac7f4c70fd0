"""Text that is not YAML: each message says what is wrong in the author's words, at the place to mend."""

import pytest

from ollamactl.errors import SpecError
from ollamactl.spec import yamltree


def told(text: str) -> str:
    """The first problem as `line:column: message | hint`."""
    with pytest.raises(SpecError) as caught:
        yamltree.parse(text.encode(), name="f", hidden="secrets")
    (problem,) = caught.value.problems
    assert problem.location
    message = problem.message.removeprefix("is not valid YAML: ")
    assert message != problem.message
    return f"{problem.location.line}:{problem.location.column}: {message} | {problem.hint}"


COLUMN = "keys that belong together begin in the same column"
COMMAS = "put commas between the parts; a value that contains a colon and a space needs quotes"
TWO_KEYS = "put nested keys on lines of their own or into { }, and quote a value that contains a colon and a space"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "a:\n  b: {c: 1, d: [2]\n  e: {f: 1}\n",
            "2:6: this { is not closed before line 3 | close it with }, or end line 2 with a comma where it goes on",
        ),
        (
            "a:\n  b: [c, d\n\n  # a comment\n  e: 1\n",
            "2:6: this [ is not closed before line 5 | close it with ], or end line 2 with a comma where it goes on",
        ),
        ("a: {\n  b: {c: 1},\n  d: {e: 1}\n", "1:4: this { is never closed | close it with }"),
        ("a: [1, [2, 3]\n\n", "1:4: this [ is never closed | close it with ]"),
        ("a: [", "1:4: this [ is never closed | close it with ]"),
        ("a: {", "1:4: this { is never closed | close it with }"),
        ("a: {b: [0, 1}", "1:13: this } does not close the [ in column 8 | write ] before it"),
        ("a: {b: [0,\n 1}", "2:3: this } does not close the [ of line 1, column 8 | write ] before it"),
        ("a: [}", "1:5: this } does not close the [ in column 4 | write ] before it"),
        ("a: {b: 1}}", "1:10: this } closes nothing | remove it, or open it before"),
        ("a: ]", "1:4: this ] closes nothing | remove it, or open it before"),
        ("a: {b: 1 c: 2}", f"1:11: a comma or the }} is missing before this (the {{ is in column 4) | {COMMAS}"),
        ('a: ["b" "c"]', f"1:9: a comma or the ] is missing before this (the [ is in column 4) | {COMMAS}"),
        ("a: [b,, c]", "1:7: there is nothing before this comma | remove it, or write what is missing"),
        (
            '{\n"a": 1,\n// no\n"b": 2\n}',
            "1:1: this { is not closed before line 4 | a comment begins with #, not with //",
        ),
        ("a:\n\tb: 1", "2:1: a tab cannot indent | indent with spaces only"),
        ("a: @b", "1:4: a value cannot begin with @ | put it in quotes"),
        ("a: *", '1:4: * without a name | if it is the value, quote it: "*"'),
        ('a: "b\nc: d\n', '1:4: this quote is never closed | close it; a " within them is written \\"'),
        ("a: 'b\nc: d\n", "1:4: this quote is never closed | close it; a ' within them is written ''"),
        (
            'a: "\\q"',
            "1:5: this backslash means nothing in double quotes | double the backslash, or use single quotes",
        ),
        ("a: |x\n b", "1:5: nothing may follow | or > on its line | begin the text on the next line"),
        ("a:\n  b\n    c: 1", "2:1: this line has no colon | write b: if it is a key"),
        ("a: b: 1", f"1:5: a second key: value on one line | {TWO_KEYS}"),
        ("a: \u201cb: 1\u201d", f"1:6: a second key: value on one line | {TWO_KEYS}; typographic quotes do not count"),
        (
            "a: - b",
            "1:4: a list with - cannot begin on the line of its key | put it on the next line, or write [ONE, OTHER]",
        ),
        (
            "a:\n    b: 1\n   c: 1",
            f"3:4: the indentation of this line matches none above it | {COLUMN}",
        ),
        ("a: b\n- c", "2:1: a list item (-) among keys | indent it below the key that it belongs to"),
        (
            "a: 'it's'",
            "1:8: nothing may follow the value here | quote the whole value, or put the rest on another line",
        ),
        ("a: 1\nb\n", "2:1: a key without a colon | write KEY: VALUE"),
    ],
)
def test_what_is_told(text: str, expected: str) -> None:
    assert told(text) == expected


def test_what_has_no_words_of_ours_is_told_in_the_parsers() -> None:
    assert told("a: !<x") == "1:7: while scanning a tag, did not find the expected '>' | "


@pytest.mark.parametrize(
    "text",
    [
        "a: {secrets: {T: hunter2",
        "secrets: {T: hunter2\nb: c",
        "a:\n  secrets:\n    T: 'hunter2\n",
        "a:\n  secrets:\n\n    U: x\n    T: [hunter2\n",
        "a:\n  secrets:\n    T: @hunter2\n",
    ],
)
def test_a_line_with_a_secret_is_not_shown(text: str) -> None:
    with pytest.raises(SpecError) as caught:
        yamltree.parse(text.encode(), name="f", hidden="secrets")
    assert "hunter2" not in str(caught.value)
