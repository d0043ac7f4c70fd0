"""What is made of the manager's answers, on a bus that a test plays; tests/system has the real one."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pystemd import dbusexc

from ollamactl.errors import HostError, NotPermitted
from ollamactl.host import Job, JobDone
from ollamactl.observed import Active, UnitState
from ollamactl.systemd import IN_FLIGHT, Manager
from tests.unit.bus import MANAGER, PROPERTIES, Message, Played


@pytest.fixture
def play() -> Iterator[Callable[..., Played]]:
    opened: list[Played] = []

    def make(*, private: bool = True, **replies: Any) -> Played:
        opened.append(Played(replies, private=private))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def error(number: int, name: str, words: str) -> Exception:
    found: Exception = dbusexc.DBusBaseError(-number, name.encode(), words.encode())
    return found


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
KNOWN = {"ListUnitsByPatterns": [ROW, TARGET], "MainPID": 700, "NRestarts": 3, "NeedDaemonReload": True}


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
    )
    target = UnitState(name="ollama-fleet.target", load_state="loaded", path="/unit/t", need_reload=True)
    assert play(**KNOWN).units(["ollama@*.service"]) == (service, target)
    assert play(**KNOWN).units(["x"], restarts=False)[0].restarts == 0
    assert play(ListUnitsByPatterns=None).units(["x"]) == ()


REFUSALS = [
    error(13, "org.freedesktop.DBus.Error.AccessDenied", "Permission denied"),
    error(1, "System.Error.EPERM", "Operation not permitted"),
    error(13, "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", "Interactive authentication required."),
]


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


def test_there_is_nothing_to_forget_of_a_unit_that_was_never_loaded(play: Callable[..., Played]) -> None:
    unknown = error(2, "org.freedesktop.systemd1.NoSuchUnit", "Unit a.service not loaded.")
    play(ResetFailedUnit=unknown).reset_failed("a.service")
    with pytest.raises(HostError):
        play(ResetFailedUnit=error(5, "System.Error.EIO", "Input/output error")).reset_failed("a.service")


def queue(manager: Played, path: Callable[[str], str] = lambda unit: f"/job/{unit}") -> Callable[[str, str], bytes]:
    """A start whose job ends at once."""

    def reply(unit: str, _mode: str) -> bytes:
        manager.bus.removed(path(unit))
        return path(unit).encode()

    return reply


def test_each_start_forgets_failures_first_and_is_told_when_its_job_ends(play: Callable[..., Played]) -> None:
    manager = play()
    manager.bus.replies.update(StartUnit=queue(manager), RestartUnit=queue(manager))
    jobs = [Job("StartUnit", "a.service"), Job("RestartUnit", "b.service")]
    assert list(manager.run(jobs, timeout=5)) == [JobDone("a.service", "done"), JobDone("b.service", "done")]
    assert manager.bus.calls == [
        ("Subscribe",),
        ("ResetFailedUnit", "a.service"),
        ("StartUnit", "a.service", "replace"),
        ("ResetFailedUnit", "b.service"),
        ("RestartUnit", "b.service", "replace"),
    ]


def test_a_stop_forgets_failures_afterwards(play: Callable[..., Played]) -> None:
    manager = play()
    manager.bus.replies.update(StopUnit=queue(manager))
    assert [done.ok for done in manager.run([Job("StopUnit", "a.service")], timeout=5)] == [True]
    assert manager.bus.calls[1:] == [("StopUnit", "a.service", "replace"), ("ResetFailedUnit", "a.service")]


def test_jobs_of_others_are_none_of_ours(play: Callable[..., Played]) -> None:
    manager = play()
    manager.bus.removed("/job/theirs", "failed")
    manager.bus.replies.update(StartUnit=queue(manager))
    assert list(manager.run([Job("StartUnit", "a.service")], timeout=5)) == [JobDone("a.service", "done")]


def test_a_job_that_cannot_be_queued_is_told_and_the_next_goes_on(play: Callable[..., Played]) -> None:
    manager = play()
    well = queue(manager)

    def reply(unit: str, mode: str) -> bytes:
        if unit == "masked.service":
            raise error(2, "org.freedesktop.systemd1.UnitMasked", "Unit masked.service is masked.")
        return well(unit, mode)

    manager.bus.replies["StartUnit"] = reply
    done = list(manager.run([Job("StartUnit", "masked.service"), Job("StartUnit", "a.service")], timeout=5))
    assert done == [
        JobDone(
            "masked.service",
            "systemd: StartUnit masked.service replace: org.freedesktop.systemd1.UnitMasked Unit masked.service is"
            " masked.",
        ),
        JobDone("a.service", "done"),
    ]


def test_who_may_not_start_units_gets_the_exception(play: Callable[..., Played]) -> None:
    manager = play(StartUnit=REFUSALS[0])
    with pytest.raises(NotPermitted):
        list(manager.run([Job("StartUnit", "a.service")], timeout=5))


def test_no_more_than_some_jobs_are_in_flight(play: Callable[..., Played]) -> None:
    manager = play()
    flying: list[str] = []
    most = 0

    def reply(unit: str, _mode: str) -> bytes:
        nonlocal most
        flying.append(f"/job/{unit}")
        most = max(most, len(flying))
        if len(flying) == IN_FLIGHT:
            manager.bus.removed(flying.pop(0))
        return f"/job/{unit}".encode()

    manager.bus.replies["StartUnit"] = reply
    running = manager.run((Job("StartUnit", f"{number}.service") for number in range(100)), timeout=5)
    done = []
    for each in running:
        done.append(each)
        if len(done) > 100 - IN_FLIGHT and flying:
            manager.bus.removed(flying.pop(0))
    assert most == IN_FLIGHT
    assert sorted(each.unit for each in done) == sorted(f"{number}.service" for number in range(100))
    assert all(each.ok for each in done)


def test_a_job_that_does_not_end_in_time_is_told_and_left_to_systemd(play: Callable[..., Played]) -> None:
    manager = play(StartUnit=lambda unit, _: f"/job/{unit}".encode())
    started = time.monotonic()
    assert list(manager.run([Job("StartUnit", "a.service")], timeout=0.2)) == [JobDone("a.service", "timeout")]
    assert 0.15 < time.monotonic() - started < 2


def test_a_signal_that_comes_late_ends_the_wait_at_once(play: Callable[..., Played]) -> None:
    manager = play(StartUnit=lambda unit, _: f"/job/{unit}".encode())
    threading.Timer(0.1, manager.bus.removed, ["/job/a.service", "failed"]).start()
    started = time.monotonic()
    assert list(manager.run([Job("StartUnit", "a.service")], timeout=30)) == [JobDone("a.service", "failed")]
    assert time.monotonic() - started < 2


def test_without_jobs_nothing_is_waited_for(play: Callable[..., Played]) -> None:
    assert list(play().run([], timeout=30)) == []


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


def test_without_a_manager_the_way_out_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", f"unix:path={tmp_path}/bus")
    with pytest.raises(HostError, match=r"^cannot reach the user's own service manager over D-Bus: ") as caught:
        Manager(user=True)
    assert caught.value.hint == (
        "log in with a session of your own (not through su or sudo), or: loginctl enable-linger"
    )
