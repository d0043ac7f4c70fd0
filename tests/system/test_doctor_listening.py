"""Traps of addresses, made real: doctor finds each and nothing else, and its mend leaves none."""

from __future__ import annotations

import pytest

from tests.system.fleethost import REAL
from tests.system.patient import Patient


def test_a_port_that_somebody_else_has(patient: Patient) -> None:
    patient.machine.run("systemd-run --unit=website python3 -m http.server --bind 127.0.0.1 11434")
    patient.host.wait_for_port(11434)
    patient.install(lines="RestartSec=20")
    patient.host.wait_for(lambda: patient.host.show("ollama.service", "SubState")["SubState"] == "auto-restart")

    found = {row["id"]: row for row in patient.examine()}

    assert found.keys() == {"crash-loop", "port-taken"}
    pid = patient.host.pid("website.service")
    said = f"by pid {pid} (/usr/bin/python3 -m http.server --bind 127.0.0.1 11434) of website.service"
    assert found["port-taken"]["evidence"][0] == said
    patient.machine.run("systemctl stop website && systemctl restart ollama")
    assert patient.examine() == []


@pytest.mark.parametrize("host", ["0.0.0.0", ":11434", "[::]:11434", "10.66.0.1:11434"])
def test_a_server_that_everybody_reaches(patient: Patient, host: str) -> None:
    client = patient.machine.lan()
    patient.install(variables={"OLLAMA_HOST": host})
    patient.host.wait_for_port(11434)
    reach = [*client, "curl", "-sS", "--max-time", "5", "http://10.66.0.1:11434/api/version"]
    patient.machine.run(reach)

    (found,) = [row for row in patient.examine() if row["id"] == "open-to-network"]
    patient.mend(found)

    assert "listens on" in found["evidence"][0]
    assert patient.traps() == set()
    assert patient.machine.run(reach, check=False).returncode != 0


def test_a_server_behind_a_fence_of_systemd_s_is_not_open(patient: Patient) -> None:
    patient.install(variables={"OLLAMA_HOST": "0.0.0.0"}, lines="IPAddressDeny=any\nIPAddressAllow=localhost")

    assert patient.examine() == []


def test_two_servers_that_will_fight_at_the_next_boot(patient: Patient) -> None:
    for name in ("first.service", "second.service"):
        patient.install(name, start=False)
        patient.machine.run(["systemctl", "enable", "--quiet", name])

    found = patient.mended("same-address", "second.service")

    assert found["drop_in"] == "[Service]\nEnvironment=OLLAMA_HOST=127.0.0.1:11435\n"


@pytest.mark.parametrize(
    ("value", "message", "mended"),
    [
        ("11435", "11435 is taken for the name of a host, not for a port", "127.0.0.1:11435"),
        ("http://127.0.0.1", "http:// without a port means port 80", "127.0.0.1:11434"),
        ("https://127.0.0.1:11435", "https:// does not make it speak TLS: it serves plain HTTP", "127.0.0.1:11435"),
        ("::1:11435", "::1:11435 is taken for the name of a host: it listens on what", "127.0.0.1:11435"),
        ("elsewhere.example:11435", "elsewhere.example is taken for the name of a host", "127.0.0.1:11435"),
    ],
)
def test_an_address_that_means_something_else(patient: Patient, value: str, message: str, mended: str) -> None:
    patient.install(command=f"{REAL} serve", variables={"OLLAMA_HOST": value})

    found = patient.mended("host-spelling")

    assert found["message"].startswith(message)
    assert found["drop_in"] == f"[Service]\nEnvironment=OLLAMA_HOST={mended}\n"
    patient.host.wait_for_port(int(mended[-5:]))


def test_a_port_alone_binds_every_interface(patient: Patient) -> None:
    patient.install(command=f"{REAL} serve", variables={"OLLAMA_HOST": ":11435"})
    patient.host.wait_for_port(11435)

    assert patient.traps() == {("host-spelling", "ollama.service"), ("open-to-network", "ollama.service")}
    patient.mend(next(row for row in patient.examine() if row["id"] == "host-spelling"))
    assert patient.examine() == []


@pytest.mark.parametrize("port", ["99999", "http", ""])
def test_a_port_that_is_none(patient: Patient, port: str) -> None:
    patient.install(command=f"{REAL} serve", variables={"OLLAMA_HOST": f"127.0.0.1:{port}"})
    patient.host.wait_for_port(11434)

    found = patient.mended("invalid-port")

    assert f"{port or '(nothing after the colon)'} is no port: Ollama takes 11434 instead" in found["message"]


def test_an_address_that_the_host_does_not_have(patient: Patient) -> None:
    patient.machine.lan()
    patient.install(command=f"{REAL} serve", variables={"OLLAMA_HOST": "10.99.0.1:11434"})
    patient.host.wait_for(lambda: "cannot assign requested address" in patient.machine.journal("ollama.service"))

    found = patient.mended("address-elsewhere")

    assert found["evidence"][1] == "this host has 10.66.0.1"
    patient.host.wait_for_port(11434)


def test_pages_of_everybody(patient: Patient) -> None:
    patient.install(command=f"{REAL} serve", variables={"OLLAMA_ORIGINS": "*"})
    patient.host.wait_for_port(11434)
    page = "curl -sSi --retry 9 --retry-all-errors -H 'Origin: https://evil.example' http://127.0.0.1:11434/api/version"
    assert "200 OK" in patient.machine.run(page).stdout

    patient.mended("any-origin")

    assert "403 Forbidden" in patient.machine.run(page).stdout
