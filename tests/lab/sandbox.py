"""What a container stands on: a writable overlay that only it sees, a cgroup of its own, and their certain end.

The overlay is mounted in a private mount namespace, so it vanishes with the last process in there.  A small
shell, the holder, keeps that namespace; its standard input is a pipe from the owner.  When the owner dies,
even by SIGKILL, the holder reads end of file and kills the cgroup, container and itself included.  What can
be left then is an empty cgroup and a directory of a few files; the next boot sweeps these up.

Every container needs a cgroup of its own because systemd-nspawn --keep-unit puts its payload below the cgroup
it runs in: started from the same one, two containers share `payload`, and each kills the other's services.
That cgroup holds no process itself, only `holder` and `machine`, so that a host which has controllers to give
(one with cgroup version 2 alone) gives them on: MemoryMax= and the like are nothing without.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tests.lab.cache import LabError, locked

PREFIX = "ollamactl-lab-"

HOLDER = r"""
set -e
dir=$1 lower=$2 cgroup=$3
echo 0 >"$cgroup/holder/cgroup.procs"
mount -t tmpfs -o mode=0755,size=80% ollamactl-lab "$dir/fs"
mkdir -p /run/systemd/nspawn  # nspawn leaves locks and directories there; in here they are nobody else's
mount -t tmpfs ollamactl-lab /run/systemd/nspawn
mkdir "$dir/fs/upper" "$dir/fs/work" "$dir/fs/root"
mount -t overlay -o "lowerdir=$lower,upperdir=$dir/fs/upper,workdir=$dir/fs/work" ollamactl-lab "$dir/fs/root"
echo ready
cat >/dev/null
echo 1 >"$cgroup/cgroup.kill"
"""


def cgroup_root() -> Path:
    """The mount point of the unified hierarchy, also where the host itself still uses the first version."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        if "cgroup2" in fields[fields.index("-") :]:
            return Path(fields[4])
    raise LabError("no cgroup2 file system is mounted on this host: mount -t cgroup2 none /sys/fs/cgroup/unified")


class Sandbox:
    """One writable root made of read-only layers, in a mount namespace and a cgroup of its own."""

    def __init__(self, layers: Sequence[Path]) -> None:
        """Mount it; `layers` are directories, the uppermost first."""
        self.holder: subprocess.Popen[str] | None = None
        with locked("sandboxes"):  # so that nobody sweeps up a directory before its lock is taken
            sweep()
            # Not mkdtemp: its names may hold an underscore, which is no name for a machine (hostname(7)).
            self.directory = Path(tempfile.gettempdir()) / f"{PREFIX}{secrets.token_hex(4)}"
            self.directory.mkdir(mode=0o700)
            self._lock = _try_lock(self.directory)
        self.name = self.directory.name
        self.cgroup = cgroup_root() / self.name
        try:
            (self.directory / "fs").mkdir()
            (self.cgroup / "holder").mkdir(parents=True)
            self._pass_controllers()
            # fmt: off
            self.holder = subprocess.Popen(
                ["unshare", "--mount", "--propagation", "private", "sh", "-c", HOLDER, "lab-holder",
                 str(self.directory), ":".join(str(layer).replace(":", r"\:") for layer in layers), str(self.cgroup)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                start_new_session=True,  # an interrupt typed at the terminal is for the owner alone
            )
            # fmt: on
            assert self.holder.stdout is not None
            answer = self.holder.stdout.readline()
            if answer != "ready\n":
                raise LabError(f"cannot mount the container's root: {answer}{self.holder.stdout.read()}")
        except BaseException:
            self.close()
            raise

    @property
    def root(self) -> Path:
        """The writable root, as it is named inside the mount namespace."""
        return self.directory / "fs" / "root"

    @property
    def root_from_outside(self) -> Path:
        """The same for this process, valid also while the container is powered off."""
        assert self.holder is not None
        return Path(f"/proc/{self.holder.pid}/root{self.root}")

    @property
    def payload(self) -> Path:
        """The cgroup that the container sees as its root."""
        return self.cgroup / "machine" / "payload"

    def command(self, argv: Sequence[str]) -> list[str]:
        """How to run a command of the host in the mount namespace and the cgroup; the process keeps its pid."""
        assert self.holder is not None
        machine = self.cgroup / "machine"
        machine.mkdir(exist_ok=True)
        enter = f'echo 0 >"{machine}/cgroup.procs" && exec nsenter --target={self.holder.pid} --mount -- "$@"'
        return ["sh", "-c", enter, "sh", *argv]

    def _pass_controllers(self) -> None:
        for controller in (self.cgroup / "cgroup.controllers").read_text().split():
            with suppress(OSError):  # one that the host keeps in use is no loss here
                (self.cgroup / "cgroup.subtree_control").write_text(f"+{controller}")

    def kill_container(self) -> None:
        """End a container at once, but not the holder."""
        kill_cgroup(self.cgroup / "machine")

    def close(self) -> None:
        """Kill everything in the cgroup, and leave nothing behind."""
        kill_cgroup(self.cgroup)
        if self.holder is not None:
            self.holder.kill()
            self.holder.wait()
            for pipe in (self.holder.stdin, self.holder.stdout):
                if pipe is not None:
                    pipe.close()
        shutil.rmtree(self.directory, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)


def kill_cgroup(cgroup: Path) -> None:
    """End all processes of a cgroup and of those below, and remove them all (cgroups(7), cgroup.kill).

    Removing is a part of it: what systemd starts later in a cgroup that was killed once is killed too (seen on 6.18).
    """
    if not cgroup.exists():
        return
    (cgroup / "cgroup.kill").write_text("1")
    deadline = time.monotonic() + 10
    while "populated 1" in (cgroup / "cgroup.events").read_text():
        if time.monotonic() > deadline:
            raise LabError(f"processes in {cgroup} do not die: {(cgroup / 'cgroup.procs').read_text()}")
        time.sleep(0.002)
    for directory, _, _ in os.walk(cgroup, topdown=False):
        os.rmdir(directory)  # noqa: PTH106 -- os.walk gives text


def sweep() -> None:
    """Remove what owners left that were killed; the lock of a living owner protects its own."""
    for directory in Path(tempfile.gettempdir()).glob(PREFIX + "*"):
        lock = _try_lock(directory)
        if lock is None:
            continue
        kill_cgroup(cgroup_root() / directory.name)
        shutil.rmtree(directory, ignore_errors=True)
        os.close(lock)


def _try_lock(directory: Path) -> int | None:
    try:
        lock = os.open(directory / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:  # its owner was faster
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock
