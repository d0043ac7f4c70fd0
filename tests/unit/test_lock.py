import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ollamactl import lock
from ollamactl.errors import HostError

HOLDER = """
import sys
from ollamactl import lock
sys.argv = ["x", "apply", "fleet.yaml"]
with lock.acquire(sys.argv.pop() and sys.stdin.readline().strip(), wait=False, on_wait=print):
    print("locked", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run/lock/ollamactl.lock"


@pytest.fixture
def other(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    assert process.stdin
    assert process.stdout
    process.stdin.write(f"{path}\n")
    assert process.stdout.readline() == "locked\n"
    yield process
    process.kill()
    process.communicate()


def test_a_free_lock_is_taken_again_and_again(path: Path) -> None:
    for _ in range(2):
        with lock.acquire(path, wait=False, on_wait=pytest.fail):
            assert path.read_text().startswith(f"{os.getpid()}\n")
    assert path.read_text() == ""


def test_a_held_lock_says_who_holds_it(path: Path, other: subprocess.Popen[str]) -> None:
    said = rf'pid {other.pid}, "ollamactl apply", since \d'
    with pytest.raises(HostError, match=said), lock.acquire(path, wait=False, on_wait=pytest.fail):
        pytest.fail("two hold the lock")


def test_waiting_is_told_once_and_ends_with_the_holder(path: Path, other: subprocess.Popen[str]) -> None:
    told: list[str] = []

    def release() -> None:
        assert other.stdin
        other.stdin.write("\n")

    def hear(words: str) -> None:
        told.append(words)
        threading.Timer(0.05, release).start()

    with lock.acquire(path, wait=True, on_wait=hear):
        assert path.read_text().startswith(f"{os.getpid()}\n")
    assert len(told) == 1
    assert str(other.pid) in told[0]


def test_a_killed_holder_leaves_no_lock(path: Path, other: subprocess.Popen[str]) -> None:
    other.kill()
    other.wait()
    with lock.acquire(path, wait=False, on_wait=pytest.fail):
        assert str(other.pid) not in path.read_text()


def test_an_error_inside_frees_it(path: Path) -> None:
    with pytest.raises(ZeroDivisionError), lock.acquire(path, wait=False, on_wait=pytest.fail):
        raise ZeroDivisionError
    with lock.acquire(path, wait=False, on_wait=pytest.fail):
        pass


def test_a_link_in_its_place_is_not_followed(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.symlink_to(tmp_path / "victim")
    with pytest.raises(HostError, match=r"ollamactl\.lock"), lock.acquire(path, wait=False, on_wait=pytest.fail):
        pass
    assert not (tmp_path / "victim").exists()
