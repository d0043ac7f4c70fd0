"""Servers and runners that hang on a machine, and what heal says of them: what its tests share."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from tests.system.fleethost import FleetHost

SERVICE = "ollamactl-heal.service"
TIMER = "ollamactl-heal.timer"
STATE_FILE = "/run/ollamactl/heal.json"
FIGURES = "/var/lib/ollamactl/metrics/ollamactl.prom"


def heal(host: FleetHost, *words: str) -> dict[str, dict[str, Any]]:
    """A run by hand: what it says of each server; its exit code must fit."""
    ran = host.json("heal", *words)
    rows = {row["instance"]: row for row in ran.envelope["data"]["servers"]}
    assert ran.code == (3 if any(row["finding"] for row in rows.values()) else 0), ran.envelope
    return rows


def serve(host: FleetHost) -> None:
    """A run as the timer starts it."""
    host.machine.run(["systemctl", "start", SERVICE])


def stop(host: FleetHost, pid: int) -> None:
    """A process stands still from now on, wherever it is."""
    host.machine.run(["kill", "-STOP", str(pid)])


def load(host: FleetHost, port: int, model: str, **how: Any) -> None:
    """The model is in memory; a server that was restarted just now may not answer yet."""
    version = f"http://127.0.0.1:{port}/api/version"
    host.wait_for(lambda: host.machine.run(["curl", "-sf", "--max-time", "5", version], check=False).returncode == 0)
    ask = {"model": model, "stream": False, **how}
    host.machine.run(["curl", "-sS", "--fail", "-d", json.dumps(ask), f"http://127.0.0.1:{port}/api/generate"])


def generate(host: FleetHost, port: int, model: str) -> subprocess.Popen[str]:
    """A request that is under way; it prints its HTTP status."""
    data = json.dumps({"model": model, "prompt": "Why?", "stream": False})
    url = f"http://127.0.0.1:{port}/api/generate"
    return host.machine.popen(["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--data", data, url])


def runner(host: FleetHost, name: str) -> int:
    """The one runner of a server."""
    (pid,) = host.machine.run(["pgrep", "-P", str(host.pid(name))]).stdout.split()
    return int(pid)


def runner_port(host: FleetHost, pid: int) -> int:
    """Where a runner listens, as its command line says."""
    words = host.machine.read(f"/proc/{pid}/cmdline").split("\0")
    return int(words[words.index("--port") + 1])


def told(host: FleetHost, **fields: str) -> list[dict[str, Any]]:
    """The entries of the journal that have the fields."""
    host.machine.run(["journalctl", "--sync"])
    matches = [f"{name}={value}" for name, value in fields.items()]
    lines = host.machine.run(["journalctl", "--boot", "--output=json", *matches]).stdout.splitlines()
    return [json.loads(line) for line in lines]


def figure(host: FleetHost, name: str, instance: str) -> int:
    """A figure of a server, as Prometheus reads it."""
    (line,) = (
        line
        for line in host.machine.read(FIGURES).splitlines()
        if line.startswith(f'ollamactl_{name}{{instance="{instance}",')
    )
    return int(line.rpartition(" ")[2])
