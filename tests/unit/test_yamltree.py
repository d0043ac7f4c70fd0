import time
from contextlib import suppress

import pytest

from ollamactl.errors import SpecError
from ollamactl.spec import yamltree
from ollamactl.spec.specplace import Path


def data(text: str) -> object:
    tree = yamltree.parse(text.encode(), name="f.yaml")
    assert not tree.problems
    return tree.data


def failure(raw: bytes | str) -> str:
    with pytest.raises(SpecError) as caught:
        yamltree.parse(raw.encode() if isinstance(raw, str) else raw, name="f.yaml")
    return str(caught.value)


def problems(text: str) -> list[str]:
    return [str(problem).partition("\n")[0] for problem in yamltree.parse(text.encode(), name="f.yaml").problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: [on, off, yes, no, y, n]", {"a": ["on", "off", "yes", "no", "y", "n"]}),
        ("a: [true, False, null, ~, '']", {"a": [True, False, None, None, ""]}),
        (
            "a: [12:30, 010, 0o10, 0x1f, 1_000, 1.10, .inf]",
            {"a": ["12:30", "010", "0o10", "0x1f", "1_000", "1.10", ".inf"]},
        ),
        ("a: [1, -1, +1, 0, 2024-01-01]", {"a": [1, -1, 1, 0, "2024-01-01"]}),
        (f"a: {'9' * 5000}", {"a": "9" * 5000}),
        ("a: '1'\nb: \"true\"\nc: !!str 5\nd: ! 5", {"a": "1", "b": "true", "c": "5", "d": "5"}),
        ("a:\nb: ''", {"a": None, "b": ""}),
        ("on: 1\nno: 2", {"on": 1, "no": 2}),
        ("a: &x [1, {b: 2}]\nc: *x", {"a": [1, {"b": 2}], "c": [1, {"b": 2}]}),
        ("a: &x {p: 1, q: 2}\nb: {q: 3, <<: *x, r: 4}", {"a": {"p": 1, "q": 2}, "b": {"q": 3, "r": 4, "p": 1}}),
        ("a: &x {p: 1}\nb: {<<: [*x, {p: 2, q: 2}]}", {"a": {"p": 1}, "b": {"p": 1, "q": 2}}),
        ("a: &x word\n? *x\n: 1", {"a": "word", "word": 1}),
        ("\ufeffa: \u00fc\U0001f999", {"a": "\u00fc\U0001f999"}),
        ("--- {a: 1}\n...\n", {"a": 1}),
        ("a: one\n  two", {"a": "one two"}),
        ("- x", ["x"]),
    ],
)
def test_values(text: str, value: object) -> None:
    assert data(text) == value


def test_numbers_keep_their_spelling() -> None:
    tree = yamltree.parse(b"a: {b: [+1, TRUE, ~]}", name="f.yaml")

    assert tree.words == {("a", "b", 0): "+1", ("a", "b", 1): "TRUE", ("a", "b", 2): "~"}


@pytest.mark.parametrize(
    ("path", "line", "column", "source"),
    [
        (("a",), 1, 1, "a:"),
        (("a", "b"), 2, 6, "  b: 1"),
        (("a", "c", 1), 3, 10, "  c: [x, \u00fc]"),
        (("d",), 4, 6, '"d": e'),
    ],
)
def test_scalars_are_located_at_their_value_and_the_rest_at_the_key(
    path: Path, line: int, column: int, source: str
) -> None:
    tree = yamltree.parse('a:\n  b: 1\n  c: [x, \u00fc]\n"d": e'.encode(), name="f.yaml")

    place = tree.locations[path]
    assert (place.file, place.line, place.column, place.source) == ("f.yaml", line, column, source)


def test_keys_have_a_place_of_their_own() -> None:
    locations = yamltree.parse(b"a:\n  b: 1", name="f.yaml").locations

    key = locations.key(("a", "b"))
    assert key is not None
    assert (key.line, key.column) == (2, 3)
    assert locations.key(("a", 0)) is None


def test_lines_below_a_hidden_key_are_never_shown() -> None:
    tree = yamltree.parse(b"a: {port: 1, secrets: {T: x}}\nsecrets:\n  U: y\n", name="f.yaml", hidden="secrets")

    assert {tree.locations[path].source for path in tree.locations} == {"", "secrets:"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\na: 3", ["f.yaml:3:1: a: is given twice; first on line 1"]),
        ("a: {b: 1, b: 2, b: 3}", [
            "f.yaml:1:11: a.b: is given twice; first on line 1",
            "f.yaml:1:17: a.b: is given twice; first on line 1",
        ]),
        ("1: x", ["f.yaml:1:1: a key must be a word, not 1"]),
        ("true: x", ["f.yaml:1:1: a key must be a word, not true"]),
        ("~: x", ["f.yaml:1:1: a key must be a word, not ~"]),
        ("[a]: x", ["f.yaml:1:1: a key must be a word, not a list or a mapping"]),
        ("? {a: b}\n: x", ["f.yaml:1:3: a key must be a word, not a list or a mapping"]),
        ('a: "x\\ny"', ["f.yaml:1:4: a: contains a line break"]),
        ("a: x\n\n  y", ["f.yaml:1:4: a: contains a line break"]),
        ('a: "\\e[31m"', ["f.yaml:1:4: a: contains the character U+001B"]),
        ('a: "\\0"', ["f.yaml:1:4: a: contains the character U+0000"]),
        ('a: ["\\uFFFE", "\\U0001FFFF", "\\uFDD0"]', [
            "f.yaml:1:5: a[0]: contains the character U+FFFE",
            "f.yaml:1:15: a[1]: contains the character U+1FFFF",
            "f.yaml:1:29: a[2]: contains the character U+FDD0",
        ]),
        ('"a\\n": x', ["f.yaml:1:1: contains a line break"]),
        ("a: {<<: 5}", ["f.yaml:1:9: a: << merges mappings, and this is not one"]),
    ],
)  # fmt: skip
def test_problems_that_leave_data_to_look_at(text: str, expected: list[str]) -> None:
    assert problems(text) == expected


def test_the_first_of_two_equal_keys_counts() -> None:
    assert yamltree.parse(b"a: 1\na: 2", name="f.yaml").data == {"a": 1}


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "f.yaml: is empty\n  hint: write a first spec with: ollamactl init"),
        (b"  # nothing\n---\n", "f.yaml: is empty\n  hint: write a first spec with: ollamactl init"),
        (b"\xef\xbb\xbf", "f.yaml: is empty\n  hint: write a first spec with: ollamactl init"),
        (b"\x7fELF\0\0", "f.yaml: is not a text file: byte 5 is NUL"),
        ("a: \u00e4".encode("utf-16"), "f.yaml: is UTF-16, not UTF-8\n  hint: convert it: iconv"),
        ("a: \u00e4".encode("utf-16-le"), "f.yaml: is not a text file: byte 2 is NUL"),
        ("a: 1\nb: \u00e4".encode("latin-1"), "f.yaml: is not UTF-8: byte 0xe4 on line 2 (byte 9 of the file)"),
        (b"a: \x1b[1m", "f.yaml:1:4: contains the character U+001B, which YAML does not allow"),
        (b"a: 1\nb: \x7f", "f.yaml:2:4: contains the character U+007F"),
        (b"a: b: c", "f.yaml:1:5: is not valid YAML: a second key: value on one line\n    a: b: c\n        ^"),
        (b"a:\n\t- b", "f.yaml:2:1: is not valid YAML: a tab cannot indent"),
        (b"a: [", "f.yaml:1:4: is not valid YAML: this [ is never closed"),
        (b'a: "x', "f.yaml:1:4: is not valid YAML: this quote is never closed"),
        (b"a: *x", "f.yaml:1:4: *x has no anchor &x before it"),
        (b"a: &x [*x]", "f.yaml:1:8: *x is inside its own anchor"),
        (b"a: 1\n---\nb: 2", "f.yaml:2:1: a second document begins here; a spec is a single one"),
        (
            b"a: !!python/object/apply:os.system [id]",
            "f.yaml:1:4: the tag !!python/object",
        ),
        (b"a: !!binary aGk=", "is not allowed"),
    ],
)
def test_text_that_is_no_document(raw: bytes, message: str) -> None:
    assert message in failure(raw)


LAUGHS = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 10))
BOMBS = {
    "ten megabytes": "a: b\n" * 2_000_000,
    "flow lists": "[" * 500_000,
    "flow mappings": "{" * 500_000,
    "block lists": "- " * 500_000,
    "explicit keys": "? " * 500_000,
    "block mappings": "\n".join(" " * depth + "a:" for depth in range(1400)),
    "many items": "[" + "a," * 500_000 + "]",
    "many keys": "".join(f"k{number}: 1\n" for number in range(90_000)),
    "equal keys": "a: 1\n" * 200_000,
    "aliases": "l0: &l0 [x, x, x, x, x, x, x, x, x]\n" + LAUGHS,
    "merges": "a: &a {" + ", ".join(f"k{n}: 1" for n in range(2000)) + "}\nb:\n  <<: [" + "*a, " * 20_000 + "]",
    "deep aliases": "a0: &a0 []\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 5000)),
    "one long word": "a: " + "b" * 1_000_000,
    "one long quote": 'a: "' + "\\" * 1_000_000,
    "anchors": "- &a b\n" * 100_000,
    "colons": "a: " * 300_000,
}


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS)
def test_no_text_takes_long(text: str) -> None:
    start = time.process_time()
    with suppress(SpecError):
        yamltree.parse(text.encode(), name="f.yaml")
    assert time.process_time() - start < 1


@pytest.mark.parametrize("name", ["ten megabytes", "flow lists", "many items", "aliases", "merges", "deep aliases"])
def test_bombs_are_refused(name: str) -> None:
    assert len(failure(BOMBS[name])) < 300
