"""A fleet of stand-ins whose changes are recorded: what tests of transactions and of the history share."""

from __future__ import annotations

from typing import Any

from tests.system.fleethost import STATE, UNITS, FleetHost, edited

FLEET = """\
version: 1
ollama: {binary: /usr/local/bin/ollama-standin}
defaults: {gpus: none, restart: {delay: 100ms, tries: 2}}
instances:
  llama3: {port: 11434, context_length: 4096}
  mistral: {port: 11435, context_length: 4096, secrets: {TOKEN: hush-hush}}
"""
BROKEN = edited(FLEET, "llama3: {port: 11434,", "llama3: {port: 11434, environment: {STANDIN_EXIT: '3'},")
NAMES = ("llama3", "mistral")


def listing(host: FleetHost) -> dict[str, str]:
    """What is installed, without the history and without times."""
    rows = host.files(UNITS, f"{STATE}/views", f"{STATE}/secrets")
    return {path: " ".join((words.split()[0], words.split()[-1])) for path, words in rows.items()}


def generations(host: FleetHost) -> list[dict[str, Any]]:
    return list(host.json("history").envelope["data"]["generations"])


def shown(host: FleetHost, number: int) -> dict[str, Any]:
    return dict(host.json("history", "show", str(number)).envelope["data"]["generation"])
