"""Apply takes a service's place where the spec says so, on a real systemd: its port, its models, and the way back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.lab.container import end
from tests.system.fleethost import REAL, STANDIN, STORE, UNITS, FleetHost, unit
from tests.system.patient import Patient, booted
from tests.system.test_killed import kills

OLD = "ollama.service"
DROP_IN = f"{UNITS}/{OLD}.d/override.conf"
SPEC = """
version: 1
instances:
  one: {port: 11434, gpus: none, models: [MODELS], replaces: [ollama.service]}
"""
POLLER = """
import http.client, os, time
last, longest, good = None, 0.0, False
while not (good and os.path.exists("/run/poller-stop")):
    try:
        connection = http.client.HTTPConnection("127.0.0.1", 11434, timeout=1)
        connection.request("GET", "/api/version")
        good = connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        good = False
    now = time.monotonic()
    if good:
        longest = max(longest, now - (last or now))
        last = now
        open("/run/poller-runs", "w").close()
    time.sleep(0.002)
print(longest)
"""


ALL = ("acme/coder:7b", "llama3", "mistral", "nomic-embed-text:v1.5", "qwen")
SPEC = SPEC.replace("MODELS", ", ".join(f'"{model}"' for model in ALL))


@pytest.fixture
def patient() -> Iterator[Patient]:
    with booted() as machine:
        yield machine


@contextmanager
def polled(host: FleetHost) -> Iterator[list[float]]:
    """The longest time in seconds for which nobody answered on 11434 while the block ran."""
    found: list[float] = []
    host.machine.run(["rm", "-f", "/run/poller-stop", "/run/poller-runs"])
    host.machine.write("/root/poller.py", POLLER)
    poller = host.machine.popen(["python3", "/root/poller.py"])
    try:
        host.wait_for(lambda: host.machine.path("/run/poller-runs").exists())
        yield found
        host.machine.run(["touch", "/run/poller-stop"])
        found.append(float(poller.communicate(timeout=20)[0]))
    finally:
        end(poller)


def runs(host: FleetHost) -> dict[str, str]:
    """How the old service is, and what its folder of units holds, to the byte and the time."""
    links = host.machine.run(f"find {UNITS} -type l -name {OLD} -printf '%p -> %l\n' | sort").stdout
    files = {path: words for path, words in host.files(UNITS).items() if f"/{OLD}" in path}
    return {**host.show(OLD, "ActiveState", "UnitFileState"), "links": links, **files}


def official(patient: Patient, command: str = f"{REAL} serve") -> None:
    patient.install(command=command, start=False)
    patient.machine.write(DROP_IN, "[Service]\nEnvironment=OLLAMA_KEEP_ALIVE=30m\nNice=3\n")
    patient.reload()
    patient.machine.run(f"systemctl enable --now --quiet {OLD} && systemctl add-wants basic.target {OLD}")
    patient.host.wait_for_port(11434)


def test_the_port_is_away_no_longer_than_for_one_restart_and_rollback_is_exact(patient: Patient) -> None:
    machine, host = patient.machine, patient.host
    official(patient)
    before, models = runs(host), host.models(11434)
    with polled(host) as restarting:
        machine.run(["systemctl", "restart", OLD])
        host.wait_for_port(11434)

    planned = host.plan(SPEC)
    with polled(host) as moving:
        done = host.applied()

    assert planned.errors == []
    assert [step for step in done.steps if OLD in step] == [
        f"disable {OLD}: {unit('one')} takes its place", f"displace {OLD}: port 11434 goes to {unit('one')}",
    ]  # fmt: skip
    with polled(host) as successor:
        machine.run(["systemctl", "restart", unit("one")])
        host.wait_for_port(11434)
    print(f"away: old restarted {restarting[0]:.3f} s, moved {moving[0]:.3f} s, new restarted {successor[0]:.3f} s")
    # A busy machine may hold up any of them; that nothing comes between is shown in test_taking_over
    assert moving[0] < 10 * max(restarting[0], successor[0]) + 1
    assert host.models(11434) == models
    assert host.show(OLD, "ActiveState", "UnitFileState") == {"ActiveState": "inactive", "UnitFileState": "disabled"}
    assert host.applied().steps == []

    back = host.json("rollback")
    assert (back.code, back.errors) == (0, [])
    host.wait_for_port(11434)
    assert (runs(host), host.models(11434)) == (before, models)
    assert host.states("one") == {"one": "inactive"}
    again = host.json("rollback", "1")
    assert (again.code, again.proofs["one"]["ok"]) == (0, True)


def test_a_service_that_is_no_ollama_or_would_take_others_along_is_refused(patient: Patient) -> None:
    machine, host = patient.machine, patient.host
    official(patient, f"{STANDIN} serve")
    machine.write(f"{UNITS}/web.service", f"[Unit]\nRequires={OLD}\nAfter={OLD}\n[Service]\nExecStart=sleep infinity\n")
    machine.run("systemctl daemon-reload && systemctl start web")
    before = runs(host)

    other = host.plan(SPEC.replace("11434", "11444").replace(f", replaces: [{OLD}]", ""))
    carried = host.apply(SPEC)
    stranger = host.apply(SPEC.replace(f"[{OLD}]", "[systemd-journald.service]"))
    machine.run(["systemctl", "stop", "web"])
    absent = host.plan(SPEC.replace(f"[{OLD}]", f"[{OLD}, nobody.service]"))

    assert any(note.startswith(f"{OLD} has the same store, {STORE}: ") for note in other.notes)
    assert carried.errors == [
        f"instances.one.replaces: web.service would be stopped with {OLD}, which the spec does not name"
    ]
    assert any("systemd-journald.service does not run Ollama" in error for error in stranger.errors)
    assert (carried.changed, stranger.changed, runs(host)) == (False, False, before)
    assert absent.errors == []
    assert not any("nobody" in step for step in absent.steps)


def test_where_the_proof_fails_the_old_service_serves_again(patient: Patient) -> None:
    host = patient.host
    official(patient)
    before, models = runs(host), host.models(11434)
    broken = SPEC.replace("gpus: none", f'gpus: none, binary: {STANDIN}, environment: {{STANDIN_EXIT: "1"}}')

    failed = host.apply(broken)

    assert (failed.code, failed.envelope["data"]["rollback"]["ok"]) == (1, True)
    host.wait_for_port(11434)
    assert (runs(host), host.models(11434)) == (before, models)
    assert host.json("history", "show", "1").envelope["data"]["generation"]["displaced"] == {}


def test_killed_anywhere_the_next_apply_takes_the_place_and_rollback_gives_it_back(patient: Patient) -> None:
    machine = patient.machine
    official(patient, f"{STANDIN} serve")
    machine.write("/root/taking.yaml", SPEC.replace("gpus: none", f"gpus: none, binary: {STANDIN}"))

    rows = kills(machine, "taking", "0", "200", "5")

    assert [row for row in rows if row["wrong"]] == []
    assert [row["killed"] for row in rows] == [*[True] * (len(rows) - 1), False]
    assert len(rows) > 5


def test_whoever_asks_the_old_service_is_let_finish_and_a_canary_goes_first(patient: Patient) -> None:
    host = patient.host
    official(patient, f"{STANDIN} serve")
    before = runs(host)
    spec = SPEC.replace("gpus: none", f"gpus: none, binary: {STANDIN}") + (
        f'  two: {{port: 11445, gpus: none, models: [qwen], binary: {STANDIN}, environment: {{STANDIN_EXIT: "1"}}}}\n'
    )
    host.misbehave(11434, STANDIN_GENERATE_MS="6000")
    data = '{"model": "llama3", "prompt": "Why?", "stream": false}'
    asking = host.machine.popen(
        ["curl", "-sS", "-w", "%{http_code}", "--data", data, "http://127.0.0.1:11434/api/generate"]
    )
    host.wait_for(lambda: any("which a stop cuts off" in note for note in host.plan(spec).notes))

    failed = host.apply(spec, "--when-idle", "--canary", "one")

    assert asking.communicate(timeout=20)[0].endswith("200")
    assert (failed.code, failed.proofs["one"]["ok"], failed.proofs["two"]["ok"]) == (1, True, False)
    assert failed.envelope["data"]["rollback"]["ok"]
    host.wait_for_port(11434)
    assert runs(host) == before


def test_a_user_s_own_service_makes_room_for_a_user_s_own_server(patient: Patient) -> None:
    machine, host = patient.machine, patient.host
    ada = machine.user("ada")
    folder = "/home/ada/.config/systemd/user"
    lines = (
        f"[Service]\nExecStart={STANDIN} serve\nEnvironment=OLLAMA_MODELS={STORE}\n[Install]\nWantedBy=default.target\n"
    )
    machine.write(f"{folder}/{OLD}", lines)
    machine.write("/home/ada/fleet.yaml", SPEC.replace("gpus: none", f"gpus: none, binary: {STANDIN}"))
    machine.run("chown -R ada: /home/ada")
    ada.run(f"systemctl --user daemon-reload && systemctl --user enable --now --quiet {OLD}")
    host.wait_for_port(11434)
    state = ["systemctl", "--user", "is-active", OLD, unit("one")]

    moved = ada.ollamactl("--user", "apply", "fleet.yaml")
    there = ada.run(state, check=False).stdout.split()
    ada.ollamactl("--user", "rollback")

    assert f"{OLD} stopped" in moved.stderr
    assert there == ["inactive", "active"]
    assert ada.run(state, check=False).stdout.split() == ["active", "inactive"]
    assert machine.run(["readlink", f"{folder}/default.target.wants/{OLD}"]).stdout.strip() == f"{folder}/{OLD}"
