"""The history on disk: for its owner alone, numbered upwards, and readable where a part of it is not."""

import os
from pathlib import Path

import pytest

from ollamactl.errors import HostError, UsageError
from ollamactl.facts import Layout
from ollamactl.files import File, FileKind
from ollamactl.generation import Ending, Generation
from ollamactl.history import Damaged, History, now, who


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(unit_dir=f"{tmp_path}/units", state_dir=f"{tmp_path}/state")


@pytest.fixture
def history(layout: Layout) -> History:
    return History(layout)


def files(layout: Layout, text: str = "secret") -> tuple[File, ...]:
    return (File(path=f"{layout.secrets}/a.env", data=text.encode(), mode=0o600, kind=FileKind.SECRETS, instance="a"),)


def begin(history: History, layout: Layout, spec: bytes = b"version: 1\n") -> Generation:
    started = Generation(number=0, command="apply", when=now(), who="ada", instances=("a",))
    return history.begin(started, spec, files(layout))


def finish(history: History, started: Generation, ending: Ending = Ending.DONE) -> None:
    from dataclasses import replace

    history.finish(replace(started, ending=ending))


def test_where_there_is_none_yet_there_is_none(history: History) -> None:
    assert history.all() == ()
    with pytest.raises(UsageError, match=r"^there is no generation 1$") as caught:
        history.read(1)
    assert caught.value.hint == "there is none yet: ollamactl history"


def test_what_is_begun_is_there_before_it_ends(history: History, layout: Layout) -> None:
    started = begin(history, layout, b"\xff\xfe spec")
    assert (started.number, history.read(1).ending) == (1, Ending.UNFINISHED)
    assert history.files(started) == files(layout)
    assert history.spec(1) == b"\xff\xfe spec"
    finish(history, started)
    assert (history.read(1).ending, history.read(1).ended != "") == (Ending.DONE, True)
    assert begin(history, layout).number == 2


def test_only_the_owner_may_look(history: History, layout: Layout) -> None:
    before = os.umask(0)
    try:
        begin(history, layout)
    finally:
        os.umask(before)
    for path in (history.folder, *history.folder.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path


@pytest.mark.parametrize(
    ("name", "text"),
    [("generation.json", None), ("generation.json", b""), ("generation.json", b"\xff"), ("files.json", b"[]")],
)
def test_damage_is_told_and_hides_no_other(history: History, layout: Layout, name: str, text: bytes | None) -> None:
    finish(history, begin(history, layout))
    finish(history, begin(history, layout))
    broken = history.path(1) / name
    broken.unlink() if text is None else broken.write_bytes(text)
    with pytest.raises(HostError, match=r"^generation 1 is damaged: .+"):
        history.files(history.read(1))
    assert [each.number for each in history.all()] == [1, 2]
    assert history.files(history.read(2)) == files(layout)


def test_old_ones_go_and_damaged_ones_that_are_older(history: History, layout: Layout) -> None:
    for _ in range(5):
        finish(history, begin(history, layout))
    (history.path(2) / "generation.json").unlink()
    (history.path(4) / "generation.json").unlink()
    (history.folder / "notes.txt").write_text("mine")
    history.trim(2)
    assert [(each.number, isinstance(each, Damaged)) for each in history.all()] == [(3, False), (4, True), (5, False)]
    assert (history.folder / "notes.txt").exists()
    assert begin(history, layout).number == 6


def test_one_that_cannot_be_written_whole_is_not_there(history: History, layout: Layout) -> None:
    history.folder.parent.mkdir()
    history.folder.write_text("in the way")
    with pytest.raises(HostError, match="cannot"):
        begin(history, layout)


def test_the_person_behind_sudo_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "ada")
    assert who() == "ada"
    monkeypatch.delenv("SUDO_USER")
    assert who() != ""
