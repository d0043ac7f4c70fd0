"""Two at once, and ended in the middle: the next apply always brings the fleet to what its spec says."""

from __future__ import annotations

import re
import subprocess
import time

import pytest

from tests.lab.container import end
from tests.system.fleethost import SPEC, STATE, UNITS, FleetHost, drop_in

NAMES = tuple(f"i{number:02}" for number in range(12))


def fleet(context_length: int, *, start_ms: int = 0, names: tuple[str, ...] = NAMES) -> str:
    """A dozen stand-ins that differ from another call's in one value that each must be restarted for."""
    ports = {name: 12000 + NAMES.index(name) for name in names}
    lines = [f"  {name}: {{port: {ports[name]}, models: [llama3], secrets: {{TOKEN: {name}}}}}" for name in names]
    head = [
        "version: 1",
        "ollama: {binary: /usr/local/bin/ollama-standin}",
        f"defaults: {{gpus: none, context_length: {context_length}, environment: {{STANDIN_START_MS: '{start_ms}'}}}}",
        "instances:",
    ]
    return "\n".join([*head, *lines]) + "\n"


def kill_ollamactl(host: FleetHost, signal: str = "KILL") -> None:
    """By default as the kernel does it when memory is short: no handler runs."""
    host.machine.run(f"pkill -{signal} -f '^/usr/bin/[p]ython3 -P -m ollamactl'", check=False)


def listing(host: FleetHost) -> set[str]:
    """Every path of ours; a temporary file that was left over would be one more."""
    return set(host.files(UNITS, f"{STATE}/views", f"{STATE}/secrets"))


@pytest.mark.parametrize("milliseconds", [200, 300, 400, 550, 750])
def test_after_a_kill_in_the_middle_of_an_apply_the_next_one_converges(host: FleetHost, milliseconds: int) -> None:
    host.applied(fleet(4096, names=NAMES[:10]))
    host.spec(fleet(2048, names=NAMES[2:]))
    applying = host.machine.popen(["ollamactl", "apply", SPEC])
    time.sleep(milliseconds / 1000)  # the moment is what differs: before, while and after it writes, reloads, restarts
    kill_ollamactl(host)
    end(applying)

    ran = host.applied()

    assert [name for name, proof in ran.proofs.items() if not proof["ok"]] == []
    assert {host.environ(12000 + NAMES.index(name))["OLLAMA_CONTEXT_LENGTH"] for name in NAMES[2:]} == {"2048"}
    assert host.states(*NAMES[:2]) == dict.fromkeys(NAMES[:2], "inactive")
    assert host.applied().steps == []
    clean = listing(host)
    assert [path for path in clean if re.search(r"\.tmp|~$|/\.", path)] == []
    host.json("destroy", "--yes")
    host.applied()
    assert listing(host) == clean


def test_what_a_killed_apply_was_writing_goes_with_the_next_one(host: FleetHost) -> None:
    host.applied(fleet(4096, names=NAMES[:1]))
    half = [
        f"{UNITS}/.ollamactl-1-0",
        f"{UNITS}/ollama@i00.service.d/.ollamactl-1-1",
        f"{UNITS}/ollama@i01.service.d/.ollamactl-1-2",
        f"{STATE}/views/i00/registry.ollama.ai/library/llama3/.ollamactl-1-3",
    ]
    for path in half:
        host.machine.write(path, "half")
    started = host.invocations("i00")

    ran = host.applied()

    assert ran.steps == [f"remove {path}: left behind by an apply that was killed" for path in sorted(half)]
    assert [path for path in half if host.machine.exists(path)] == []
    assert host.invocations("i00") == started
    assert host.models(12000) == ["llama3:latest"]
    assert host.applied().steps == []


def test_a_first_apply_that_was_killed_is_finished_by_the_next(host: FleetHost) -> None:
    host.spec(fleet(4096, start_ms=1500))
    applying = host.machine.popen(["ollamactl", "apply", SPEC])
    host.wait_for(lambda: host.machine.exists(f"{UNITS}/ollama@.service"))
    kill_ollamactl(host)
    end(applying)

    ran = host.applied()

    assert len(ran.proofs) == len(NAMES)
    assert host.applied().steps == []


def test_a_new_server_is_one_of_the_fleet_s_though_apply_was_killed_before_systemd_read_its_link(
    host: FleetHost,
) -> None:
    host.applied(fleet(4096, names=NAMES[:2]))
    host.machine.run(f"cp -a {UNITS} {STATE} /root")
    host.applied(fleet(4096, names=NAMES[:1]))
    host.machine.run(f"cp -a /root/system/. {UNITS} && cp -a /root/ollamactl/views/. {STATE}/views")
    host.machine.run(f"cp -a /root/ollamactl/secrets/. {STATE}/secrets")

    ran = host.applied(fleet(4096, names=NAMES[:2]))

    assert "reload systemd: links of ollama-fleet.target changed on disk since systemd read them" in ran.steps
    host.machine.run("systemctl stop ollama-fleet.target && systemctl start ollama-fleet.target")
    assert host.states(*NAMES[:2]) == dict.fromkeys(NAMES[:2], "active")
    assert host.applied().steps == []


@pytest.mark.parametrize("signal", ["INT", "TERM"])
def test_an_interrupt_ends_apply_and_the_next_one_goes_on(host: FleetHost, signal: str) -> None:
    host.spec(fleet(4096, start_ms=4000))
    applying = host.machine.popen(["ollamactl", "apply", SPEC])
    host.wait_for(lambda: host.states("i00") == {"i00": "active"})
    kill_ollamactl(host, signal)
    stdout, stderr = applying.communicate(timeout=15)

    assert applying.returncode == 130
    assert "Traceback" not in stdout + stderr
    assert f"interrupted by SIG{signal}" in stderr
    assert host.show("ollama-fleet.target", "NeedDaemonReload") == {"NeedDaemonReload": "no"}
    # What had been queued goes on; what had not is the next apply's to start
    assert {step.split()[0] for step in host.applied().steps} <= {"start"}
    assert host.applied().steps == []
    results = [row["result"] for row in host.json("history").envelope["data"]["generations"]]
    assert results[0] == "interrupted"


def test_a_signal_while_it_writes_waits_until_systemd_knows(host: FleetHost) -> None:
    host.applied(fleet(4096))
    host.spec(fleet(2048))
    for pause in (0.25, 0.3, 0.35, 0.4, 0.45):
        applying = host.machine.popen(["ollamactl", "apply", SPEC])
        time.sleep(pause)  # the moment is what differs
        kill_ollamactl(host, "INT")
        end(applying)
        assert host.show("i05", "NeedDaemonReload") == {"NeedDaemonReload": "no"}

    host.applied()
    assert {host.environ(12000 + NAMES.index(name))["OLLAMA_CONTEXT_LENGTH"] for name in NAMES} == {"2048"}


def test_a_second_apply_waits_for_the_first_and_then_has_nothing_to_do(host: FleetHost) -> None:
    host.spec(fleet(4096, start_ms=1500))
    first = host.machine.popen(["ollamactl", "apply", SPEC, "--output", "json"])
    host.wait_for(lambda: host.machine.exists(f"{UNITS}/ollama@.service"))
    second = host.machine.ollamactl("apply", SPEC)

    ran = host.finished(first)

    assert (ran.code, ran.changed) == (0, True)
    assert re.search(r'^another ollamactl is at work: pid \d+, "ollamactl apply .*fleet.yaml', second.stderr, re.M)
    assert second.stdout.splitlines()[-1] == "Nothing to do; 12 of 12 servers proved."
    assert host.reloads() == 1


def test_two_specs_at_once_end_as_one_of_them_and_not_as_a_mixture(host: FleetHost) -> None:
    host.spec(fleet(4096, names=NAMES[:6]))
    host.spec(fleet(2048, names=NAMES[6:]), path="/etc/ollamactl/other.yaml")
    commands = [["ollamactl", "apply", "--replace", path] for path in (SPEC, "/etc/ollamactl/other.yaml")]
    running = [host.machine.popen(command, stdout=subprocess.DEVNULL) for command in commands]

    assert [process.wait(60) for process in running] == [0, 0]
    up = tuple(name for name in NAMES if host.states(name)[name] == "active")
    assert up in (NAMES[:6], NAMES[6:])
    winner = SPEC if up == NAMES[:6] else "/etc/ollamactl/other.yaml"
    assert host.json("plan", winner).steps == []


def test_a_lock_that_a_killed_run_left_is_no_lock(host: FleetHost) -> None:
    host.machine.write("/run/ollamactl.lock", "999999\n2020-01-01 00:00:00\nollamactl apply\n")

    assert host.applied(fleet(4096, names=NAMES[:1])).code == 0


def test_no_user_can_hold_up_an_apply(host: FleetHost) -> None:
    """Neither by the lock's file nor by putting one of his own there first."""
    first = host.machine.run(["flock", "/run/ollamactl.lock", "true"], user="nobody", check=False)
    host.applied(fleet(4096, names=NAMES[:1]))
    then = host.machine.run(["flock", "/run/ollamactl.lock", "true"], user="nobody", check=False)

    assert (first.returncode, then.returncode) == (66, 66)
    assert "Permission denied" in first.stderr
    assert "Permission denied" in then.stderr


def test_a_disk_that_is_full_only_when_it_is_written_to_changes_nothing_and_says_so(host: FleetHost) -> None:
    """As a quota, or a neighbour who was faster; what was written before goes."""
    host.applied(fleet(4096, names=NAMES[:2]))
    folder = drop_in("i01").rpartition("/")[0]
    host.machine.run(f"mount -t tmpfs -o size=1M tmpfs /mnt && cp -a {folder}/. /mnt/ && mount --bind /mnt {folder}")
    host.machine.run(f"head -c 2M /dev/zero >{folder}/filler", check=False)
    before, started = host.files(UNITS), host.invocations(*NAMES[:2])

    ran = host.apply(fleet(2048, names=NAMES[:2]))

    assert (ran.code, ran.errors) == (1, [f": {drop_in('i01')}: cannot write: no space left on device"])
    assert (host.files(UNITS), host.invocations(*NAMES[:2])) == (before, started)
    host.machine.remove(f"{folder}/filler")
    host.applied()
    assert host.environ(12000)["OLLAMA_CONTEXT_LENGTH"] == "2048"


def test_a_disk_without_room_for_a_note_makes_no_apply_fail_that_changed_nothing(host: FleetHost) -> None:
    """A comment in the spec is nothing to do, but something to remember."""
    host.applied(fleet(4096, names=NAMES[:2]))
    host.machine.run(f"mount -t tmpfs -o size=1M tmpfs /mnt && cp -a {STATE}/. /mnt/ && mount --bind /mnt {STATE}")
    host.machine.run(f"head -c 2M /dev/zero >{STATE}/filler", check=False)

    ran = host.apply(fleet(4096, names=NAMES[:2]) + "# the same\n")

    assert (ran.code, ran.changed, [proof["ok"] for proof in ran.proofs.values()]) == (0, False, [True, True])
    assert [note for note in ran.notes if "compiled.json" in note and note.endswith("the change itself stands")]


def test_the_state_may_lie_behind_a_link(host: FleetHost) -> None:
    host.machine.run(f"mkdir -p /srv/state && ln -s /srv/state {STATE}")

    assert host.applied(fleet(4096, names=NAMES[:1])).code == 0
    assert host.applied().steps == []
    assert host.json("destroy", "--yes").code == 0
    assert host.machine.run(["readlink", STATE]).stdout == "/srv/state\n"
