import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ollamactl.errors import HostError
from ollamactl.host import lock

HOLDER = """
import sys
from ollamactl.host import lock
sys.argv = ["x", "apply", "fleet.yaml"]
with lock.acquire(sys.argv.pop() and sys.stdin.readline().strip(), wait=False, on_wait=print):
    print("locked", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run/ollamactl.lock"


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


def test_nobody_else_can_open_it_and_so_hold_it(path: Path) -> None:
    """Also where an older version left it open to everybody."""
    path.parent.mkdir(parents=True)
    path.touch(0o644)
    path.chmod(0o644)
    with lock.acquire(path, wait=False, on_wait=pytest.fail):
        assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_lock_of_somebody_elses_is_refused_but_not_in_his_own_image(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.touch()
    os.chown(path, 4711, -1)
    with (
        pytest.raises(HostError, match="somebody else put a file where the lock belongs"),
        lock.acquire(path, wait=False, on_wait=pytest.fail),
    ):
        pass
    os.chown(path.parent, 4711, -1)
    with lock.acquire(path, wait=False, on_wait=pytest.fail):
        pass


@pytest.mark.parametrize("signed", ["", "1\n2020-01-01 00:00:00\nollamactl apply\n"])
def test_a_holder_that_is_no_ollamactl_is_named_all_the_same(path: Path, signed: str) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(signed)
    with subprocess.Popen(["flock", "--no-fork", path, "sh", "-c", "echo; exec sleep 60"], stdout=-1) as other:
        assert other.stdout
        other.stdout.readline()
        said = rf"{path} is locked by pid {other.pid} \((sh|sleep) .*\)$"
        with pytest.raises(HostError, match=said), lock.acquire(path, wait=False, on_wait=pytest.fail):
            pass
        other.kill()
        other.communicate()
