"""Models of one's own are made by the unit that pulls, from another model and from a file, and anew when needed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab import models
from tests.lab.container import Container, end
from tests.system.fleethost import STORE, FleetHost, edited, unit
from tests.system.lora import adapter

FLEET = """
    version: 1
    defaults: {gpus: none}
    custom:
      terse: {modelfile: /etc/ollamactl/terse.Modelfile}
      own/file:v1: {modelfile: /etc/ollamactl/file.Modelfile}
    instances:
      terse: {port: 11434}
      file: {port: 11435, models: ["own/file:v1"]}
"""
MALLORY = """
import json, re, socket, sys
seen = set()
body = json.dumps({"model": "terse", "from": "qwen", "system": "I am Mallory."})
request = f"POST /api/create HTTP/1.1\\r\\nHost: localhost\\r\\nContent-Length: {len(body)}\\r\\n\\r\\n{body}".encode()
while True:
    for row in open("/proc/net/tcp").readlines()[1:]:
        words = row.split()
        address, port = words[1].split(":")
        there = socket.inet_ntoa(bytes.fromhex(address)[::-1]), int(port, 16)
        if words[3] == "0A" and re.match(r"127\\.(6[4-9]|[7-9]\\d|\\d{3})\\.", there[0]):
            plug = socket.socket()
            plug.settimeout(0.05 if there in seen else 2)
            try:
                plug.connect(there)
                plug.sendall(request)
                print("answer", plug.recv(10000), flush=True)
            except OSError as error:
                print(error, flush=True)
            seen.add(there)
"""
"""Has a model of its own made by whatever server it finds."""
TERSE = 'FROM qwen\nSYSTEM """Be\nterse."""\nPARAMETER temperature 0.2\n'


@pytest.fixture
def host() -> Iterator[FleetHost]:
    """A machine with a runner, which is where llama-quantize is."""
    with Container.boot("sid", store=True, binds={"/run/ggufs": models.ggufs().ensure()}) as machine:
        yield FleetHost(machine)


def ask(host: FleetHost, port: int, path: str, **body: Any) -> Any:
    command = ["curl", "-sS", f"http://127.0.0.1:{port}/api/{path}", "-d", json.dumps({**body, "stream": False})]
    return json.loads(host.machine.run(command).stdout)


def test_a_model_of_ones_own_is_made_served_and_made_again_when_what_it_is_made_from_changes(host: FleetHost) -> None:
    host.machine.write("/etc/ollamactl/terse.Modelfile", TERSE)
    host.machine.write("/etc/ollamactl/file.Modelfile", "FROM ./tiny.gguf\nPARAMETER num_ctx 512\n")
    host.machine.run("install -m 600 /run/ggufs/1.gguf /etc/ollamactl/tiny.gguf")
    blobs = host.files(f"{STORE}/blobs")

    refused = host.apply(FLEET)
    host.machine.run("chmod o+r /etc/ollamactl/tiny.gguf")
    ran = host.applied()

    assert (refused.code, refused.changed, [hint for hint in refused.hints if "tiny.gguf" in hint]) == (
        1, True, ["if it may be so: sudo chmod o+r /etc/ollamactl/tiny.gguf"],
    )  # fmt: skip
    assert [step for step in ran.steps if step.startswith("create")] == [
        "create own/file:v1: made by /etc/ollamactl/file.Modelfile"
    ], "the other one was made by the apply that failed"
    shown = ask(host, 11434, "show", model="terse")
    assert (shown["system"], shown["details"]["parent_model"]) == ("Be\nterse.", "qwen:latest")
    answer = ask(host, 11435, "generate", model="own/file:v1", prompt="x", options={"num_predict": 2})
    assert answer["done"]
    files = host.files(f"{STORE}/blobs")
    assert {path: files[path] for path in blobs} == blobs, "what it was made from is as it was"
    assert not host.machine.path(f"{STORE}/.ollamactl-pull").exists()
    assert (host.applied().steps, host.json("pull", "file").changed) == ([], False)

    started = host.invocations("terse", "file")
    host.machine.write("/etc/ollamactl/terse.Modelfile", TERSE.replace("0.2", "0.3"))
    again = host.applied()
    assert again.steps[0] == "create terse:latest: the Modelfile changed"
    assert [name for name, one in host.invocations("terse", "file").items() if one != started[name]] == ["terse"]
    assert "0.3" in ask(host, 11434, "show", model="terse")["parameters"]
    assert any(step.startswith(f"restart {unit('terse')}: terse:latest ") for step in again.steps)

    host.machine.write("/etc/ollamactl/terse.Modelfile", TERSE + "PARAMETER moon full\n")
    wrong = host.apply(edited(FLEET, "port: 11435", "port: 11436"))
    assert (wrong.code, wrong.changed) == (1, False)
    assert wrong.errors[0].endswith("/etc/ollamactl/terse.Modelfile: line 5: there is no parameter 'moon'")


def test_an_adapter_is_part_of_a_model_and_its_room_is_told_before(host: FleetHost) -> None:
    host.machine.write("/etc/ollamactl/terse.Modelfile", "FROM /run/ggufs/2.gguf\nADAPTER lora.gguf\n")
    host.machine.path("/etc/ollamactl/lora.gguf").write_bytes(adapter())
    spec = edited(FLEET, "      own/file:v1: {modelfile: /etc/ollamactl/file.Modelfile}\n", "")
    spec = edited(spec, '      file: {port: 11435, models: ["own/file:v1"]}\n', "")

    plan, ran = host.plan(spec), host.applied()

    (note,) = [note for note in plan.notes if note.startswith("terse:latest takes ")]
    (size,) = [row["size"] for row in plan.envelope["data"]["steps"] if row["step"] == "create"]
    files = host.machine.run("cat /run/ggufs/2.gguf /etc/ollamactl/lora.gguf | wc -c").stdout
    assert (size, "are free" in note) == (int(files), True)
    assert ran.steps[0] == "create terse:latest: made by /etc/ollamactl/terse.Modelfile"
    assert "ADAPTER" in ask(host, 11434, "show", model="terse")["modelfile"]
    assert ask(host, 11434, "generate", model="terse", prompt="x", options={"num_predict": 2})["done"]
    host.machine.path("/etc/ollamactl/lora.gguf").write_bytes(adapter(0.02))
    assert host.applied().steps[0] == "create terse:latest: /etc/ollamactl/lora.gguf changed"


def test_another_user_cannot_speak_to_the_server_that_makes_it(host: FleetHost) -> None:
    host.machine.write("/etc/ollamactl/terse.Modelfile", TERSE)
    host.machine.write("/tmp/mallory.py", MALLORY)
    spec = edited(FLEET, "      own/file:v1: {modelfile: /etc/ollamactl/file.Modelfile}\n", "")
    spec = edited(spec, '      file: {port: 11435, models: ["own/file:v1"]}\n', "")
    host.machine.run("install -o nobody /dev/null /tmp/mallory.log")
    mallory = host.machine.popen("exec python3 /tmp/mallory.py >/tmp/mallory.log", user="nobody")
    try:
        for number in range(3):
            host.machine.write("/etc/ollamactl/terse.Modelfile", TERSE.replace("0.2", f"0.{number + 3}"))
            host.applied(spec)
            shown = ask(host, 11434, "show", model="terse")
            assert (shown["system"], f"0.{number + 3}" in shown["parameters"]) == ("Be\nterse.", True)
    finally:
        end(mallory)
    tries = host.machine.run("cat /tmp/mallory.log").stdout.splitlines()
    assert len(tries) >= 3, "it found none"
    assert [row for row in tries if row.startswith("answer")] == []
