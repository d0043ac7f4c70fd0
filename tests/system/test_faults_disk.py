"""No room, or no right to write: what was to be written is named, and the old files and servers stay."""

from __future__ import annotations

import pytest

from tests.system.faults import CHANGED, broken, serving
from tests.system.fleethost import STATE, UNITS, FleetHost, drop_in
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
NO_SPACE, CLOSED = "no space left on device", "read-only file system"
FULL, READ_ONLY = "the disk is full: `df -h ", "the file system is read-only: remount it"


@pytest.mark.parametrize(
    ("fault", "where", "why", "hint"),
    [
        pytest.param(full(UNITS), f"{drop_in('llama3')}: cannot write", NO_SPACE, FULL, id="/etc full"),
        pytest.param(full(STATE), f"{NEXT}/spec.yaml: cannot write", NO_SPACE, FULL, id="/var full"),
        pytest.param(read_only("/etc"), f"{drop_in('llama3')}: cannot write", CLOSED, READ_ONLY, id="/etc read-only"),
        pytest.param(read_only(STATE), f"{NEXT}: cannot make", CLOSED, READ_ONLY, id="/var read-only"),
    ],
)
def test_a_disk_that_takes_nothing_changes_nothing(
    serving: FleetHost, fault: tuple[str, str], where: str, why: str, hint: str
) -> None:
    before, started, reloads = listing(serving), serving.invocations(*NAMES), serving.reloads()
    serving.spec(CHANGED)
    with broken(serving, *fault):
        ran, plan = serving.apply(), serving.plan()
        assert [serving.models(port) for port in (11434, 11435)] == [["llama3:latest"], ["mistral:latest"]]

    assert (ran.code, ran.changed, len(plan.steps)) == (1, False, 5)
    assert [error.partition(" ")[2] for error in ran.errors] == [f"{where}: {why}"]
    assert hint in ran.hints[0]
    assert (listing(serving), serving.invocations(*NAMES), serving.reloads()) == (before, started, reloads)
    serving.machine.run(f"rm -rf {NEXT}")
