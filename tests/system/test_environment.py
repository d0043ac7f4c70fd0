"""Variables: what the spec says is what the server's process has, byte for byte, and secrets are nobody else's."""

from __future__ import annotations

import pytest

from tests.system.fleethost import FleetHost
from tests.system.inside import fleet_of
from tests.system.variables import LONGEST, NASTY, chance, flow, named, quoted

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("environment")]

SECRET = 'hunter2-Gr%$ "x\\'

VALUES = named(NASTY + chance(20260801, 300))
NAMES = {"_": "1", "a": "2", "A1_b": "3", "LD_PRELOADED": "4", "x" * 200: "5", "no_proxy": "*", "LC_ALL": "C"}
LONG = {"LONG": "é" * ((LONGEST - 4) // 2)}
LONG_SECRET = {"KEY": "\\" * (LONGEST - 3)}

fleet = fleet_of(
    f"""
    version: 1
    ollama: {{binary: /usr/local/bin/ollama-standin}}
    defaults: {{gpus: none}}
    instances:
      open: {{port: 11501, models: llama3, environment: {flow({**VALUES, **NAMES})}}}
      secret: {{port: 11502, models: llama3, secrets: {flow({**VALUES, **NAMES})}}}
      long: {{port: 11503, models: llama3, environment: {flow(LONG)}, secrets: {flow(LONG_SECRET)}}}
      quiet: {{port: 11504, models: llama3, secrets: {flow({"TOKEN": SECRET})}}}
    """
)


@pytest.mark.parametrize(
    ("port", "variables"), [(11501, {**VALUES, **NAMES}), (11502, {**VALUES, **NAMES}), (11503, LONG)]
)
def test_every_value_reaches_the_process_unchanged(fleet: FleetHost, port: int, variables: dict[str, str]) -> None:
    given = fleet.environ(port)

    assert {name: given.get(name) for name, value in variables.items() if given.get(name) != value} == {}


def test_what_env_prints_for_a_shell_is_the_same_again(fleet: FleetHost) -> None:
    command = 'eval "$(ollamactl env open --server)" && exec /usr/bin/env --null'
    shell = dict(entry.split("=", 1) for entry in fleet.machine.run(command).stdout.split("\0")[:-1])

    assert {name: shell.get(name) for name, value in VALUES.items() if shell.get(name) != value} == {}


def test_a_second_apply_of_them_has_nothing_to_do(fleet: FleetHost) -> None:
    again = fleet.apply()

    assert (again.code, again.changed, again.steps) == (0, False, [])


def test_nobody_but_root_and_the_server_sees_a_secret(fleet: FleetHost) -> None:
    path = fleet.spec(
        f"""
        version: 1
        ollama: {{binary: /usr/local/bin/ollama-standin}}
        instances:
          quiet: {{port: 11504, models: llama3, gpus: none, secrets: {flow({"TOKEN": "another-" + SECRET})}}}
        """,
        "/root/other.yaml",
    )
    said = [
        fleet.machine.run(command, check=False).stdout
        for command in (
            "systemctl show ollama@quiet.service",
            "systemctl cat ollama@quiet.service",
            "journalctl --boot --no-pager",
            f"ollamactl plan --diff {path}",
            f"ollamactl plan --diff {path} --output json",
            f"ollamactl render {path} --output json",
            f"ollamactl render --diff {path}",
            "ollamactl status --verbose",
            "ollamactl status --output json",
            "ollamactl verify --output json",
            "ollamactl env quiet --server",
            "ollamactl destroy --dry-run --output json",
            "ollamactl history show 1 --diff",
            "ollamactl history show 1 --diff --output json",
            f"ollamactl apply --dry-run --diff --verbose {path}",
            "cat /etc/systemd/system/ollama@*.d/* /etc/systemd/system/ollama@.service",
        )
    ]

    assert all(said)
    assert [text for text in said if "hunter2" in text] == []
    assert "secrets changed" in said[3]
    digest = fleet.json("status", "quiet").envelope["data"]["instances"][0]["secrets"]
    assert f"-(secrets, digest {digest})\n+(secrets, digest " in said[3]
    assert f"quiet: its secrets have the digest {digest}\n" in said[7]
    assert f"quiet {digest}" in said[12]
    salt = fleet.environ(11504)["OLLAMACTL_SECRETS"].partition("-")[0]
    assert [text for text in said if salt in text] == []
    file = "/var/lib/ollamactl/secrets/quiet.env"
    assert "hunter2" in fleet.machine.read(file)
    assert fleet.machine.run(["stat", "--format=%a %U", file]).stdout == "600 root\n"
    assert fleet.environ(11504)["TOKEN"] == SECRET
    environ = f"/proc/{fleet.pid('quiet')}/environ"
    assert fleet.machine.run(["cat", environ, file], user="nobody", check=False).stdout == ""


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ('"a\\nb"', "contains a line break"),
        ('"a\\u2028b"', "contains a line break"),
        ('"a\\0b"', "contains the character U+0000"),
        ('"a\\x1b[31m"', "contains the character U+001B"),
        (quoted("x" * LONGEST), "is longer than 100 KiB"),
    ],
    ids=["line break", "line separator", "NUL", "escape", "too long"],
)
@pytest.mark.parametrize("group", ["environment", "secrets"])
def test_a_value_that_no_unit_can_hold_is_refused(fleet: FleetHost, group: str, value: str, message: str) -> None:
    spec = f"version: 1\ninstances: {{open: {{port: 11501, models: llama3, {group}: {{SECRET: {value}}}}}}}\n"
    before = fleet.files()

    refused = fleet.json("apply", fleet.spec(spec, "/root/other.yaml"))

    assert (refused.code, refused.errors) == (78, [f"instances.open.{group}.SECRET: {message}"])
    assert fleet.files() == before


def test_numbers_and_switches_arrive_as_they_are_written(host: FleetHost) -> None:
    host.applied(
        """
        version: 1
        instances:
          one:
            port: 11501
            models: llama3
            gpus: none
            binary: /usr/local/bin/ollama-standin
            environment: {OCT: 0o17, LEAD: 007, UNDER: 1_000, HEX: 0x1F, FLOAT: 1.50, BOOL: Yes, EXP: 1e3, NEG: -0}
        """
    )

    given = host.environ(11501)

    assert {name: given[name] for name in ("OCT", "LEAD", "UNDER", "HEX", "FLOAT", "BOOL", "EXP", "NEG")} == {
        "OCT": "0o17", "LEAD": "007", "UNDER": "1_000", "HEX": "0x1F", "FLOAT": "1.50", "BOOL": "Yes", "EXP": "1e3",
        "NEG": "-0",
    }  # fmt: skip
