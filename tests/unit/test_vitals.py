"""Whether a process does anything, seen from outside."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ollamactl.host import vitals
from ollamactl.host.vitals import Vitals


def of(pid: int) -> Vitals:
    found = vitals.read(pid)
    assert found
    return found


def test_who_computes_uses_a_processor_and_who_is_stopped_uses_none() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try:
            before, deadline = of(process.pid), time.monotonic() + 20
            while of(process.pid).cpu - before.cpu < 0.05:
                assert time.monotonic() < deadline
            process.send_signal(signal.SIGSTOP)
            os.waitpid(process.pid, os.WUNTRACED)
            stopped = of(process.pid)
            assert (stopped.state, stopped.identity) == ("stopped by a signal", before.identity)
            assert of(process.pid).cpu == stopped.cpu
        finally:
            process.kill()


def test_it_is_as_old_as_it_is() -> None:
    own = of(os.getpid())
    assert 0 <= own.age < time.clock_gettime(time.CLOCK_BOOTTIME)
    assert own.started + own.age == pytest.approx(time.clock_gettime(time.CLOCK_BOOTTIME), abs=1)
    assert own.state == ""


def test_who_has_ended_has_none(tmp_path: Path) -> None:
    assert vitals.read(1, tmp_path) is None


def test_a_name_may_hold_anything(tmp_path: Path) -> None:
    numbers = [b"0"] * 50
    numbers[0], numbers[9], numbers[11], numbers[12], numbers[19] = b"D", b"40", b"200", b"100", b"12345"
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "stat").write_bytes(b"7 (a) S (b) " + b" ".join(numbers))
    found = vitals.read(7, tmp_path)
    assert found
    assert (found.identity, found.cpu, found.faults) == ("7@123.45", 3.0, 40)
    assert found.state == "waiting for a disk or a device"
