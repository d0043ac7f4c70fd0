"""No room, or no right to write: what was to be written is named, and the old files and servers stay."""

from __future__ import annotations

import pytest

from tests.system.faults import CHANGED, broken, serving
from tests.system.fleethost import STATE, UNITS, FleetHost
from tests.system.recorded import NAMES, listing

__all__ = ["serving"]


def full(folder: str) -> tuple[str, str]:
    """A file system of its own there, with the same files and no room for another."""
    fill = "dd if=/dev/zero of=/mnt/filler bs=64k 2>/dev/null || true"
    mount = f"mount -t tmpfs -o size=2M none /mnt; cp -a {folder}/. /mnt; {fill}; mount --bind /mnt {folder}"
    return mount, f"umount -l {folder}; umount -l /mnt"


def read_only(folder: str) -> tuple[str, str]:
    return f"mount --bind {folder} {folder}; mount -o remount,bind,ro {folder}", f"umount -l {folder}"


NEXT = f"{STATE}/generations/2"
FULL, READ_ONLY = "the disk is full: 0 KiB are free, and about ", "the file system is read-only, and files are to be"


@pytest.mark.parametrize(
    ("fault", "folder", "why", "hint"),
    [
        pytest.param(full(UNITS), UNITS, FULL, f"`df -h {UNITS}`", id="/etc full"),
        pytest.param(full(STATE), STATE, FULL, f"`df -h {STATE}`", id="/var full"),
        pytest.param(read_only("/etc"), UNITS, READ_ONLY, f"findmnt -T {UNITS}", id="/etc read-only"),
        pytest.param(read_only(STATE), STATE, READ_ONLY, f"findmnt -T {STATE}", id="/var read-only"),
    ],
)
def test_a_disk_that_takes_nothing_changes_nothing(
    serving: FleetHost, fault: tuple[str, str], folder: str, why: str, hint: str
) -> None:
    before, started, reloads = listing(serving), serving.invocations(*NAMES), serving.reloads()
    serving.spec(CHANGED)
    with broken(serving, *fault):
        ran, plan = serving.apply(), serving.plan()
        assert [serving.models(port) for port in (11434, 11435)] == [["llama3:latest"], ["mistral:latest"]]

    assert (ran.code, ran.changed, len(plan.steps)) == (1, False, 5)
    assert [error.startswith(f"{folder}: {why}") for error in ran.errors] == [True], "before anything is written"
    assert plan.errors == ran.errors
    assert hint in ran.hints[0]
    assert (listing(serving), serving.invocations(*NAMES), serving.reloads()) == (before, started, reloads)
    assert serving.files(NEXT) == {}
