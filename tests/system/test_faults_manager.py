"""systemd does not answer, refuses, or is not there: told in time, with the fleet serving on."""

from __future__ import annotations

from tests.system.faults import CHANGED, broken, serving, untouched
from tests.system.fleethost import SPEC, FleetHost, Ran
from tests.system.recorded import listing

__all__ = ["serving"]
HIDDEN = "mount -t tmpfs none /run/systemd && mkdir /run/systemd/system"
"""The manager's own socket is gone; what systemctl calls `booted` is left."""
NO_BUS = "mount -t tmpfs none /run/dbus"
SILENT = """
import os, socket, sys
silent = socket.socket(socket.AF_UNIX)
silent.bind("/run/silent")
silent.listen(8)
silent.set_inheritable(True)
os.system("mount --bind /run/silent /run/systemd/private")
os.execvp(sys.argv[1], sys.argv[1:])
"""
"""Takes the place of the manager's socket, lets everybody connect, and never says a word, as a frozen PID 1 does."""


def where(host: FleetHost, so: str, *args: str, user: str = "root") -> Ran:
    """ollamactl in a view of the machine in which that was done: systemd and the fleet do not notice."""
    become = f"setpriv --reuid={user} --clear-groups " if user != "root" else ""
    command = f"{so} && exec {become}ollamactl {' '.join(args)} --output json"
    return host.finished(host.machine.popen(["unshare", "--mount", "/bin/sh", "-c", command]))


def test_without_its_socket_systemd_is_reached_over_the_bus(serving: FleetHost) -> None:
    assert where(serving, HIDDEN, "verify").code == 0


def test_without_a_bus_root_needs_none_and_a_user_is_told(serving: FleetHost) -> None:
    with untouched(serving):
        roots, users = (where(serving, NO_BUS, "status", user=user) for user in ("root", "nobody"))
        neither = where(serving, f"{HIDDEN} && {NO_BUS}", "apply", serving.spec(CHANGED))

    assert (roots.code, users.code, neither.code) == (0, 1, 1)
    assert users.errors == neither.errors == [
        ": cannot reach systemd, neither at /run/systemd/private nor over the bus: no such file or directory"
    ]  # fmt: skip
    assert users.hints[0].startswith("root needs no bus: type it with sudo; ")


def test_a_host_that_does_not_run_systemd_is_told_of_images(serving: FleetHost) -> None:
    with untouched(serving):
        ran = where(serving, f"mount -t tmpfs none /run/systemd && {NO_BUS}", "apply", serving.spec(CHANGED))

    assert (ran.code, ran.changed) == (1, False)
    assert ran.errors[0].startswith(": this host does not run systemd (there is no /run/systemd/system): ")
    assert "--root DIR" in ran.hints[0]


def test_a_manager_that_hangs_is_given_up_and_the_servers_go_on(serving: FleetHost) -> None:
    serving.machine.write("/root/silent.py", SILENT)
    with untouched(serving):
        ran = serving.finished(
            serving.machine.popen(
                f"exec unshare --mount python3 /root/silent.py ollamactl apply {serving.spec(CHANGED)} --output json"
            )
        )

    assert (ran.code, ran.changed, 20 < ran.seconds < 40) == (1, False, True)
    assert ran.errors == [": systemd hangs: it did not answer within 25 s"]
    assert ran.hints[0].startswith("the running servers go on; see how it is: systemctl status init.scope")


def test_a_reload_that_is_refused_is_taken_back(serving: FleetHost) -> None:
    """systemd wants 16 MiB free on /run before it serializes itself."""
    before, started = listing(serving), serving.invocations("llama3", "mistral")
    with broken(serving, "mount -o remount,size=12M /run", "mount -o remount,size=256M /run"):
        ran = serving.apply(CHANGED)
        assert serving.json("verify").code == 0

    assert (ran.code, "Refusing to reload, not enough space available on /run/systemd" in ran.errors[0]) == (1, True)
    assert ran.hints[0].startswith("make room on /run (`df -h /run` shows it), then the same command again")
    assert (listing(serving), serving.invocations("llama3", "mistral")) == (before, started)
    assert serving.environ(11434)["OLLAMA_CONTEXT_LENGTH"] == "4096"
    assert serving.applied().proofs["llama3"]["ok"], "with room again, the same command goes through"
    assert serving.json("plan", SPEC).steps == []
