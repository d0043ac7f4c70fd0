"""Boot a throw-away machine with a real systemd as PID 1, and work in it as root would."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.lab.binaries import CHECKOUT, PYCACHE_IN_CONTAINER, SOURCE_IN_CONTAINER, layers
from tests.lab.cache import LabError, cache_dir
from tests.lab.host import need_root
from tests.lab.inside import Files
from tests.lab.notify import NotifySocket
from tests.lab.roots import root_layers
from tests.lab.sandbox import Sandbox
from tests.lab.user import User

BOOT_TIMEOUT = 90.0
"""Seconds.  A boot takes about one; this is for a host that is busy with other things."""
SHUTDOWN_NUDGE = 0.5
"""Seconds; a shutdown takes 0.2."""
RUN_TIMEOUT = 120.0
"""Seconds that a command may take unless a test says otherwise."""

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "USER": "root",
    "SHELL": "/bin/sh",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
    "SYSTEMD_PAGER": "",
    "SYSTEMD_COLORS": "0",
}

Command = str | Sequence[str]
"""A string goes through /bin/sh, a sequence is executed as it is."""


class CommandError(Exception):
    """A command in a container ended with another status than 0; the text shows all that it printed."""

    def __init__(self, command: Command, done: subprocess.CompletedProcess[str]) -> None:
        self.done = done
        shown = command if isinstance(command, str) else shlex.join(command)
        super().__init__(f"{shown}\nended with status {done.returncode}\n{done.stdout}{done.stderr}")


class Container(Files):
    """A booted machine.  Make it with `Container.boot`; several run side by side, in one process or in many.

    It has a loopback of its own and no way out, the real Ollama at /usr/local/bin/ollama, the stand-in at
    /usr/local/bin/ollama-standin, a later Ollama at /usr/local/lib/ollamactl-test/ollama-0.34.1, and `ollamactl`,
    which runs this checkout (bound read-only at /opt/ollamactl-src).  All files may be changed or replaced; they
    live in memory and end with the container.
    """

    def __init__(self, suite: str, sandbox: Sandbox, *, binds: Mapping[str, Path], host_network: bool) -> None:
        """Use `Container.boot`."""
        self.suite = suite
        self.name = sandbox.name
        self.leader = 0
        """The container's PID 1 as the host numbers it; 0 while it is powered off."""
        self.boot_seconds = 0.0
        """How long the last boot took, from starting systemd-nspawn until systemd said that it is ready."""
        self._sandbox = sandbox
        self._binds = dict(binds)
        self._host_network = host_network
        self._nspawn: subprocess.Popen[bytes] | None = None

    @classmethod
    @contextmanager
    def boot(
        cls,
        suite: str,
        *,
        store: bool = False,
        binds: Mapping[str, Path] | None = None,
        extra_layers: Sequence[Path] = (),
        host_network: bool = False,
        base: Sequence[Path] = (),
    ) -> Iterator[Container]:
        """Boot `suite` ("bookworm" or "sid") and end it, whatever happens, at the end of the `with` block.

        `store` puts the tiny models into /var/lib/ollama/models (root's, writable; `tests.lab.models.MODELS`).
        `binds` are read-only binds, path in the container -> path on the host.  `extra_layers` are directories
        laid over the root, the first uppermost.  `host_network` shares the host's network: for downloads, not for
        tests, because two such containers share their ports.  `base` are other layers to boot from than the suite's
        root, and then nothing of the lab is laid over them.  Builds in the cache what is missing.
        Raises LabError when it does not boot, with what it printed on its console.
        """
        need_root()
        from tests.lab.models import store_layer  # models are made in a container, so that module imports this one

        lab = base or [*layers(), *root_layers(suite)]
        stack = [*extra_layers, *([store_layer()] if store else []), *lab]
        sandbox = Sandbox(stack)
        container = cls(suite, sandbox, binds=binds or {}, host_network=host_network)
        try:
            # An id of its own, set before the boot: without one systemd takes it for a first boot and runs presets.
            container.write("/etc/machine-id", uuid.uuid4().hex + "\n", mode=0o444)
            container.start()
            yield container
        finally:
            container._end()

    @property
    def root(self) -> Path:
        """The host's name of the container's root directory; another one after every boot."""
        return Path(f"/proc/{self.leader}/root") if self.leader else self._sandbox.root_from_outside

    def start(self) -> None:
        """Boot it (again, after `poweroff` or `cut_power`) and wait until systemd has started everything."""
        pycache = cache_dir() / f"pycache-{self.suite}"  # shared, so that a container's first ollamactl is not slower
        pycache.mkdir(parents=True, exist_ok=True)
        binds = {SOURCE_IN_CONTAINER: CHECKOUT, **self._binds}
        argv = [
            "systemd-nspawn", "--quiet", "--settings=no", f"--directory={self._sandbox.root}", "--boot",
            "--register=no", "--keep-unit",  # the host needs no machined, not even a systemd
            f"--machine={self.name}", f"--hostname={self.suite}", "--console=pipe",
            "--link-journal=no", "--timezone=off", "--notify-ready=yes",
            "--capability=all", "--system-call-filter=bpf",  # or DeviceAllow= and IPAddressDeny= are ignored in silence
            *(["--resolv-conf=replace-host"] if self._host_network else ["--resolv-conf=off", "--private-network"]),
            *(f"--bind-ro={_escaped(host)}:{_escaped(path)}" for path, host in binds.items()),
            f"--bind={_escaped(pycache)}:{PYCACHE_IN_CONTAINER}",
        ]  # fmt: skip
        console = self._sandbox.directory / "console.log"
        started = time.monotonic()
        with NotifySocket(self._sandbox.directory / "notify") as notify, console.open("ab") as log:
            self._nspawn = subprocess.Popen(
                self._sandbox.command(argv), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, "NOTIFY_SOCKET": notify.path, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            )  # fmt: skip
            try:
                self.leader = notify.wait_ready(self._nspawn.pid, BOOT_TIMEOUT)
            except LabError as problem:
                self.cut_power()
                raise LabError(f"{self.suite}: {problem}\n{console.read_text(errors='replace')[-4000:]}") from None
        self.boot_seconds = time.monotonic() - started
        # Commands get a cgroup of their own, as in a login; left in the host's, they had a path outside the tree.
        (self._sandbox.payload / "lab.scope").mkdir(exist_ok=True)

    def _enter(self, argv: Sequence[str], user: str | None, cwd: str) -> list[str]:
        if not self.leader:
            raise LabError(f"{self.name} is powered off")
        enter = (
            f'echo 0 >"{self._sandbox.payload}/lab.scope/cgroup.procs" && '
            f'exec nsenter --target={self.leader} -m -u -i -n -p -C -r --wdns="$0" -- "$@"'
        )
        become = []
        if user is not None and user != "root":
            uid, gid, _ = self._account(user)
            groups = "--clear-groups" if user.isdigit() else "--init-groups"
            become = ["/usr/bin/setpriv", f"--reuid={uid}", f"--regid={gid}", groups, "--"]
        return ["/bin/sh", "-c", enter, cwd, *become, *argv]

    def _account(self, user: str) -> tuple[int, int, str]:
        for line in self.read("/etc/passwd").splitlines():
            name, _, uid, gid, _, home, _ = line.split(":")
            if user in {name, uid}:
                return int(uid), int(gid), home
        if user.isdigit():
            return int(user), int(user), "/"
        raise LabError(f"{self.name} has no user {user}")

    def popen(
        self, command: Command, *, env: Mapping[str, str] | None = None, user: str | None = None, cwd: str = "/",
        stdin: int = subprocess.DEVNULL, stdout: int = subprocess.PIPE, stderr: int = subprocess.PIPE,
    ) -> subprocess.Popen[str]:  # fmt: skip
        """Start a command in the container and return at once; it is killed with the container at the latest.

        `env` is added to a small fixed environment (`ENVIRONMENT`), nothing comes from the host.  `user` is a name or
        a number.  Signals go to nsenter: end it with `end(process)`, which kills what it started too.
        """
        argv = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)
        account = {} if user in {None, "root"} else {"USER": str(user), "HOME": self._account(str(user))[2]}
        return subprocess.Popen(
            self._enter(argv, user, cwd), env={**ENVIRONMENT, **account, **(env or {})}, text=True, errors="replace",
            stdin=stdin, stdout=stdout, stderr=stderr, start_new_session=True,
        )  # fmt: skip

    def run(
        self, command: Command, *, check: bool = True, timeout: float = RUN_TIMEOUT,
        env: Mapping[str, str] | None = None, user: str | None = None, cwd: str = "/", input: str | None = None,  # noqa: A002 -- as in subprocess.run
    ) -> subprocess.CompletedProcess[str]:  # fmt: skip
        """Run a command in the container and return its status and output.

        `timeout` is in seconds, `input` is the text on its standard input.

        Raises CommandError when it ends with another status than 0 (unless `check=False`), and
        subprocess.TimeoutExpired, after killing it, when it takes too long.
        """
        stdin = subprocess.DEVNULL if input is None else subprocess.PIPE
        process = self.popen(command, env=env, user=user, cwd=cwd, stdin=stdin)
        try:
            stdout, stderr = process.communicate(input, timeout)
        except subprocess.TimeoutExpired as late:
            end(process)
            raise subprocess.TimeoutExpired(command, timeout, late.output, late.stderr) from None  # not the way in
        except BaseException:
            end(process)
            raise
        done = subprocess.CompletedProcess(command, process.returncode, stdout, stderr)
        if check and done.returncode != 0:
            raise CommandError(command, done)
        return done

    def ollamactl(self, *args: str, check: bool = True, timeout: float = RUN_TIMEOUT,
                  env: Mapping[str, str] | None = None, user: str | None = None, cwd: str = "/",
                  input: str | None = None,  # noqa: A002
                  ) -> subprocess.CompletedProcess[str]:  # fmt: skip
        """Run the checkout's `ollamactl` with these arguments; otherwise like `run`."""
        return self.run(["ollamactl", *args], check=check, timeout=timeout, env=env, user=user, cwd=cwd, input=input)

    def shell(self) -> int:
        """A root shell on this terminal, until it is left."""
        enter = self._enter(["/bin/bash", "--login"], None, "/root")
        return subprocess.call(enter, env={**ENVIRONMENT, "TERM": os.environ.get("TERM", "dumb")})

    def lan(self, address: str = "10.66.0.1/24", client: str = "10.66.0.2/24") -> tuple[str, ...]:
        """Give it a network card with this address, and return the prefix that runs a command on a client out there.

        For what must, or must not, be reached from beyond loopback: `run([*machine.lan(), "curl", ...])`.
        """
        self.run(
            "ip netns add client && ip link add lan0 type veth peer name eth0 netns client && "
            f"ip addr add {address} dev lan0 && ip link set lan0 up && "
            f"ip -n client addr add {client} dev eth0 && ip -n client link set eth0 up && ip -n client link set lo up"
        )
        return ("ip", "netns", "exec", "client")

    def user(self, name: str) -> User:
        """Make (once) a user who lingers, start its own manager, and return a runner for `systemctl --user`."""
        return User.make(self, name)

    def journal(self, unit: str | None = None, *, lines: int | None = None) -> str:
        """The journal of this boot, of one unit when it is named, written out first so that nothing is missing."""
        self.run(["journalctl", "--sync"])
        of_unit = [] if unit is None else [f"--unit={unit}"]
        tail = [] if lines is None else [f"--lines={lines}"]
        return self.run(["journalctl", "--no-pager", "--boot", "--output=short-monotonic", *of_unit, *tail]).stdout

    def poweroff(self) -> None:
        """Shut it down in order; the files stay (not those on /run), and `start` boots it again."""
        self._shut_down("poweroff")

    def reboot(self) -> None:
        """Shut it down in order and boot it again with the same files."""
        self._shut_down("reboot")
        self.start()

    def cut_power(self) -> None:
        """End it at once, with no shutdown; the files stay as they are, and `start` boots it again."""
        self.leader = 0
        if self._nspawn is not None:
            self._sandbox.kill_container()
            self._nspawn.kill()  # in case it had not yet got as far as making its cgroups
            self._nspawn.wait()
            self._nspawn = None

    def _shut_down(self, verb: str) -> None:
        assert self._nspawn is not None
        self.run(["systemctl", "--no-block", verb])
        deadline = time.monotonic() + BOOT_TIMEOUT
        while True:
            try:
                self._nspawn.wait(SHUTDOWN_NUDGE)
                break
            except subprocess.TimeoutExpired:
                if time.monotonic() > deadline:
                    raise LabError(f"{self.name} does not {verb} within {BOOT_TIMEOUT:.0f} s") from None
                # One shutdown in twenty, systemd-shutdown (262) sleeps out ten seconds with nothing left to wait for;
                # a signal of a child makes it look again, and systemd itself takes no harm from one too many.
                with suppress(ProcessLookupError):
                    os.kill(self.leader, signal.SIGCHLD)
        self.leader = 0
        self._nspawn = None

    def _end(self) -> None:
        self.leader = 0
        self._sandbox.close()
        if self._nspawn is not None:
            self._nspawn.wait()


def end(process: subprocess.Popen[str]) -> None:
    """Kill a process of `Container.popen` with what it started in its session, and reap it."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def _escaped(path: str | Path) -> str:
    return str(path).replace(":", r"\:")
