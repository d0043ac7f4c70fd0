"""How jobs are queued and told to have ended, on a bus that a test plays; tests/system has the real one."""

import threading
import time
from collections.abc import Callable

import pytest

from ollamactl.errors import NotPermitted
from ollamactl.host.jobs import IN_FLIGHT
from ollamactl.protocols import Job, JobDone
from tests.unit.bus import REFUSALS, Played, error


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


def test_a_job_that_came_with_another_is_awaited_and_not_asked_for(play: Callable[..., Played]) -> None:
    """If it has ended meanwhile, asking for it would restart it again; what did not come is asked for."""
    manager = play()
    rows = [
        [8, f"{name}.service", kind, "waiting", f"/job/{name}", "/"] for name, kind in (("a", "restart"), ("b", "stop"))
    ]
    manager.bus.replies.update(RestartUnit=queue(manager), ListJobs=rows)
    jobs = [Job("RestartUnit", f"{name}.service", "group") for name in ("store", "a", "b")]
    running = manager.run([*jobs, Job("RestartUnit", "alone.service")], timeout=5)
    assert [next(running).unit for _ in range(3)] == ["store.service", "b.service", "alone.service"]
    manager.bus.removed("/job/a", "dependency")
    assert list(running) == [JobDone("a.service", "dependency")]
    assert manager.bus.calls[1:] == [
        ("ResetFailedUnit", "store.service"),
        ("ResetFailedUnit", "a.service"),
        ("ResetFailedUnit", "b.service"),
        ("RestartUnit", "store.service", "replace"),
        ("ListJobs",),
        ("RestartUnit", "b.service", "replace"),
        ("ResetFailedUnit", "alone.service"),
        ("RestartUnit", "alone.service", "replace"),
    ]


def test_a_group_is_queued_at_once(play: Callable[..., Played]) -> None:
    manager = play(RestartUnit=lambda unit, _: f"/job/{unit}".encode())
    alone = [Job("RestartUnit", f"{number}.service") for number in range(IN_FLIGHT - 1)]
    along = [Job("RestartUnit", f"{name}.service", "group") for name in ("store", "a", "b")]
    running = manager.run([*alone, *along, Job("RestartUnit", "last.service")], timeout=5)
    manager.bus.removed("/job/store.service")
    assert next(running) == JobDone("store.service", "done")
    asked = [call[1] for call in manager.bus.calls if call[0] == "RestartUnit"]
    assert asked == [job.unit for job in (*alone, *along)]


def test_jobs_that_had_no_turn_in_time_are_told_too(play: Callable[..., Played]) -> None:
    manager = play(StartUnit=lambda unit, _: f"/job/{unit}".encode())
    jobs = [Job("StartUnit", f"{number}.service") for number in range(IN_FLIGHT + 2)]
    done = list(manager.run(jobs, timeout=0.1))
    assert [each.unit for each in done] == [job.unit for job in jobs]
    assert [each.result for each in done] == ["timeout"] * IN_FLIGHT + ["time ran out before its turn"] * 2


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
