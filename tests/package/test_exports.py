"""What `export` prints, read by programs too heavy for every run: LiteLLM's proxy, and Open WebUI's own lines."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.cache import Artifact
from tests.lab.container import Container
from tests.lab.host import call, make_venv
from tests.system.fleethost import FleetHost

pytestmark = pytest.mark.system

RELEASE = "litellm[proxy]==1.108.7"
LITELLM = Artifact(
    name="litellm",
    says="LiteLLM's proxy from PyPI (750 MB)",
    recipe=RELEASE,
    build=lambda directory: make_venv(directory, RELEASE),
)
WEBUI_RELEASE = "open-webui==0.12.4"


def _webui(directory: Path) -> None:
    """Of the wheel just the file that reads the environment: the program itself wants gigabytes."""
    call(["/usr/bin/python3", "-m", "venv", str(directory / "pip")])
    fetch = ["download", "--quiet", "--no-deps", "--only-binary=:all:", "--python-version=3.12", WEBUI_RELEASE]
    call([str(directory / "pip/bin/python3"), "-m", "pip", *fetch, "--dest", str(directory)])
    (wheel,) = directory.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (directory / "config.py").write_bytes(archive.read("open_webui/config.py"))
    wheel.unlink()
    shutil.rmtree(directory / "pip")


WEBUI = Artifact(name="open-webui", says="Open WebUI's config.py from PyPI", recipe=WEBUI_RELEASE, build=_webui)
FLEET = """
    version: 1
    defaults: {gpus: none, context_length: 256}
    instances:
      one: {port: 11434, models: [llama3], aliases: {gpt-4o: llama3}}
      two-b: {port: 11435, host: "::", allow: [any], models: [mistral, "acme/coder:7b"]}
      idle: {port: 11436, models: [qwen], state: stopped}
"""
# Within the machine's network, where nothing else can be reached
LOCAL = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MODE": "PRODUCTION", "LITELLM_TELEMETRY": "False"}
READ = """
import asyncio, json, sys
from litellm.proxy.proxy_server import ProxyConfig

async def main(path):
    router, models, _ = (await ProxyConfig().load_config(router=None, config_file_path=path))[:3]
    for row in models:
        name = row["model_name"]
        question = [{"role": "user", "content": "Why?"}]
        answer = await router.acompletion(model=name, messages=question, max_tokens=3)
        said = answer.choices[0]
        row = [name, row["model_info"]["id"], answer.model, said.finish_reason, answer.usage.completion_tokens]
        print("ROW", json.dumps(row))

asyncio.run(main(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def fleet() -> Iterator[FleetHost]:
    with Container.boot("sid", store=True) as machine:
        host = FleetHost(machine)
        host.applied(FLEET)
        yield host


def test_litellm_loads_what_is_exported_and_reaches_each_model_by_it(
    fleet: FleetHost, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("litellm")
    (folder / "config.yaml").write_text(fleet.machine.ollamactl("export", "litellm").stdout)
    (folder / "read.py").write_text(READ)
    command = [
        "nsenter", f"--target={fleet.machine.leader}", "--net", LITELLM.ensure() / "bin/python3", folder / "read.py",
        folder / "config.yaml",
    ]  # fmt: skip

    home = {**LOCAL, "HOME": str(folder)}
    done = subprocess.run(list(map(str, command)), env=home, capture_output=True, text=True, timeout=300)

    rows = [json.loads(line.removeprefix("ROW ")) for line in done.stdout.splitlines() if line.startswith("ROW ")]
    assert [row[:4] for row in rows] == [
        ["llama3", "one/llama3:latest", "ollama_chat/llama3:latest", "length"],
        ["gpt-4o", "one/gpt-4o:latest", "ollama_chat/gpt-4o:latest", "length"],
        ["mistral", "two-b/mistral:latest", "ollama_chat/mistral:latest", "length"],
        ["acme/coder:7b", "two-b/acme/coder:7b", "ollama_chat/acme/coder:7b", "length"],
    ], done.stdout + done.stderr
    assert {row[4] for row in rows} == {3}


def test_open_webui_reads_the_addresses_of_all_servers(fleet: FleetHost, monkeypatch: pytest.MonkeyPatch) -> None:
    variables = dict(
        line.split("=", 1)
        for line in fleet.machine.ollamactl("export", "openwebui").stdout.splitlines()
        if not line.startswith("#")
    )
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    read = reads((WEBUI.ensure() / "config.py").read_text(), set(variables))

    assert read == {
        "ENABLE_OLLAMA_API": True, "OLLAMA_BASE_URLS": ["http://127.0.0.1:11434", "http://[::1]:11435"],
    }  # fmt: skip


def reads(source: str, names: set[str]) -> dict[str, Any]:
    """What Open WebUI's own assignments to these names come to in this environment."""
    statements: list[ast.stmt] = [
        each
        for each in ast.parse(source).body
        if isinstance(each, ast.Assign) and {ast.unparse(target) for target in each.targets} <= names
    ]
    values: dict[str, Any] = {"os": os, "OLLAMA_BASE_URL": ""}
    exec(compile(ast.Module(statements, []), "config.py", "exec"), values)
    return {name: values[name] for name in names}
