import os
import subprocess
from pathlib import Path

import pytest

from ollamactl.host import journal


@pytest.fixture
def journalctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A journalctl that prints its arguments and then what a test wrote to `says`."""
    program = tmp_path / "journalctl"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@"\ncat {tmp_path}/says\n')
    program.chmod(0o755)
    (tmp_path / "says").write_bytes(b"")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


def test_tail_asks_for_the_unit(journalctl: Path) -> None:
    assert journal.tail("ollama@x.service", lines=3) == (
        "--quiet", "--no-pager", "--output=cat", "--lines=3", "--unit=ollama@x.service",
    )  # fmt: skip
    assert journal.tail("a.service", user=True)[-1] == "--user-unit=a.service"


@pytest.mark.parametrize(("user", "field"), [(False, "INVOCATION_ID"), (True, "USER_INVOCATION_ID")])
def test_tail_of_one_run_includes_what_the_manager_said(journalctl: Path, user: bool, field: str) -> None:
    assert journal.tail("a.service", invocation="0a1b", user=user)[-3:] == (
        "_SYSTEMD_INVOCATION_ID=0a1b", "+", f"{field}=0a1b",
    )  # fmt: skip


def test_lines_cannot_change_the_terminal(journalctl: Path) -> None:
    (journalctl / "says").write_bytes(b"\n\x1b[31mred\x07\tend\n\xff\n")
    assert journal.tail("a.service")[-2:] == ("�[31mred�\tend", "�")


def test_without_journalctl_there_are_no_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert journal.tail("a.service") == ()


def test_a_hanging_journal_is_given_up(journalctl: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (journalctl / "journalctl").write_text("#!/bin/sh\nexec sleep 9\n")
    monkeypatch.setattr(journal, "_TIMEOUT", 0.1)
    assert journal.tail("a.service") == ()


def test_follow_command() -> None:
    assert journal.follow_command(["a.service"]) == ["journalctl", "--unit=a.service"]
    assert journal.follow_command(["a.service", "b.service"], follow=True, lines=5, since="-1h", user=True) == [
        "journalctl", "--output=with-unit", "--follow", "--lines=5", "--since=-1h",
        "--user-unit=a.service", "--user-unit=b.service",
    ]  # fmt: skip


def test_the_real_journalctl_takes_both_forms() -> None:
    for command in (
        ["journalctl", "-q", "--no-pager", "_SYSTEMD_INVOCATION_ID=0a", "+", "INVOCATION_ID=0a"],
        [*journal.follow_command(["a.service", "b.service"], lines=1, since="-1h"), "--no-pager"],
    ):
        assert subprocess.run(command, capture_output=True).returncode in (0, 1)
        assert b"nvalid" not in subprocess.run(command, capture_output=True).stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="gives up root's rights")
@pytest.mark.parametrize(
    ("files", "closed_folder", "readable", "users_own"),
    [
        pytest.param({"system.journal": 0o600, "user-65534.journal": 0o644}, False, False, True, id="not in the group"),
        pytest.param({"system.journal": 0o644}, False, True, True, id="in the group"),
        pytest.param({"system.journal": 0o600, "user-1.journal": 0o644}, False, False, False, id="another user's"),
        pytest.param({"system.journal": 0o600}, True, False, False, id="a folder that nobody may list"),
        pytest.param({}, False, True, True, id="no journal at all"),
    ],
)
def test_who_may_not_read_the_journal_is_found_out(
    tmp_path: Path, files: dict[str, int], closed_folder: bool, readable: bool, users_own: bool
) -> None:
    for folder in (tmp_path, *tmp_path.parents):
        if str(folder) not in ("/", "/tmp"):
            folder.chmod(0o755)
    machine = tmp_path / "run/0a1b"
    machine.mkdir(parents=True)
    for name, mode in files.items():
        (machine / name).touch(mode)
        (machine / name).chmod(mode)
    machine.chmod(0o700 if closed_folder else 0o755)
    places = (tmp_path / "var", tmp_path / "run")
    assert journal.readable(user=False, places=places), "by root always"
    os.seteuid(65534)
    try:
        assert journal.readable(user=False, places=places) is readable
        assert journal.readable(user=True, places=places) is users_own
    finally:
        os.seteuid(0)
