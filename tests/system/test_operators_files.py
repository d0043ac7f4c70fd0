"""Files that the operator keeps beside the fleet: a script for the program, and files of variables."""

from __future__ import annotations

from tests.system.fleethost import SPEC, STANDIN, FleetHost, edited, unit

WRAPPER = "/usr/local/bin/wrapped-ollama"
FLEET = f"""
    version: 1
    ollama: {{binary: {STANDIN}}}
    defaults: {{gpus: none}}
    instances:
      one: {{port: 11434, models: [llama3], environment_files: ["/etc/ollama.d/*.env"]}}
"""


def wrapped(host: FleetHost, program: str = STANDIN) -> None:
    host.machine.write(WRAPPER, f'#!/bin/sh\nexec {program} "$@"\n', mode=0o755)


def test_a_script_as_the_program_restarts_nobody_until_it_or_what_it_runs_is_replaced(host: FleetHost) -> None:
    wrapped(host)
    host.applied(
        edited(FLEET, f"binary: {STANDIN}", f"binary: {WRAPPER}").replace(
            ', environment_files: ["/etc/ollama.d/*.env"]', ""
        )
    )
    assert host.applied().steps == []
    why = f"restart {unit('one')}: {WRAPPER} was replaced since it started"

    host.machine.run(["install", STANDIN, f"{STANDIN}-2"])
    host.machine.run(["mv", f"{STANDIN}-2", STANDIN])
    behind = host.applied().steps
    wrapped(host)

    assert (behind, host.applied().steps, host.applied().steps) == ([why], [why], [])


def test_files_of_variables_are_taken_as_systemd_takes_them(host: FleetHost) -> None:
    host.machine.run("mkdir /etc/ollama.d && echo A=1 >/etc/ollama.d/a.env && echo A=2 >/etc/ollama.d/old")
    host.machine.run(["touch", "--date=2020-01-01", "/etc/ollama.d/old"])
    host.applied(FLEET)
    why = f"restart {unit('one')}: /etc/ollama.d/{{}}.env was changed since it started"

    host.machine.run("touch --date=tomorrow /etc/ollama.d/a.env")
    touched = [host.applied().steps, host.applied().steps]
    host.machine.run("mv /etc/ollama.d/old /etc/ollama.d/a.env")
    older = host.applied().steps
    host.machine.write("/etc/ollama.d/b.env", "B=3\n")
    another = host.applied().steps

    assert (touched, older, another) == ([[why.format("a")], []], [why.format("a")], [why.format("b")])
    assert {"A": "2", "B": "3"}.items() <= host.environ(11434).items()
    assert host.applied().steps == []


def test_a_missing_file_of_variables_is_told_before_anything_is_changed(host: FleetHost) -> None:
    ran = host.apply(FLEET)

    assert (ran.code, ran.changed) == (1, False)
    assert ran.errors == [
        "instances.one.environment_files: /etc/ollama.d/*.env: no file matches it, so systemd cannot start one"
    ]
    host.machine.run("mkdir --mode=700 /etc/ollama.d && echo A=1 >/etc/ollama.d/a.env")
    assert host.applied().code == 0
    assert host.json("plan", SPEC, user="nobody").errors == []
