"""Where a spec comes from, and whether two paths are one spec."""

import os
from pathlib import Path

import pytest

from ollamactl.errors import NotPermitted
from ollamactl.spec import source


def test_a_path_is_absolute_and_a_link_stays_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `current` leads to changes with each release, and the spec is the same one all the same."""
    (tmp_path / "release-1.yaml").write_text("version: 1\n")
    (tmp_path / "current.yaml").symlink_to("release-1.yaml")
    monkeypatch.chdir(tmp_path)
    found = source.read("current.yaml")
    assert (found.name, found.path, found.data) == ("current.yaml", f"{tmp_path}/current.yaml", b"version: 1\n")


def test_a_spec_can_be_taken_for_the_one_that_it_will_replace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "new.yaml").write_text("version: 1\n")
    monkeypatch.chdir(tmp_path)
    found = source.read("new.yaml", home="fleet.yaml")
    assert (found.name, found.path) == ("new.yaml", f"{tmp_path}/fleet.yaml")


def test_two_paths_are_one_spec_where_they_are_one_file(tmp_path: Path) -> None:
    one, link, hard, other = (str(tmp_path / name) for name in ("one", "link", "hard", "other"))
    for path in (one, other):
        Path(path).write_text("x")
    Path(link).symlink_to(one)
    Path(hard).hardlink_to(one)
    assert [source.same_file(one, new) for new in (one, link, hard, other, "")] == [True, True, True, False, False]


def test_a_spec_that_is_gone_and_one_on_standard_input_are_no_file(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("x")
    gone = str(tmp_path / "gone")
    assert [source.same_file(old, str(other)) for old in (gone, f"{other}/below", "")] == [None, None, None]
    assert (source.same_file(gone, gone), source.same_file("", "")) == (True, True)


@pytest.mark.skipif(os.geteuid() != 0 and os.environ.get("CI") != "true", reason="needs root, to give it up")
def test_a_spec_that_only_root_may_look_for_is_taken_to_be_there(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    other = tmp_path / "other"
    other.write_text("x")
    tmp_path.chmod(0o755)
    os.seteuid(65534)
    try:
        assert source.same_file(f"{closed}/fleet.yaml", str(other)) is False
    finally:
        os.seteuid(0)


@pytest.mark.skipif(os.geteuid() != 0 and os.environ.get("CI") != "true", reason="needs root, to give it up")
def test_a_usual_place_that_only_root_may_look_into_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for folder in (tmp_path, *(each for each in tmp_path.parents if "pytest-of-" in str(each))):
        folder.chmod(0o755)  # pytest's own are closed, too
    monkeypatch.setattr(source, "USUAL", (str(tmp_path / "none"), str(closed / "fleet.yaml")))
    os.seteuid(65534)
    try:
        with pytest.raises(NotPermitted, match=r"closed/fleet\.yaml: only its owner may read this spec"):
            source.read(None)
    finally:
        os.seteuid(0)
