"""The operator's files of variables: which there are, which are missing, and which a server has not read."""

import os
import pwd
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ollamactl.host import envfiles


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.env", "b.env", ".hidden.env", "other"):
        (tmp_path / name).write_text("X=1\n")
    (tmp_path / "sub.env.d").mkdir()
    (tmp_path / "broken.link").symlink_to("nowhere")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "found", "problem"),
    [
        ("a.env", ["a.env"], ""),
        ("*.env", ["a.env", "b.env"], ""),
        ("[!a].env", ["b.env"], ""),
        ("none.env", [], "there is no such file"),
        ("a.env/x", [], "there is no such file"),
        ("*.none", [], "no file matches it"),
        ("none/*.env", [], "no file matches it"),
        ("*.link", ["broken.link"], "no file matches it"),
        ("sub.env.d", ["sub.env.d"], "{}/sub.env.d is a folder"),
        ("*.d", ["sub.env.d"], "{}/sub.env.d is a folder"),
    ],
)
def test_each_path_is_a_pattern_as_systemd_takes_it(folder: Path, name: str, found: list[str], problem: str) -> None:
    assert envfiles.files(f"{folder}/{name}") == tuple(f"{folder}/{each}" for each in found)
    assert envfiles.problem(f"{folder}/{name}") == problem.format(folder)
    assert envfiles.problem(f"/{name}", folder) == problem.format(folder)


def old_file(folder: Path) -> None:
    """As `cp -p` and a package manager put it there."""
    (folder / "new").write_text("X=2\n")
    os.utime(folder / "new", (1, 1))
    (folder / "new").rename(folder / "a.env")


def link(folder: Path) -> None:
    (folder / "a.env").unlink()
    (folder / "a.env").symlink_to("other")


def another(folder: Path) -> None:
    (folder / "c.env").write_text("X=2\n")


@pytest.mark.parametrize(("change", "name"), [(old_file, "a.env"), (link, "a.env"), (another, "c.env")])
def test_whatever_was_put_there_since_a_start_is_seen(folder: Path, change: Callable[[Path], None], name: str) -> None:
    paths, started = [f"{folder}/*.env"], time.time()
    assert envfiles.changed(paths, started) == ((), ())
    while (folder / "other").stat().st_ctime <= started:  # the clock for files goes in ticks
        (folder / "other").write_text("X=1\n")

    change(folder)

    assert envfiles.changed(paths, started) == ((f"{folder}/{name}",), ())


def test_a_time_that_is_still_to_come_says_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths, started = [f"{folder}/a.env"], time.time() - 3600
    os.utime(folder / "a.env", (time.time() + 9999,) * 2)
    assert envfiles.changed(paths, started) == ((f"{folder}/a.env",), ())  # that is a time that anybody can set
    monkeypatch.setattr(time, "time", lambda: started + 60)
    assert envfiles.changed(paths, started) == ((), (f"{folder}/a.env",))


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can give files away")
def test_who_can_change_a_spec_is_told_of_files_that_only_others_may_read(tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents):
        if str(folder) not in ("/", "/tmp"):
            folder.chmod(0o755)
    spec, secret, own, public = (tmp_path / name for name in ("fleet.yaml", "root.env", "own.env", "public.env"))
    for path in (spec, secret, own, public):
        path.write_text("X=1\n")
        path.chmod(0o644 if path == public else 0o600)
    daemon = pwd.getpwnam("daemon").pw_uid
    os.chown(own, daemon, -1)

    assert envfiles.exposure(str(secret), str(spec)) is None
    os.chown(spec, daemon, -1)

    told = envfiles.exposure(str(secret), str(spec))
    assert told
    assert (told.path, told.message) == (
        str(secret),
        "daemon can change the spec, and so the program that gets this file, which others may not read",
    )
    assert [envfiles.exposure(str(path), str(spec)) for path in (own, public, tmp_path / "none")] == [None] * 3
    assert envfiles.exposure(str(secret), "") is None
    assert envfiles.exposure(f"{tmp_path}/*.env", str(spec)) == told
