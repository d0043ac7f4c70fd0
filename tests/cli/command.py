"""The command as a person types it: another process, with its own standard streams."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import jsondoc

CHECKOUT = Path(__file__).parents[2]
NOBODY = 65534

FLEET = """\
version: 1
defaults: {gpus: none}
instances:
  llama3: {port: 11434, models: [llama3]}
  embed: {port: 11435, models: [all-minilm], description: for searching}
"""
BROKEN = """\
version: 1
instances:
  llama3: {port: 99999, models: [llama3]}
  embed: {prot: 11435, models: [all-minilm]}
"""
INSTALLED = (
    "etc/systemd/system/ollama-fleet.target",
    "etc/systemd/system/ollama@.service",
    "etc/systemd/system/ollama@embed.service.d/10-ollamactl.conf",
    "etc/systemd/system/ollama@llama3.service.d/10-ollamactl.conf",
)


@dataclass(frozen=True)
class Done:
    """What the command came to."""

    code: int
    stdout: str
    stderr: str

    @property
    def envelope(self) -> dict[str, Any]:
        """Standard output as the one JSON document that it must be."""
        found = json.loads(self.stdout)
        assert isinstance(found, dict)
        if found["data"] and (words := jsondoc.wrong(found["data"], f"`{found['command']}`")):
            raise AssertionError(f"docs/json.md: {'; '.join(words)}")
        return found

    @property
    def messages(self) -> list[str]:
        return [problem["message"] for problem in self.envelope["problems"]]


def environment(**more: str) -> dict[str, str]:
    """Nothing of the caller's but what a shell needs; no colours, English, 80 columns."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(CHECKOUT),
        "LC_ALL": "C.UTF-8",
        "COLUMNS": "80",
        "HOME": "/nonexistent",
        **more,
    }


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "ollamactl", *arguments]


def ollamactl(
    *arguments: str,
    at: Path | None = None,
    stdin: str | bytes | None = None,
    env: Mapping[str, str] | None = None,
    as_nobody: bool = False,
) -> Done:
    """Runs it in a folder, with the text on standard input if any."""
    done = subprocess.run(
        command(*arguments),
        cwd=at or "/",
        env=env or environment(),
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        timeout=60,
        user=NOBODY if as_nobody else None,
        group=NOBODY if as_nobody else None,
        extra_groups=[] if as_nobody else None,
    )
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())
