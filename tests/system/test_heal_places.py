"""What looks for servers that hang comes and goes with the spec, works by itself, and wherever a fleet can be."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.lab.container import Container
from tests.lab.roots import SUITES
from tests.system.fleethost import SPEC, STATE, STORE, TARGET, UNITS, FleetHost, edited, unit
from tests.system.hangs import FIGURES, SERVICE, STATE_FILE, TIMER, figure, heal, stop, told

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("heal-places")]

FLEET = """\
version: 1
ollama: {binary: /usr/local/bin/ollama-standin}
health: {every: 1h, failures: 1}
defaults: {gpus: none}
instances:
  llama3: {port: 11434}
  mistral: {port: 11435}
"""
OFTEN = edited(FLEET, "every: 1h", "every: 1s")
WITHOUT = edited(FLEET, "health: {every: 1h, failures: 1}\n", "")
LINK = f"{UNITS}/{TARGET}.wants/{TIMER}"
PLACES = (f"{UNITS}/{SERVICE}", f"{UNITS}/{TIMER}", LINK)


@pytest.fixture(params=SUITES)
def anywhere(request: pytest.FixtureRequest) -> Iterator[FleetHost]:
    """On the oldest systemd, and on the newest."""
    with Container.boot(request.param, store=True) as machine:
        yield FleetHost(machine)


def active(host: FleetHost, name: str) -> str:
    return host.show(name, "ActiveState")["ActiveState"]


def test_the_timer_heals_by_itself_and_nothing_stays_in_between(anywhere: FleetHost) -> None:
    host = anywhere
    host.applied(FLEET)
    before = host.invocations("llama3", "mistral")
    assert host.applied(OFTEN).steps == [
        f"write {UNITS}/{TARGET}: records the new configuration",
        f"write {UNITS}/{TIMER}: health.every 1h -> 1s",
        "reload systemd: 2 files written",
    ]
    host.wait_for(lambda: host.machine.exists(FIGURES) and figure(host, "server_up", "llama3") == 1)
    stop(host, host.pid("llama3"))

    host.wait_for(lambda: len(told(host, FINDING="server")) == 2, seconds=60)

    after = host.invocations("llama3", "mistral")
    assert (after["llama3"] != before["llama3"], after["mistral"]) == (True, before["mistral"])
    assert [row["FAILURES"] for row in told(host, FINDING="server")] == ["1", "1"]
    host.applied(FLEET)
    host.wait_for(lambda: active(host, SERVICE) == "inactive")
    assert host.show(SERVICE, "MainPID", "Result") == {"MainPID": "0", "Result": "success"}
    assert host.show(SERVICE, "TasksCurrent")["TasksCurrent"] in ("0", "[not set]")
    log = host.machine.journal(SERVICE)
    assert not re.findall(r"Starting|Finished|Deactivated", log), "nothing is told of runs as such"
    assert oct((host.machine.path(FIGURES)).stat().st_mode & 0o777) == "0o644"


def test_it_comes_and_goes_with_the_spec_and_touches_no_server(anywhere: FleetHost) -> None:
    host = anywhere
    host.applied(WITHOUT)
    before = host.invocations("llama3", "mistral")
    assert not any(host.machine.exists(path) for path in PLACES)

    host.applied(FLEET)

    assert all(host.machine.exists(path) for path in PLACES)
    assert (active(host, TIMER), host.applied().changed) == ("active", False)
    host.machine.run(["systemctl", "start", SERVICE])
    assert host.machine.exists(FIGURES)
    host.applied(WITHOUT)
    assert (active(host, TIMER), host.applied().changed) == ("inactive", False)
    assert not any(host.machine.exists(path) for path in (*PLACES, FIGURES, f"{STATE}/metrics"))
    assert host.invocations("llama3", "mistral") == before
    assert heal(host)["llama3"]["limit"] == 3, "by hand it is there all the same"
    assert heal(host, "--failures", "7")["llama3"]["limit"] == 7
    assert not host.machine.exists(FIGURES)
    assert host.json("rollback").code == 0
    assert active(host, TIMER) == "active"


def test_destroy_leaves_nothing_of_it(anywhere: FleetHost) -> None:
    host = anywhere
    host.applied(FLEET)
    host.machine.run(["systemctl", "start", SERVICE])
    assert host.json("destroy", "--yes").code == 0
    assert not any(host.machine.exists(path) for path in (*PLACES, FIGURES, STATE_FILE, f"{STATE}/metrics"))
    assert (active(host, TIMER), active(host, SERVICE)) == ("inactive", "inactive")


def test_the_timer_goes_and_comes_with_the_fleet(host: FleetHost) -> None:
    host.applied(FLEET)
    host.machine.run(["systemctl", "stop", TARGET])
    assert active(host, TIMER) == "inactive"
    host.machine.run(["systemctl", "start", TARGET])
    assert active(host, TIMER) == "active"
    host.machine.reboot()
    host.wait_for(lambda: active(host, TIMER) == "active")
    host.machine.run(["systemctl", "stop", TIMER])
    assert host.applied().steps == [f"start {TIMER}: looks for servers that hang every 1h"]
    assert active(host, TIMER) == "active"


def test_an_apply_that_fails_takes_it_back(host: FleetHost) -> None:
    host.applied(WITHOUT)
    broken = edited(FLEET, "mistral: {port: 11435}", "mistral: {port: 11435, environment: {STANDIN_EXIT: '3'}}")
    assert host.apply(broken, "--timeout", "20s").code == 1
    assert not any(host.machine.exists(path) for path in PLACES)
    assert active(host, TIMER) == "inactive"
    assert host.applied(WITHOUT).changed is False


def test_somebody_elses_timer_of_that_name_stays(host: FleetHost) -> None:
    host.machine.write(f"{UNITS}/{TIMER}", "[Timer]\nOnActiveSec=1h\n")
    ran = host.apply(FLEET)
    assert ran.code == 1
    assert ran.errors == [f"{UNITS}/{TIMER}: this file is not ollamactl's, so it stays as it is"]
    assert host.applied(WITHOUT).code == 0
    assert host.machine.read(f"{UNITS}/{TIMER}") == "[Timer]\nOnActiveSec=1h\n"


def test_a_program_that_others_can_change_is_named(host: FleetHost) -> None:
    """The checkout of these tests belongs to root, or to somebody who is told."""
    notes = host.plan(FLEET).notes
    owner = host.machine.run(["stat", "-c", "%U", "/opt/ollamactl-src"]).stdout.strip()
    assert any("decides what ollamactl-heal.service does as root" in note for note in notes) is (owner != "root")
    host.machine.run("cd /opt/ollamactl-src && cp -r ollamactl templates ollamactl.sh /srv")
    host.machine.run("chown -R nobody /srv/ollamactl")
    said = host.machine.run(["/srv/ollamactl.sh", "plan", SPEC]).stderr
    assert "nobody can change /srv/ollamactl, and so decides what ollamactl-heal.service does as root" in said
    assert "ExecStart=/srv/ollamactl.sh heal" in host.machine.run(["/srv/ollamactl.sh", "render", SPEC]).stdout


def test_an_image_gets_it_and_runs_what_it_has(host: FleetHost) -> None:
    host.machine.run(f"mkdir -p /srv/image{STORE} && cp -a {STORE}/. /srv/image{STORE}")
    host.spec(FLEET)
    ran = host.json("apply", SPEC, "--root", "/srv/image")
    assert ran.code == 0
    assert "there is no ollamactl at /usr/bin/ollamactl, which ollamactl-heal.service would run" in ran.notes
    assert "ExecStart=/usr/bin/ollamactl heal\n" in host.machine.read(f"/srv/image{UNITS}/{SERVICE}")
    assert host.machine.run(["readlink", f"/srv/image{LINK}"]).stdout == f"{UNITS}/{TIMER}\n"
    assert host.json("heal", "--root", "/srv/image").code == 2
    assert host.json("destroy", "--yes", "--root", "/srv/image").code == 0
    assert not any(host.machine.exists(f"/srv/image{path}") for path in PLACES)


def test_a_user_has_one_of_the_own() -> None:
    with Container.boot(SUITES[-1], store=True) as machine:
        host, ada = FleetHost(machine), machine.user("ada")
        machine.run(f"mkdir -p /home/ada/.ollama && mv {STORE} /home/ada/.ollama/ && chown -R ada: /home/ada/.ollama")
        models = "{binary: /usr/local/bin/ollama-standin, models: /home/ada/.ollama/models}"
        machine.write("/home/ada/fleet.yaml", edited(FLEET, "{binary: /usr/local/bin/ollama-standin}", models))
        assert ada.ollamactl("--user", "apply", "fleet.yaml").returncode == 0

        def show(name: str, what: str) -> str:
            return ada.run(["systemctl", "--user", "show", "--value", f"--property={what}", name]).stdout.strip()

        assert show(TIMER, "ActiveState") == "active"
        ada.run(["systemctl", "--user", "start", SERVICE])
        figures = machine.read("/home/ada/.local/state/ollamactl/metrics/ollamactl.prom")
        assert f'ollamactl_server_up{{instance="llama3",unit="{unit("llama3")}",listen="127.0.0.1:11434"}} 1' in figures
        before = [show(unit(name), "InvocationID") for name in ("llama3", "mistral")]
        stop(host, int(show(unit("llama3"), "MainPID")))
        ada.run(["systemctl", "--user", "start", SERVICE])
        assert show(SERVICE, "Result") == "success"
        assert show(unit("llama3"), "InvocationID") != before[0]
        assert show(unit("mistral"), "InvocationID") == before[1]
        assert ada.ollamactl("--user", "destroy", "--yes").returncode == 0
        assert ada.run(["ls", "/home/ada/.config/systemd/user"]).stdout == ""
        assert not machine.exists(f"/run/user/{ada.uid}/ollamactl")
