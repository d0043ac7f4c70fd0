"""Somebody else is at work, or was killed while at it: told who, with nothing changed."""

from __future__ import annotations

from tests.lab.container import end
from tests.system.faults import CHANGED, serving, untouched
from tests.system.fleethost import FleetHost

__all__ = ["serving"]
LOCK = "/run/ollamactl.lock"


def test_a_lock_that_is_held_is_told_and_one_that_was_left_behind_is_none(serving: FleetHost) -> None:
    holding = serving.machine.popen(["flock", LOCK, "sleep", "60"])
    serving.wait_for(lambda: serving.machine.run(["flock", "-n", LOCK, "true"], check=False).returncode == 1)
    try:
        with untouched(serving):
            ran = serving.apply(CHANGED, "--no-wait")
    finally:
        end(holding)

    assert (ran.code, ran.changed) == (1, False)
    assert ran.errors[0].startswith(f": {LOCK} is locked by pid ")
    assert ran.errors[0].endswith(f" (flock {LOCK} sleep 60)")
    assert ran.hints == ["try again when it is done; the lock ends with its process"]
    assert serving.applied(CHANGED, "--no-wait").changed, "what was killed holds nothing"
