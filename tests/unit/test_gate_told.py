"""What the gate reads of its unit file, and what it loads for that: a client waits meanwhile."""

import subprocess
import sys
from pathlib import Path

import pytest

from ollamactl.errors import HostError
from ollamactl.gate import config, told
from ollamactl.gate.config import Behind, GateConfig

SERVER = Behind(name="x", unit="ollama@x.service", port=11434)


def test_the_servers_are_in_the_unit_file(tmp_path: Path) -> None:
    file = tmp_path / "unit"
    file.write_text(f"[Service]\nExecStart=/bin/true\n[X-Ollamactl]\n{config.line(GateConfig(servers=(SERVER,)))}\n")

    assert told.servers(str(file)) == {"ollama@x.service": SERVER}


@pytest.mark.parametrize(("text", "reason"), [(None, "No such file"), ("[Service]\n", "no line begins with Gate=")])
def test_a_file_without_them_is_named(tmp_path: Path, text: str | None, reason: str) -> None:
    file = tmp_path / "unit"
    if text is not None:
        file.write_text(text)

    with pytest.raises(HostError, match=f"{file}: {reason}"):
        told.servers(str(file))


@pytest.mark.parametrize("module", ["service", "broker"])
def test_no_more_is_loaded_than_is_needed(module: str) -> None:
    code = f"import sys, ollamactl.gate.{module}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    assert "ollamactl.gate.config" in loaded
    assert not {"click", "httpx", "jinja2", "pystemd", "yaml", "rich", "ctypes", "ollamactl.facts"} & {*loaded}
