"""Generations as values: what is read is what was written, which one comes before, which may go."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollamactl import generation
from ollamactl.facts import Layout
from ollamactl.files import File, FileKind, ObservedFile
from ollamactl.generation import Ending, Generation

LAYOUT = Layout()
DROP_IN = f"{LAYOUT.unit_dir}/ollama@a.service.d/10-ollamactl.conf"
TEMPLATE = f"{LAYOUT.unit_dir}/ollama@.service"


def made(number: int, ending: Ending = Ending.DONE, of: int = 0) -> Generation:
    return Generation(
        number=number, command="rollback" if of else "apply", of=of, when="now", who="root", ending=ending
    )


def drop_in(name: str, text: str = "# one\n") -> File:
    path = f"{LAYOUT.unit_dir}/ollama@{name}.service.d/10-ollamactl.conf"
    return File(path=path, data=text.encode(), kind=FileKind.DROP_IN, instance=name)


def observed(file: File, text: str) -> ObservedFile:
    return ObservedFile(path=file.path, data=text.encode(), ours=True, mode=file.mode)


@given(st.binary(), st.sampled_from([0o644, 0o600]))
def test_files_are_read_as_they_were_written(data: bytes, mode: int) -> None:
    files = (
        File(path=DROP_IN, data=data, mode=mode, kind=FileKind.DROP_IN, instance="a"),
        File(path=f"{LAYOUT.secrets}/a.env", data=b"x", mode=0o600, kind=FileKind.SECRETS, instance="a"),
    )
    assert generation.files_from(generation.files_text(files), LAYOUT) == files


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[1]",
        '[{"path": 1}]',
        '[{"path": "/etc/passwd", "mode": 420, "text": ""}]',
        '[{"mode": 420, "text": ""}]',
    ],
)
def test_what_is_no_list_of_our_files_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        generation.files_from(text, LAYOUT)


def test_a_generation_is_read_as_it_was_written() -> None:
    one = replace(made(3, Ending.UNDONE), steps=({"step": "write"},), proofs=({"ok": False},), problems=("x",))
    assert generation.from_json(generation.to_json(one)) == one


def test_keys_of_a_later_version_are_passed_by() -> None:
    later = {**json.loads(generation.to_json(made(1))), "mood": "good"}
    assert generation.from_json(json.dumps(later)) == made(1)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"ending": "odd"}', "null"])
def test_what_is_no_generation_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        generation.from_json(text)


@pytest.mark.parametrize(
    ("rows", "goes_to"),
    [
        ([made(1), made(2)], 1),
        ([made(1), made(2, Ending.FAILED), made(3)], 1),
        ([made(1), made(2), made(3, Ending.UNDONE)], 1),
        ([made(1), made(2), made(3, Ending.FAILED)], 2),
        ([made(1), made(2), made(3, Ending.UNFINISHED)], 2),
        ([made(1), made(2), made(3), made(4, of=2)], 1),
        ([made(1), made(2), made(3, of=1)], None),
        ([made(1)], None),
    ],
)
def test_where_a_rollback_without_a_number_goes(rows: list[Generation], goes_to: int | None) -> None:
    latest = generation.current(rows)
    assert latest
    found = generation.before(rows, latest)
    assert (found.number if found else None) == goes_to


def test_without_a_generation_there_is_no_current_one() -> None:
    assert generation.current([]) is None
    assert generation.current([made(1, Ending.UNDONE)]) is None


@pytest.mark.parametrize(
    ("endings", "keep", "gone"),
    [
        ("dddd", 2, [2, 1]),
        ("dddd", 9, []),
        ("ddff", 2, []),
        ("dddff", 2, [1]),
        ("dd", 1, []),
        ("fff", 1, [2, 1]),
    ],
)
def test_the_last_two_that_ended_well_never_go(endings: str, keep: int, gone: list[int]) -> None:
    words = {"d": Ending.DONE, "f": Ending.FAILED}
    rows = [made(number, words[letter]) for number, letter in enumerate(endings, start=1)]
    assert list(generation.expendable(rows, keep)) == gone


def test_an_apply_of_some_leaves_the_files_of_the_others_as_they_are() -> None:
    desired = [drop_in("a", "new"), drop_in("b", "new")]
    there = {file.path: observed(file, "old") for file in (drop_in("a"), drop_in("b"), drop_in("gone"))}
    kept = generation.wanted_files(desired, there, LAYOUT, frozenset({"a"}))
    assert {file.instance: file.data for file in kept} == {"a": b"new", "b": b"old", "gone": b"old"}
    assert {file.instance for file in generation.wanted_files(desired, there, LAYOUT, frozenset())} == {"a", "b"}
