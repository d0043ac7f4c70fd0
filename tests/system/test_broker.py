"""Who reads the gate's HTTP has no rights: what takes root the broker does, for the gate alone, and for its servers."""

from __future__ import annotations

import pytest

from tests.lab.binaries import SOURCE_IN_CONTAINER
from tests.lab.container import Container
from tests.lab.roots import SUITES
from tests.system.fleethost import FleetHost, unit
from tests.system.inside import ask, fleet_of

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("broker")]

GATE, BROKER = "ollama-gate.service", "ollamactl-broker.service"
SOCKET = "/run/ollamactl-broker/socket"
UNANSWERED = ("nothing", "ConnectionResetError", "BrokenPipeError")
SPEAK = """
import socket, sys
line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
try:
    line.connect(sys.argv[1])
    line.send(sys.argv[2].encode())
    print(line.recv(2048).decode() or "nothing")
except OSError as error:
    print(type(error).__name__)
"""

FLEET = """
    version: 1
    defaults: {gpus: none, binary: /usr/local/bin/ollama-standin}
    instances:
      llama3: {port: 11434, on_demand: {stop_after: 1h}}
      mistral: {port: 11435, network: private}
      plain: {port: 11436, models: [llama3]}
"""

fleet = fleet_of(FLEET)


def version(fleet: FleetHost, port: int) -> int:
    return ask(fleet, port, "GET", "/api/version").status


def speak(fleet: FleetHost, words: str, *prefix: str) -> str:
    return fleet.machine.run([*prefix, "/usr/bin/python3", "-c", SPEAK, SOCKET, words]).stdout.strip()


def test_the_gate_has_no_right_and_no_user_of_anybody_elses(fleet: FleetHost) -> None:
    assert version(fleet, 11434) == 200
    pid = fleet.show(GATE, "MainPID")["MainPID"]
    status = dict(line.split(":\t", 1) for line in fleet.machine.read(f"/proc/{pid}/status").splitlines())
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert int(status["Uid"].split()[0]) >= 61184, "of a dynamic user (systemd.exec(5))"
    assert status["NoNewPrivs"] == "1"


@pytest.mark.parametrize(("name", "most"), [(GATE, 0.5), (BROKER, 2.0), (unit("llama3"), 1.0)])
def test_how_exposed_they_are(fleet: FleetHost, name: str, most: float) -> None:
    told = fleet.machine.run(["systemd-analyze", "security", "--no-pager", name]).stdout
    assert float(told.split("Overall exposure level for ")[1].split()[1]) <= most


def test_the_gate_reaches_nobody_but_its_servers(fleet: FleetHost) -> None:
    """Had a client taken it over, it would be in an empty network, and see no socket but the broker's and its own."""
    version(fleet, 11434)
    pid = fleet.show(GATE, "MainPID")["MainPID"]
    into = ["nsenter", "-t", pid, "-n", "-m"]
    assert fleet.machine.run([*into, "ss", "-Htan"]).stdout == ""
    each = "for each in $(find /run); do test ! -S $each || echo $each; done"
    found = fleet.machine.run([*into, "sh", "-c", each]).stdout.split()
    own = "/run/ollamactl-gate/control.sock"
    assert {each.partition("/journal/")[0] for each in found} == {SOCKET, own, "/run/systemd"}
    plain = fleet.machine.run([*into, "curl", "-sS", "--max-time", "3", "http://127.0.0.1:11436/"], check=False)
    assert plain.returncode == 7, "connection refused: its loopback is its own"


def test_nobody_but_the_gate_is_answered(fleet: FleetHost) -> None:
    fleet.machine.run("id ada || useradd -m ada")
    version(fleet, 11434)
    request = f"state {unit('llama3')}"
    assert speak(fleet, request, "runuser", "-u", "ada", "--") == "PermissionError"
    assert speak(fleet, request) in UNANSWERED
    run = ("systemd-run", "--quiet", "--pipe", "--wait", "--unit=ollama-gate-forged.service")
    assert speak(fleet, request, *run) in UNANSWERED
    assert "is none of ollama-gate.service" in fleet.machine.journal(BROKER)


def test_the_gate_itself_is_refused_what_is_not_its_own(fleet: FleetHost) -> None:
    """As its process, in its own cgroup: what one would have who had taken it over."""
    version(fleet, 11434)
    pid = fleet.show(GATE, "MainPID")["MainPID"]
    join = f"echo $$ >/sys/fs/cgroup/system.slice/{GATE}/cgroup.procs; exec nsenter -t {pid} -m /usr/bin/python3 -c"

    def asks(words: str) -> str:
        done = fleet.machine.run(["sh", "-c", f'{join} "$@"', "sh", SPEAK, SOCKET, words])
        return done.stdout.strip()

    assert asks(f"state {unit('llama3')}").startswith("ok active ")
    for words in (f"stop {unit('plain')}", "start ssh.service", "stop dbus.service", f"dial {unit('plain')}"):
        assert "none of the gate's servers" in asks(words)
    assert asks(f"kill {unit('llama3')}").startswith("no 22 ")
    assert fleet.states("plain") == {"plain": "active"}


def test_broker_and_gate_are_killed_and_nobody_notices(fleet: FleetHost) -> None:
    version(fleet, 11434)
    before = fleet.invocations("llama3", "mistral")
    for name in (BROKER, GATE, BROKER, GATE):
        fleet.machine.run(["systemctl", "kill", "-s", "KILL", name])
        assert (version(fleet, 11434), version(fleet, 11435)) == (200, 200)
    assert fleet.invocations("llama3", "mistral") == before


def test_a_server_that_is_started_again_is_found_again(fleet: FleetHost) -> None:
    for _ in range(3):
        assert version(fleet, 11434) == 200
        fleet.machine.run(["systemctl", "restart", unit("llama3")])
        assert version(fleet, 11434) == 200
        fleet.machine.run(["systemctl", "stop", unit("llama3")])


def test_when_the_gate_ends_the_broker_does_too_and_keeps_no_network(fleet: FleetHost) -> None:
    version(fleet, 11434)
    fleet.machine.run(["systemctl", "stop", GATE])
    fleet.wait_for(lambda: fleet.show(BROKER, "ActiveState")["ActiveState"] == "inactive")
    assert version(fleet, 11434) == 200


@pytest.mark.parametrize("place", ["/root/src", "/home/ada/my src"])
@pytest.mark.parametrize("suite", SUITES)
def test_a_gate_without_rights_runs_from_a_checkout_where_users_live(suite: str, place: str) -> None:
    with Container.boot(suite, store=True) as machine:
        spec = FleetHost(machine).spec(FLEET)
        parts = " ".join(f"{SOURCE_IN_CONTAINER}/{name}" for name in ("ollamactl", "templates", "ollamactl.sh"))
        machine.run(f"useradd -m ada; mkdir -p '{place}' && cp -r {parts} '{place}' && chown -R root: '{place}'")
        machine.run([f"{place}/ollamactl.sh", "apply", spec])
        assert version(FleetHost(machine), 11434) == 200


def test_all_of_it_goes_with_the_last_server_behind_the_gate(fleet: FleetHost) -> None:
    version(fleet, 11434)
    spec = fleet.machine.read("/etc/ollamactl/fleet.yaml")
    fleet.applied(spec.replace(", on_demand: {stop_after: 1h}", "").replace(", network: private", ""))
    shown = fleet.machine.run(["systemctl", "list-units", "--all", "--no-legend", "--plain", "ollama*broker*"]).stdout
    assert shown == ""
    assert not fleet.machine.exists("/etc/systemd/system/ollamactl-broker.socket")
    fleet.applied(spec)
    assert (version(fleet, 11434), version(fleet, 11435)) == (200, 200)
