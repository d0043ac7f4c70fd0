"""Processes: a server can neither signal, trace nor read another, nor anything of the users, nor gain a privilege."""

from __future__ import annotations

import pytest

from tests.lab.container import Container
from tests.system.fleethost import FleetHost
from tests.system.inside import attempt, attempts, fleet_of

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("confinement")]

PORTS = {"one": 11501, "two": 11502, "compat": 11503, "off": 11504}
STRICT = PORTS["one"]


def prepare(machine: Container) -> None:
    """Something worth hiding."""
    machine.run("useradd --create-home ada")
    machine.write("/etc/ssl/private/key.pem", "private", mode=0o600)
    machine.write("/var/lib/ollama/models/notes", "private")


fleet = fleet_of(
    """
    version: 1
    ollama: {binary: /usr/local/bin/ollama-standin}
    defaults: {gpus: none, secrets: {TOKEN: s3cret}}
    instances:
      one: {port: 11501, models: llama3}
      two: {port: 11502, models: llama3}
      compat: {port: 11503, models: llama3, hardening: compat}
      off: {port: 11504, models: llama3, hardening: "off"}
    """,
    before=prepare,
)


def identities(fleet: FleetHost) -> dict[str, tuple[int, ...]]:
    """uid, gid and groups of each server."""
    seen = {name: attempt(fleet, port, "id").data for name, port in PORTS.items()}
    return {name: (one["uid"], one["gid"], *one["groups"]) for name, one in seen.items()}


def test_every_server_has_a_user_and_a_group_of_its_own_and_no_other(fleet: FleetHost) -> None:
    seen = identities(fleet)

    assert len({ids[0] for ids in seen.values()}) == len(PORTS)
    assert {len(set(ids)) for ids in seen.values()} == {1}
    assert all(61184 <= ids[0] <= 65519 for ids in seen.values()), "not the range of systemd.exec(5), DynamicUser="


@pytest.mark.parametrize("name", ["one", "compat", "off"])
def test_no_level_of_hardening_lets_a_server_touch_another_ones_process(fleet: FleetHost, name: str) -> None:
    other = fleet.pid("two")
    before = fleet.invocations("two")

    signals = attempts(fleet, PORTS[name], "kill", "signal", [0, 15, 9], pid=other)
    trace = attempt(fleet, PORTS[name], "ptrace", pid=other).errno

    assert (signals, trace) == ({0: "EPERM", 15: "EPERM", 9: "EPERM"}, "EPERM")
    assert fleet.invocations("two") == before


def test_a_strict_server_sees_no_process_but_its_own(fleet: FleetHost) -> None:
    own, other = fleet.pid("one"), fleet.pid("two")
    listed = attempt(fleet, STRICT, "list", path="/proc").data

    assert [name for name in listed if name.isdecimal()] == [str(own)]
    files = [f"/proc/{other}/{name}" for name in ("environ", "cmdline", "maps", "root/etc/hostname")]
    assert set(attempts(fleet, STRICT, "read", "path", files).values()) == {"ENOENT"}


@pytest.mark.parametrize("name", ["compat", "off"])
def test_a_looser_server_cannot_read_another_ones_environment(fleet: FleetHost, name: str) -> None:
    assert attempt(fleet, PORTS[name], "read", path=f"/proc/{fleet.pid('two')}/environ").errno == "EACCES"


@pytest.mark.parametrize("name", ["one", "compat", "off"])
def test_no_server_reads_secrets_or_another_ones_home(fleet: FleetHost, name: str) -> None:
    files = [
        "/etc/shadow", "/etc/ssl/private/key.pem", "/root/.bashrc", "/proc/1/environ",
        "/var/lib/ollamactl/secrets/two.env", f"/var/lib/ollamactl/secrets/{name}.env",
    ]  # fmt: skip
    homes = ["/var/lib/ollamactl-instances/two", "/var/lib/private/ollamactl-instances/two/.ollama"]
    assert all(map(fleet.machine.exists, files + homes))

    read = attempts(fleet, PORTS[name], "read", "path", files)
    listed = attempts(fleet, PORTS[name], "list", "path", homes)

    assert {path for path, errno in {**read, **listed}.items() if errno not in ("EACCES", "ENOENT")} == set()


@pytest.mark.parametrize("name", ["one", "compat"])
def test_nothing_of_the_users_is_visible(fleet: FleetHost, name: str) -> None:
    seen = attempts(fleet, PORTS[name], "list", "path", ["/home", "/root", "/run/user", "/home/ada"])

    run_user = "ENOENT" if name == "one" else "EACCES"  # of strict servers the whole /run is hidden
    assert seen == {"/home": "EACCES", "/root": "EACCES", "/run/user": run_user, "/home/ada": "EACCES"}


@pytest.mark.parametrize("name", ["one", "compat", "off"])
def test_of_the_store_a_server_sees_the_blobs_and_its_own_manifests_alone(fleet: FleetHost, name: str) -> None:
    seen = {
        path: sorted(attempt(fleet, PORTS[name], "list", path=f"/var/lib/ollama/models{path}").data)
        for path in ("", "/manifests/registry.ollama.ai", "/manifests/registry.ollama.ai/library")
    }

    assert list(seen.values()) == [["blobs", "manifests"], ["library"], ["llama3"]]


def test_a_strict_server_writes_to_its_own_home_and_to_its_own_temporary_folders_alone(fleet: FleetHost) -> None:
    places = {
        "/var/lib/ollamactl-instances/one": "",
        "/tmp": "",
        "/var/tmp": "",
        "/etc": "EROFS",
        "/usr/local/bin": "EROFS",
        "/var/lib/ollamactl/views/one": "EACCES",
        "/var/lib/ollama/models": "EROFS",
        "/var/lib/ollama/models/blobs": "EROFS",
        "/var/lib/ollama/models/manifests": "EROFS",
        "/run": "EROFS",
        "/sys/fs/cgroup": "EROFS",
    }
    tried = attempts(fleet, STRICT, "write", "path", [f"{place}/written" for place in places], data="x")

    assert tried == {f"{place}/written": errno for place, errno in places.items()}
    assert not fleet.machine.exists("/tmp/written")
    assert attempt(fleet, PORTS["two"], "list", path="/tmp").data == []


def test_a_strict_server_cannot_change_the_kernel_or_gain_anything(fleet: FleetHost) -> None:
    new_user_namespace = 0x10000000
    tries = {
        "user namespace": attempt(fleet, STRICT, "unshare", flags=new_user_namespace),
        "root": attempt(fleet, STRICT, "setuid", uid=0),
        "host name": attempt(fleet, STRICT, "sethostname", name="x"),
        "device": attempt(fleet, STRICT, "mknod", path="/tmp/node", major=1, minor=3),
        "sysctl": attempt(fleet, STRICT, "write", path="/proc/sys/kernel/hostname", data="x"),
        "packets": attempt(fleet, STRICT, "socket", family=17),
        "netlink": attempt(fleet, STRICT, "socket", family=16),
        "kernel log": attempt(fleet, STRICT, "open", path="/proc/kmsg"),
    }

    assert {what: tried.errno for what, tried in tries.items()} == {
        "user namespace": "EPERM",
        "root": "EPERM",
        "host name": "EPERM",
        "device": "EPERM",
        "sysctl": "EROFS",
        "packets": "EAFNOSUPPORT",
        "netlink": "EAFNOSUPPORT",
        "kernel log": "EACCES",
    }
    assert attempt(fleet, STRICT, "mmap").errno in ("EPERM", "EACCES")  # seccomp before, prctl(PR_SET_MDWE) from 254 on
    status = dict(line.split(":\t", 1) for line in attempt(fleet, STRICT, "id").data["status"].splitlines())
    assert (status["NoNewPrivs"], status["Seccomp"], status["CapBnd"]) == ("1", "2", "0000000000000000")


@pytest.mark.parametrize(("name", "most"), [("one", 1.1), ("compat", 4.1)])
def test_systemd_finds_little_exposed(fleet: FleetHost, name: str, most: float) -> None:
    said = fleet.machine.run(["systemd-analyze", "security", "--no-pager", f"ollama@{name}.service"]).stdout

    assert float(said.rpartition("exposure level for")[2].split()[1]) <= most, said.splitlines()[-1]
