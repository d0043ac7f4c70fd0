"""What is made of the manager's answers, on a bus that a test plays; tests/system has the real one."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ollamactl.errors import HostError, NotPermitted
from ollamactl.host import usermanager
from ollamactl.host.systemd import Manager
from ollamactl.observed import UP, Active, UnitState
from tests.unit.bus import MANAGER, PROPERTIES, REFUSALS, Message, Played, error


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("252.39-1~deb12u1", 252),
        ("257", 257),
        ("v254.5", 254),
        ("262~rc1-1", 262),
        ("255 (255.4-1ubuntu8)", 255),
        ("", 0),
    ],
)
def test_a_managers_version_is_its_first_number(play: Callable[..., Played], text: str, number: int) -> None:
    assert play(Version=text.encode()).version() == number


ROW = [b"ollama@a.service", b"A", b"loaded", b"active", b"running", b"", b"/unit/a", 0, b"", b"/"]
TARGET = [b"ollama-fleet.target", b"T", b"loaded", b"inactive", b"dead", b"", b"/unit/t", 0, b"", b"/"]
KNOWN = {
    "ListUnitsByPatterns": [ROW, TARGET],
    "MainPID": 700,
    "NRestarts": 3,
    "NeedDaemonReload": True,
    "Requires": [b"ollama@b.service", b"x.mount"],
}


def test_units_are_told_with_what_apply_must_know(play: Callable[..., Played]) -> None:
    service = UnitState(
        name="ollama@a.service",
        load_state="loaded",
        active=Active.ACTIVE,
        sub_state="running",
        path="/unit/a",
        main_pid=700,
        restarts=3,
        need_reload=True,
        requires=("ollama@b.service",),
    )
    target = UnitState(
        name="ollama-fleet.target",
        load_state="loaded",
        path="/unit/t",
        need_reload=True,
        requires=("ollama@b.service",),
    )
    assert play(**KNOWN).units(["ollama@*.service"]) == (service, target)
    assert play(**KNOWN).units(["x"], restarts=False)[0].restarts == 0
    assert play(ListUnitsByPatterns=None).units(["x"]) == ()


def test_a_state_that_only_newer_managers_know_is_none_to_act_upon(play: Callable[..., Played]) -> None:
    row = [*ROW[:3], b"refreshing", b"refresh-extensions", *ROW[5:]]
    unit = play(**{**KNOWN, "ListUnitsByPatterns": [row]}).units(["x"])[0]
    assert (unit.active in UP, unit.sub_state) == (True, "refresh-extensions")


@pytest.mark.parametrize("refusal", REFUSALS, ids=["access", "eperm", "polkit"])
def test_a_refusal_is_not_permitted(play: Callable[..., Played], refusal: Exception) -> None:
    with pytest.raises(NotPermitted, match=r"^systemd refuses EnableUnitFiles to this user$") as caught:
        play(EnableUnitFiles=refusal).enable(["a.service"])
    assert caught.value.hint == "run the same command with sudo"


def test_another_error_is_told_in_systemds_words(play: Callable[..., Played]) -> None:
    bad = error(22, "org.freedesktop.systemd1.BadUnitSetting", "Unit has a bad unit file setting.")
    with pytest.raises(HostError) as caught:
        play(Reload=bad).reload()
    assert str(caught.value) == (
        "systemd: Reload: org.freedesktop.systemd1.BadUnitSetting Unit has a bad unit file setting."
    )


def test_a_manager_that_does_not_answer_a_call_hangs(play: Callable[..., Played]) -> None:
    for late in (
        error(110, "System.Error.ETIMEDOUT", "Connection timed out"),
        error(5, "org.freedesktop.DBus.Error.NoReply", "Did not receive a reply"),
    ):
        with pytest.raises(HostError, match=r"^systemd hangs: it did not answer Reload in time ") as caught:
            play(Reload=late).reload()
        assert caught.value.hint.startswith("the running servers go on; ")


def test_a_reload_that_is_refused_for_want_of_room_says_where(play: Callable[..., Played]) -> None:
    with pytest.raises(HostError) as caught:
        play(Reload=error(28, "org.freedesktop.systemd1.DiskFull", "Refusing to reload")).reload()
    assert "`df -h /run`" in caught.value.hint


def test_there_is_nothing_to_forget_of_a_unit_that_was_never_loaded(play: Callable[..., Played]) -> None:
    for name in ("org.freedesktop.systemd1.NoSuchUnit", ""):
        unknown = error(2, name, "Unit a.service not loaded.")
        play(ResetFailedUnit=unknown).reset_failed("a.service")
    with pytest.raises(HostError):
        play(ResetFailedUnit=error(5, "System.Error.EIO", "Input/output error")).reset_failed("a.service")


@pytest.mark.parametrize(("private", "calls"), [(True, ["Subscribe"]), (False, ["AddMatch", "Subscribe"])])
def test_signals_are_asked_for_once_and_of_the_bus_too_where_there_is_one(
    play: Callable[..., Played], private: bool, calls: list[str]
) -> None:
    manager = play(private=private)
    manager.subscribe()
    manager.subscribe()
    assert [call[0] for call in manager.bus.calls] == calls


def test_changed_units_are_told_by_their_paths(play: Callable[..., Played]) -> None:
    manager = play()
    manager.bus.signal(Message((PROPERTIES, b"PropertiesChanged"), path=b"/unit/a"))
    manager.bus.signal(Message((MANAGER, b"UnitNew"), path=b"/x"))
    with os.fdopen(os.eventfd(0, os.EFD_NONBLOCK)) as wake:
        assert list(manager.changed(5, wake.fileno())) == ["/unit/a"]


def test_waiting_for_changes_ends_by_time_or_by_being_woken(play: Callable[..., Played]) -> None:
    manager, wake = play(), os.eventfd(0, os.EFD_NONBLOCK)
    started = time.monotonic()
    assert list(manager.changed(0.1, wake)) == []
    os.eventfd_write(wake, 1)
    assert list(manager.changed(30, wake)) == []
    assert time.monotonic() - started < 2
    with pytest.raises(BlockingIOError):
        os.read(wake, 8)
    os.close(wake)


def test_a_units_path_is_encoded_as_systemd_does(play: Callable[..., Played]) -> None:
    assert play().object_path("ollama@a-b.service") == "/org/freedesktop/systemd1/unit/ollama_40a_2db_2eservice"


def test_a_connection_that_breaks_is_told_in_the_systems_words(play: Callable[..., Played]) -> None:
    broken = error(104, "", "")  # its own words are a joke
    with pytest.raises(HostError, match=r"^systemd: Reload: connection reset by peer$"):
        play(Reload=broken).reload()


def test_without_a_manager_the_way_out_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with pytest.raises(HostError) as caught:
        Manager(user=True)
    assert str(caught.value) == usermanager.unreachable(str(tmp_path), "no such file or directory").args[0]
