"""adopt on a real systemd: what it writes of units that run is a spec, and applying it serves the same."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.system.fleethost import REAL, SPEC, STORE, UNITS, Ran
from tests.system.patient import Patient, booted
from tests.system.test_adoption import STOCK, follow, install_as_install_sh_does

SECRET = "hf_0123456789abcdef"


@pytest.fixture
def patient() -> Iterator[Patient]:
    with booted() as machine:
        yield machine


def typed(patient: Patient, commands: list[str]) -> None:
    """As root types them."""
    for command in commands:
        patient.machine.run(command.replace("sudo ", "").replace("fleet.yaml", SPEC))


def adopted(patient: Patient, *arguments: str) -> Ran:
    """A run of adopt that has nothing against its own spec, which is where apply looks for it then."""
    ran = patient.host.json("adopt", *arguments)
    assert (ran.code, ran.errors) == (0, []), ran.envelope
    patient.host.spec(ran.envelope["data"]["spec"])
    assert patient.host.json("check", "/etc/ollamactl/fleet.yaml").code == 0
    return ran


def test_the_official_service_with_drop_ins_and_a_file_moves_over_and_back(patient: Patient) -> None:
    machine, host = patient.machine, patient.host
    patient.install(
        command=f"{REAL} serve", start=False, lines="RestartSec=2s\nMemoryMax=8G\nEnvironmentFile=/etc/o.env"
    )
    machine.write("/etc/o.env", f"# ours\nHF_TOKEN={SECRET}\nOLLAMA_KEEP_ALIVE=30m\n")
    drop_in = f"{UNITS}/ollama.service.d/override.conf"
    machine.write(drop_in, "[Service]\nEnvironment=OLLAMA_HOST=127.0.0.1:12000 \\\n  OLLAMA_DEBUG=1\nNice=3\n")
    patient.reload()
    machine.run("systemctl enable --now ollama")
    host.wait_for_port(12000)
    models, before = host.models(12000), host.files(f"{UNITS}/ollama.service.d")

    ran = adopted(patient)

    text = ran.envelope["data"]["spec"]
    assert SECRET not in machine.ollamactl("adopt").stdout + str(ran.envelope)
    assert f"HF_TOKEN: {SECRET}" in machine.ollamactl("adopt", "--secrets").stdout.replace('"', "")
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert f"port: 12000 # OLLAMA_HOST in {drop_in}:2" in lines
    assert "keep_alive: 30m # OLLAMA_KEEP_ALIVE in /etc/o.env:3" in lines
    assert f"nice: 3 # Nice= in {drop_in}:4" in lines
    assert re.search(r"memory_max: 8G # MemoryMax= in /etc/systemd/system/ollama.service:\d+", "\n".join(lines))
    assert any(line.startswith(f"models: {STORE} # OLLAMA_MODELS in ") for line in lines)

    assert ran.envelope["data"]["take_over"] == ["sudo ollamactl apply fleet.yaml"]
    typed(patient, ran.envelope["data"]["take_over"])
    (one,) = [row["instance"] for row in ran.envelope["data"]["adopted"]]
    assert host.models(12000) == models
    assert host.show(one, "Nice") == {"Nice": "3"}
    assert host.json("adopt").errors == [": no service here runs Ollama but ollamactl's own"]

    typed(patient, ran.envelope["data"]["go_back"])
    host.wait_for_port(12000)
    assert host.show("ollama.service", "ActiveState", "UnitFileState") == {
        "ActiveState": "active", "UnitFileState": "enabled",
    }  # fmt: skip
    assert (host.models(12000), host.files(f"{UNITS}/ollama.service.d")) == (models, before)


def test_units_by_hand_of_ollamactl_s_own_name_move_over_and_back(patient: Patient) -> None:
    machine, host = patient.machine, patient.host
    patient.install("ollama@.service", lines="EnvironmentFile=/etc/ollama/%i.env", start=False)
    for name, port in (("a", 11501), ("b", 11502)):
        machine.write(f"/etc/ollama/{name}.env", f"OLLAMA_HOST=127.0.0.1:{port}\nSTANDIN_OF={name}\n")
        machine.run(["systemctl", "enable", "--now", f"ollama@{name}"])
        host.wait_for_port(port)
    models = host.models(11501)

    ran = adopted(patient)
    assert [row["instance"] for row in ran.envelope["data"]["adopted"]] == ["a", "b"]
    typed(patient, ran.envelope["data"]["take_over"])
    done = host.applied()

    assert {name: proof["ok"] for name, proof in done.proofs.items()} == {"a": True, "b": True}
    assert (host.models(11501), host.models(11502)) == (models, models)
    assert host.environ(11502)["STANDIN_OF"] == "b"

    typed(patient, ran.envelope["data"]["go_back"])
    host.wait_for_port(11501)
    assert host.states("a", "b") == {"a": "active", "b": "active"}
    assert host.show("a", "UnitFileState") == {"UnitFileState": "enabled"}


def test_what_install_sh_left_moves_over_by_what_adopt_and_plan_say(patient: Patient) -> None:
    machine, host = patient.machine, patient.host
    install_as_install_sh_does(machine)
    host.wait_for_port(11434)
    models = host.models(11434)

    ran = adopted(patient)
    assert f"\n  models: {STOCK} " in ran.envelope["data"]["spec"]
    follow(host, host.plan().hints)
    typed(patient, ran.envelope["data"]["take_over"])

    assert all(proof["ok"] for proof in host.applied().proofs.values())
    assert host.models(11434) == models
    assert host.apply().steps == []


def test_one_unit_alone_and_what_only_root_may_read(patient: Patient) -> None:
    patient.install("one.service", port=11501, lines="EnvironmentFile=/etc/closed.env", start=False)
    patient.machine.write("/etc/closed.env", "OLLAMA_KEEP_ALIVE=1h\n")
    patient.machine.run("chmod 600 /etc/closed.env && systemctl enable --now one")
    patient.install("two.service", port=11502)

    ran = adopted(patient, "one")
    seen = patient.host.json("adopt", "one", user="nobody")

    assert [row["unit"] for row in ran.envelope["data"]["adopted"]] == ["one.service"]
    assert "keep_alive: 1h" in ran.envelope["data"]["spec"]
    assert "keep_alive: 1h" not in seen.envelope["data"]["spec"]
    assert any("/etc/closed.env" in note for note in seen.notes)
