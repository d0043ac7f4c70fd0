"""Room for what is to be written, as the file system tells it."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from ollamactl.errors import Severity
from ollamactl.files import File, FileKind
from ollamactl.host import space

FILES = [File(path=f"/x/{number}", data=b"x" * 5000, kind=FileKind.VIEW) for number in range(10)]


def disk(monkeypatch: pytest.MonkeyPatch, **facts: int) -> None:
    usual = {"f_flag": 0, "f_frsize": 4096, "f_bfree": 1000, "f_bavail": 1000, "f_files": 500, "f_ffree": 400}
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(**{**usual, **facts}))


def said(folder: str = "/x", copies: int = 1) -> str:
    found = space.problem(folder, FILES, copies=copies)
    return found.message if found else ""


def test_a_folder_that_is_still_to_be_made_is_asked_for_at_its_parent(tmp_path: Path) -> None:
    assert space.problem(f"{tmp_path}/a/b", FILES[:1]) is None


def test_each_file_takes_whole_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    disk(monkeypatch, f_bfree=36, f_bavail=36)
    assert (said(), said(copies=2)) == ("", "the disk is full: 144 KiB are free, and about 224 KiB are to be written")


def test_what_is_kept_for_root_is_for_root_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    disk(monkeypatch, f_bavail=0)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert said() == ""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert said().startswith("the disk is full: 0 KiB are free")


def test_a_file_system_may_have_bytes_but_no_inodes_or_count_none(monkeypatch: pytest.MonkeyPatch) -> None:
    disk(monkeypatch, f_ffree=20)
    assert said() == "the file system has no room for more files: 20 inodes are free"
    disk(monkeypatch, f_files=0, f_ffree=0)
    assert said() == ""


def test_a_read_only_file_system_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    disk(monkeypatch, f_flag=os.ST_RDONLY)
    assert said().startswith("the file system is read-only")


def test_models_that_are_to_come_have_their_room_told(tmp_path: Path) -> None:
    folder = f"{tmp_path}/not/there"
    unknown = space.models(folder, [("own:v1", 5_000_000), ("a:latest", None), ("b:latest", None)])
    assert unknown is not None
    assert unknown.message.startswith("own:v1 takes 5.0 MB; of a:latest and b:latest the registry tells the size, ")
    large = space.models(folder, [("own:v1", 1 << 60), ("a:latest", None)])
    assert large is not None
    assert (large.message.startswith("own:v1 does not fit: "), large.severity) == (True, Severity.ERROR)
    assert space.models(folder, [("own:v1", 0)]) is None
