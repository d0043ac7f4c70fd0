"""What doctor takes values for is what the real systemd and the real Ollama take them for."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ollamactl.units import envconfig
from tests.lab.container import Container
from tests.lab.roots import SUITES

CASES = json.loads((Path(__file__).parents[1] / "cases/environment-files.json").read_text())
HOSTS = ["", "0.0.0.0:11500", ":11500", "127.0.0.1:", "127.0.0.1:99999", "127.0.0.1:x", "[::1]:11500", "[::1]", "::1",
         '"127.0.0.1:11500"', "http://127.0.0.1", "https://127.0.0.1/v1", "ftp://127.0.0.1"]  # fmt: skip
NOBODY_S = ["::1:8080", "11435"]
"""Addresses that the machine does not have: the error says what was tried."""
DURATIONS = ["5m", "1h30m", "30min", "1d", "90", "0", "1.5", ".5s", "-1", "5 m", "forever", "'10m'", "1h30", "+1s"]
SWITCHES = ["1", "0", "off", "no", "False", "FaLse", "'0'", "t", "n", "-1"]
NUMBERS = ["4", "-1", "8k", "'8'", "+2", "0"]


@pytest.mark.parametrize("suite", SUITES)
def test_an_environment_file_is_read_as_systemd_reads_it(suite: str) -> None:
    with Container.boot(suite) as machine:
        for number, (text, expected) in enumerate(CASES):
            machine.write(f"/srv/{number}", text)
            run = f"systemd-run --quiet --pipe --wait --property=EnvironmentFile=/srv/{number} /usr/bin/env -0"
            given = dict(word.split("=", 1) for word in machine.run(run).stdout.split("\0") if "=" in word)

            assert {name: value for name, value in given.items() if len(name) == 1 and name != "_"} == expected, text


@pytest.mark.parametrize("variable", ["OLLAMA_HOST", "OLLAMA_KEEP_ALIVE", "OLLAMA_VULKAN", "OLLAMA_NUM_PARALLEL"])
def test_a_variable_is_read_as_ollama_reads_it(machine: Container, variable: str) -> None:
    values = {
        "OLLAMA_HOST": [*HOSTS, *NOBODY_S],
        "OLLAMA_KEEP_ALIVE": DURATIONS,
        "OLLAMA_VULKAN": SWITCHES,
        "OLLAMA_NUM_PARALLEL": NUMBERS,
    }[variable]
    for value in values:
        said = serve(machine, variable, value)
        if variable == "OLLAMA_HOST":
            host, port = envconfig.listen(value).host, envconfig.listen(value).port
            bound = f"[::]:{port}" if host == "0.0.0.0" else f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            assert f'msg="Listening on {bound} ' in said or f"listen tcp {bound}: " in said or unknown(said, host), said
            continue
        read = re.findall(rf"\b{variable}:(\S*)", said)[0]
        if variable == "OLLAMA_KEEP_ALIVE":
            seconds = envconfig.duration(value)
            assert envconfig.duration(read) == (300.0 if seconds is None else seconds) or (seconds or 0) < 0, value
        elif variable == "OLLAMA_VULKAN":
            assert read == str(envconfig.truth(value)).lower(), value
        else:
            assert int(read) == (1 if envconfig.number(value) is None else envconfig.number(value)), value


def serve(machine: Container, variable: str, value: str) -> str:
    """What the server says until it answers or ends."""
    script = """
        : >/srv/log; ollama serve >>/srv/log 2>&1 & server=$!
        while kill -0 $server 2>/dev/null && ! grep -q 'Listening on' /srv/log; do sleep 0.02; done
        kill $server 2>/dev/null; wait $server; cat /srv/log
    """
    return machine.run(script, env={variable: value}).stdout


def unknown(said: str, host: str) -> bool:
    """Whether it tried to look up a name."""
    return f"lookup {host}" in said
