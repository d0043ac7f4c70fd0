"""install.sh is run again over a fleet: it replaces the program and brings up a service of its own on 11434."""

from __future__ import annotations

from tests.lab.binaries import OLLAMA_NEXT, OLLAMA_NEXT_VERSION, OLLAMA_VERSION
from tests.system.fleethost import REAL, UNITS, FleetHost, unit
from tests.system.test_adoption import UNIT

LIBRARIES = "/usr/local/lib/ollama"
FLEET = """
    version: 1
    defaults: {gpus: none}
    instances:
      llama3: {port: 11434}
      mistral: {port: 11435}
"""
NAMES = ("llama3", "mistral")


def install_again(host: FleetHost) -> None:
    """As install.sh does for an upgrade: it removes, unpacks, and rewrites, enables and restarts its service."""
    host.machine.write(f"{UNITS}/ollama.service", UNIT.replace("/usr/bin/ollama", REAL))
    host.machine.run(
        f"""set -e
        rm -rf {LIBRARIES} && mkdir -p {LIBRARIES}
        rm {REAL} && install {OLLAMA_NEXT} {REAL}
        useradd --system --shell /bin/false --user-group --create-home --home-dir /usr/share/ollama ollama
        systemctl daemon-reload && systemctl enable ollama && systemctl restart ollama
        """
    )


def test_install_sh_run_again_leaves_the_fleet_serving_and_apply_says_the_way(host: FleetHost) -> None:
    host.machine.run(f"mkdir -p {LIBRARIES} && touch {LIBRARIES}/libggml-base.so")
    host.applied(FLEET)
    started = host.invocations(*NAMES)
    install_again(host)
    host.wait_for(lambda: "address already in use" in host.machine.journal("ollama.service"))
    files = host.files()

    verified, ran = host.json("verify"), host.apply()

    assert (ran.code, ran.changed, host.files(), host.invocations(*NAMES)) == (1, False, files, started)
    assert [host.models(port) for port in (11434, 11435)] == [["llama3:latest"], ["mistral:latest"]]
    assert ran.errors == [
        "instances.llama3.port: ollama.service is set to listen on 127.0.0.1:11434 too, and is started at boot"
    ]
    assert ran.hints == ["sudo systemctl disable --now ollama.service, or choose another port in the spec"]
    assert verified.code == 3
    wrong = verified.failed_checks("llama3")["version"]
    assert (OLLAMA_VERSION in wrong["found"], OLLAMA_NEXT_VERSION in wrong["expected"]) == (True, True)
    assert "sudo ollamactl restart llama3" in wrong["hint"]

    host.machine.run(["systemctl", "disable", "--now", "ollama.service"])
    mended = host.applied()
    assert mended.steps == [f"restart {unit(name)}: {REAL} was replaced since it started" for name in NAMES]
    assert {proof["version"] for proof in mended.proofs.values()} == {OLLAMA_NEXT_VERSION}
    assert host.applied().steps == []


def test_where_the_spec_replaces_its_service_apply_takes_it_away_again(host: FleetHost) -> None:
    host.machine.run(f"mkdir -p {LIBRARIES} && touch {LIBRARIES}/libggml-base.so")
    spec = FLEET.replace("port: 11434", "port: 11434, replaces: [ollama.service]")
    host.applied(spec)
    install_again(host)
    host.wait_for(lambda: "address already in use" in host.machine.journal("ollama.service"))

    ran = host.applied(spec)

    assert [step for step in ran.steps if "ollama.service" in step] == [
        f"disable ollama.service: {unit('llama3')} takes its place",
        f"displace ollama.service: port 11434 goes to {unit('llama3')}",
    ]
    assert host.show("ollama.service", "ActiveState", "UnitFileState") == {
        "ActiveState": "inactive", "UnitFileState": "disabled",
    }  # fmt: skip
    assert {proof["version"] for proof in ran.proofs.values()} == {OLLAMA_NEXT_VERSION}
    assert host.applied().steps == []
    destroyed = host.json("destroy", "--yes")
    assert any("ollama.service, which made room" in note for note in destroyed.notes)
