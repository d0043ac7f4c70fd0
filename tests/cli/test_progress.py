"""What is said while a command waits: lines in a log, a live table on a terminal, nothing with -q or as JSON."""

import os
import pty
import re
import select
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ollamactl.host import lock
from tests.cli.command import FLEET, command, environment

WAITS = re.compile(r'another ollamactl is at work: pid \d+, ".*", since [0-9 :-]+')


class Waiting:
    """An apply that waits for another one to end."""

    def __init__(self, place: Path) -> None:
        self.place = place
        (place / "fleet.yaml").write_text(FLEET.replace("11435", "11436"))

    def run(self, *arguments: str) -> tuple[str, str]:
        """What it said on both streams, when the lock is freed as soon as it waits."""
        with lock.acquire(self.place / "image/run/ollamactl.lock", wait=False, on_wait=pytest.fail):
            process = subprocess.Popen(
                command("apply", "--root", "image", *arguments),
                cwd=self.place,
                env=environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            while not waits_for_a_lock(process.pid):
                assert process.poll() is None
                time.sleep(0.02)
        stdout, stderr = process.communicate(timeout=20)
        assert process.returncode == 0
        return stdout, stderr

    def run_on_a_terminal(self, term: str) -> str:
        """What a person sees."""
        ours, theirs = pty.openpty()
        with lock.acquire(self.place / "image/run/ollamactl.lock", wait=False, on_wait=pytest.fail):
            process = subprocess.Popen(
                command("apply", "--root", "image"),
                cwd=self.place,
                env=environment(TERM=term),
                stdin=theirs,
                stdout=theirs,
                stderr=theirs,
            )
            os.close(theirs)
            seen = b"".join(until(ours, b"at work"))
        seen += b"".join(until(ours, None))
        os.close(ours)
        assert process.wait(20) == 0
        return seen.decode()


def waits_for_a_lock(pid: int) -> bool:
    """Whether the process stands in flock(2), by which it has said all that it says before (proc_locks(5))."""
    waiting = (line.split() for line in Path("/proc/locks").read_text().splitlines() if "-> FLOCK" in line)
    return any(fields[5] == str(pid) for fields in waiting)


def until(terminal: int, words: bytes | None) -> Iterator[bytes]:
    """What comes, until some words do, or the end."""
    seen = b""
    while words is None or words not in seen:
        assert select.select([terminal], [], [], 20)[0]
        try:
            seen = os.read(terminal, 65536)
        except OSError:
            return
        yield seen


@pytest.fixture
def waiting(image: Path) -> Waiting:
    return Waiting(image)


def test_a_log_gets_plain_lines(waiting: Waiting) -> None:
    stdout, stderr = waiting.run()
    first, *notes = stderr.splitlines()
    assert WAITS.fullmatch(first)
    assert "\x1b" not in stderr
    assert stdout == "Done: 1 file written.\n"
    assert all(note.startswith(("warning: ", "  hint: ")) for note in notes)


def test_quiet_says_nothing_but_the_result(waiting: Waiting) -> None:
    assert waiting.run("-q") == ("Done: 1 file written.\n", "")


def test_json_is_all_that_is_said(waiting: Waiting) -> None:
    stdout, stderr = waiting.run("-ojson")
    assert stdout.startswith("{")
    assert stderr == ""


def test_a_terminal_gets_a_line_that_is_gone_at_the_end(waiting: Waiting) -> None:
    seen = waiting.run_on_a_terminal("xterm")
    assert "fleet" in seen
    assert "another ollamactl is at work" in seen
    assert "\x1b[2K" in seen, "the live lines are wiped"
    assert seen.endswith("Done: 1 file written.\r\n")


def test_a_terminal_that_can_do_nothing_gets_plain_lines(waiting: Waiting) -> None:
    seen = waiting.run_on_a_terminal("dumb")
    assert WAITS.match(seen)
    assert "\x1b" not in seen
