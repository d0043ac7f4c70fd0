"""`--user`: somebody without any right of root's runs servers of the own, under the own manager."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.lab.container import Container
from tests.lab.roots import SUITES
from tests.lab.user import User
from tests.system.fleethost import STORE, FleetHost
from tests.system.inside import ask, attempt

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("user")]

FLEET = """\
version: 1
ollama: {models: /home/ada/.ollama/models}
defaults: {gpus: none}
instances:
  llama3: {port: 12434}
  two: {port: 12435, models: [qwen, "acme/coder:7b"], binary: /usr/local/bin/ollama-standin, secrets: {TOKEN: s3cret}}
  everything: {port: 12436, models: mistral, store: shared}
  compat: {port: 12437, models: mistral, hardening: compat}
"""
LACKS = (
    "your own service manager gives a server no device fence, no address fence, no user of its own, no read-only system"
)


@dataclass(frozen=True)
class Ada:
    """A user of a machine, who has models of her own."""

    user: User
    host: FleetHost

    def ollamactl(self, *args: str) -> dict[str, Any]:
        """`ollamactl --user ARGS` as she runs it; the envelope, and its exit code as `code`."""
        done = self.user.ollamactl("--user", *args, "--output", "json", check=False)
        return {**json.loads(done.stdout), "code": done.returncode}

    def files(self) -> dict[str, str]:
        """What lies where units and state of hers are."""
        return self.host.files("/home/ada/.config/systemd", "/home/ada/.local/state/ollamactl")


def noted(ran: dict[str, Any]) -> list[str]:
    """What is said of the user's manager as such."""
    return [row["message"] for row in ran["problems"] if row["path"] == "--user"]


@pytest.fixture(scope="module", params=SUITES)
def ada(request: pytest.FixtureRequest) -> Iterator[Ada]:
    """Ada, and her fleet, which is up."""
    with Container.boot(request.param, store=True) as machine:
        user = machine.user("ada")
        machine.run(f"mkdir -p /home/ada/.ollama && mv {STORE} /home/ada/.ollama/ && chown -R ada: /home/ada/.ollama")
        machine.write("/home/ada/fleet.yaml", FLEET)
        one = Ada(user, FleetHost(machine))
        planned = one.ollamactl("plan", "fleet.yaml")
        assert noted(planned) == [LACKS]
        applied = one.ollamactl("apply", "fleet.yaml")
        assert (applied["code"], applied["changed"]) == (0, True), json.dumps(applied, indent=1)
        assert noted(applied) == [LACKS]
        yield one


def test_the_servers_run_under_the_users_own_manager(ada: Ada) -> None:
    units = [f"ollama@{name}.service" for name in ("llama3", "two", "everything", "compat")]

    states = ada.user.run(["systemctl", "--user", "is-active", "ollama-fleet.target", *units]).stdout.split()

    assert states == ["active"] * 5
    identity = attempt(ada.host, 12435, "id").data
    assert identity["uid"] == ada.user.uid
    assert f"/user@{ada.user.uid}.service/" in identity["cgroup"]
    assert ada.host.machine.run("systemctl list-units --all --plain --no-legend 'ollama*'").stdout == ""


def test_the_proof_is_the_same_as_roots(ada: Ada) -> None:
    proved = ada.ollamactl("verify")

    assert proved["code"] == 0
    checks = {row["instance"]: [check["check"] for check in row["checks"]] for row in proved["data"]["proofs"]}
    assert checks["llama3"] == ["unit", "http", "listener", "version", "models"]
    assert [row["message"] for row in proved["problems"] if "root" in row["message"]] == []
    assert noted(proved) == []


def test_each_server_lists_its_models_and_changes_none(ada: Ada) -> None:
    store = "/home/ada/.ollama/models"
    before = ada.host.files(store)

    refused = ask(ada.host, 12434, "DELETE", "/api/delete", {"model": "llama3"})

    assert ada.host.models(12434) == ["llama3:latest"]
    assert ada.host.models(12435) == ["acme/coder:7b", "qwen:latest"]
    assert len(ada.host.models(12436)) == 5
    assert ada.host.models(12437) == ["mistral:latest"]
    assert (refused.status, "read-only file system" in refused.text) == (500, True)
    assert attempt(ada.host, 12435, "write", path=f"{store}/manifests/x", data="x").errno == "EROFS"
    assert ada.host.files(store) == before


def test_what_no_model_of_hers_refers_to_goes(ada: Ada) -> None:
    orphan = f"/home/ada/.ollama/models/blobs/sha256-{'a' * 64}"
    ada.user.run(["touch", orphan])

    listed, pruned = ada.ollamactl("models"), ada.ollamactl("prune", "--yes", "--older-than", "0s")

    assert [row["fleet"] for row in listed["data"]["stores"]][:1] == [True]
    assert (pruned["code"], pruned["data"]["models"]) == (0, [])
    assert orphan.rpartition("/")[2] in [row["name"] for row in pruned["data"]["blobs"]]
    assert not ada.host.machine.path(orphan).exists()
    assert ada.ollamactl("verify")["code"] == 0


def test_a_secret_is_in_a_file_of_hers_alone(ada: Ada) -> None:
    file = "/home/ada/.local/state/ollamactl/secrets/two.env"

    assert ada.host.environ(12435)["TOKEN"] == "s3cret"
    assert ada.host.machine.run(["stat", "--format=%a %U", file]).stdout == "600 ada\n"


def test_what_can_be_had_without_root_is_had(ada: Ada) -> None:
    status = attempt(ada.host, 12435, "id").data["status"]

    assert "NoNewPrivs:\t1\n" in status
    assert "Seccomp:\t2\n" in status
    assert attempt(ada.host, 12435, "socket", family=17).errno == "EAFNOSUPPORT"
    assert attempt(ada.host, 12435, "mmap").errno in ("EPERM", "EACCES")


def test_a_second_apply_does_nothing(ada: Ada) -> None:
    before = ada.files()

    again = ada.ollamactl("apply", "fleet.yaml")

    assert (again["code"], again["changed"], noted(again)) == (0, False, [])
    assert ada.files() == before


def test_systemd_has_nothing_to_say(ada: Ada) -> None:
    units = ["ollama@llama3.service", "ollama@two.service", "ollama-fleet.target"]

    said = ada.user.run(["systemd-analyze", "--user", "verify", *units], check=False)

    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")


def test_without_user_she_is_told_what_to_type(ada: Ada) -> None:
    done = ada.user.ollamactl("apply", "fleet.yaml", check=False)

    assert done.returncode == 77
    assert "ollamactl --user apply" in done.stderr
    assert "sudo ollamactl apply" in done.stderr


@pytest.mark.parametrize(
    "environment",
    [{}, {"XDG_RUNTIME_DIR": "/run/user/0"}, {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/run/user/0/bus"}],
    ids=["nothing set", "root's folder", "root's bus"],
)
def test_her_manager_is_found_by_what_su_leaves_too(ada: Ada, environment: dict[str, str]) -> None:
    ran = ada.host.json("--user", "status", user="ada", env=environment)

    assert (ran.code, len(ran.envelope["data"]["instances"])) == (0, 4)


def test_her_manager_is_reached_over_its_bus_where_its_own_socket_is_closed(ada: Ada) -> None:
    socket = f"/run/user/{ada.user.uid}/systemd/private"
    ada.host.machine.run(["mv", socket, f"{socket}.away"])
    try:
        assert ada.ollamactl("status")["code"] == 0
    finally:
        ada.host.machine.run(["mv", f"{socket}.away", socket])


def test_without_user_her_fleet_is_pointed_at(ada: Ada) -> None:
    ran = ada.host.json("status", user="ada")

    assert (ran.code, ran.errors) == (2, [": no fleet is installed here"])
    assert ran.hints == [
        "you have one of your own: ollamactl --user status; or bring one up with: sudo ollamactl apply fleet.yaml"
    ]


def test_the_fleet_is_up_after_a_boot_and_gone_after_destroy(ada: Ada) -> None:
    ada.host.machine.reboot()
    ada.host.wait_for(lambda: all(map(ada.host.listening, (12434, 12435, 12436, 12437))))

    assert ada.ollamactl("verify")["code"] == 0
    assert ada.ollamactl("plan", "fleet.yaml")["changed"] is False
    assert ada.ollamactl("destroy", "--yes")["code"] == 0

    assert [path for path in ada.files() if "ollama@" in path or "/views/" in path or ".env" in path] == []
    assert [port for port in (12434, 12435, 12436, 12437) if ada.host.listening(port)] == []
    homes = ada.host.machine.run("find /home/ada -path '*ollamactl-instances/*'").stdout
    assert homes == ""
    assert ada.host.machine.exists("/home/ada/.ollama/models/manifests")


def test_a_user_without_a_manager_is_told_why_and_what_to_type(host: FleetHost) -> None:
    host.machine.run(["useradd", "--create-home", "bob"])
    uid = host.machine.run(["id", "-u", "bob"]).stdout.strip()
    spec = host.spec(FLEET.replace("/home/ada/.ollama/models", STORE))
    none = f": bob has no service manager running: there is no /run/user/{uid}, as nobody has logged in as bob"

    for left in ({}, {"XDG_RUNTIME_DIR": "/run/user/0"}, {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/run/user/0/bus"}):
        ran = host.json("--user", "plan", spec, user="bob", env=left)
        assert (ran.code, ran.errors) == (1, [none])
        assert ran.hints == ["have it run always: sudo loginctl enable-linger bob; or log in as bob, not by su"]
    as_root = host.json("--user", "plan", spec, env={"SUDO_USER": "bob"})
    assert as_root.errors == [": --user under sudo means root's own service manager, which does not run"]
    assert as_root.hints == ["type the same as bob, without sudo"]
    host.machine.run(["loginctl", "enable-linger", "bob"])
    host.wait_for(lambda: host.machine.exists(f"/run/user/{uid}/systemd/private"))
    assert host.json("--user", "plan", spec, user="bob").code == 0
    elsewhere = host.json("--user", "plan", spec, user="bob", env={"XDG_RUNTIME_DIR": "/home/bob"})
    gone = ": the service manager of bob does not answer at /home/bob/systemd/private: no such file or directory"
    assert elsewhere.errors == [gone]
    assert f"sudo systemctl start user@{uid}.service" in elsewhere.hints[0]
