"""Where a user's own manager is looked for, and what is said where it is not."""

import os
import pwd
from pathlib import Path

import pytest

from ollamactl.host import usermanager

UID = os.getuid()
NAME = pwd.getpwuid(UID).pw_name


@pytest.fixture(autouse=True)
def nobody_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUDO_USER", raising=False)


def said(folder: Path) -> tuple[str, str]:
    error = usermanager.unreachable(str(folder), "connection refused")
    return str(error), error.hint


def test_the_folder_is_the_callers_own_whatever_su_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert usermanager.runtime() == str(tmp_path)
    for left in ("/nowhere", "", ".", "/usr" if UID else "/run/user/1"):
        monkeypatch.setenv("XDG_RUNTIME_DIR", left)
        assert usermanager.runtime() == f"/run/user/{UID}", left
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert usermanager.runtime() == f"/run/user/{UID}"


def test_a_user_without_a_manager_is_told_how_to_have_one(tmp_path: Path) -> None:
    folder = tmp_path / "none"
    message, hint = said(folder)
    assert message == f"{NAME} has no service manager running: there is no {folder}, as nobody has logged in as {NAME}"
    assert hint.startswith(f"have it run always: sudo loginctl enable-linger {NAME}; or log in as {NAME}, not by su")
    assert ("without" in hint or "no --user" in hint) is (UID == 0)


def test_a_manager_that_does_not_answer_is_told_from_none(tmp_path: Path) -> None:
    assert said(tmp_path) == (
        f"the service manager of {NAME} does not answer at {tmp_path}/systemd/private: connection refused",
        f"see how it is: systemctl status user@{UID}.service; start it: sudo systemctl start user@{UID}.service",
    )


def test_sudo_is_the_wrong_way_to_ones_own_manager(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SUDO_USER", "ada")
    monkeypatch.setattr(os, "getuid", lambda: 0)
    assert said(tmp_path / "none") == (
        "--user under sudo means root's own service manager, which does not run",
        "type the same as ada, without sudo",
    )
