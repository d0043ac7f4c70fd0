"""systemd's own judgement of what is rendered; systemd-analyze needs no running manager for it."""

import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from ollamactl.facts import Facts
from ollamactl.model import (
    BROKER_SERVICE,
    GATE_SERVICE,
    GATE_UNITS,
    HEAL_SERVICE,
    TARGET,
    Fleet,
    Hardening,
    gate_socket,
)
from ollamactl.units.render import render
from tests.unit.render_cases import CASES


@pytest.fixture(scope="module")
def analyze() -> str:
    path = shutil.which("systemd-analyze")
    assert path, "systemd-analyze is missing: apt-get install systemd"
    if os.geteuid() != 0 and not Path("/run/systemd").is_dir():
        pytest.skip("systemd-analyze verify wants to make /run/systemd where it never ran, as where packages are built")
    return path


@pytest.fixture(scope="module")
def version(analyze: str) -> int:
    return int(subprocess.check_output([analyze, "--version"], text=True).split()[1])


def install(folder: Path, fleet: Fleet, facts: Facts, version: int) -> list[str]:
    """Write the unit files below a folder, with a program that exists, and name the units."""
    instances = tuple(replace(each, binary="/usr/bin/true") for each in fleet.instances)
    fleet = replace(fleet, binary="/usr/bin/true", instances=instances)
    for file in render(fleet, replace(facts, systemd=version, program="/usr/bin/true")):
        if file.is_unit:
            path = folder / file.path.removeprefix(f"{facts.layout.unit_dir}/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.data)
    doors = [unit for each in fleet.instances if each.gated for unit in (gate_socket(each.name), *GATE_UNITS)]
    units = [*(instance.unit for instance in fleet.instances), TARGET, *dict.fromkeys(doors)]
    return units + [HEAL_SERVICE] * bool(fleet.health)


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    own = {"SYSTEMD_UNIT_PATH": f"{folder}:", "XDG_RUNTIME_DIR": str(folder), "LC_ALL": "C.UTF-8"}
    environment = {**os.environ, **own}
    return subprocess.run(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


@pytest.mark.parametrize("case", CASES)
def test_verify_has_nothing_to_say(case: str, analyze: str, version: int, tmp_path: Path) -> None:
    fleet, facts = CASES[case]
    instances = tuple(replace(each, requires=(), after=()) for each in fleet.instances)
    units = install(tmp_path, replace(fleet, instances=instances), facts, version)
    manager = ["--user"] if facts.layout.user else []
    done = run(tmp_path, analyze, "verify", *manager, *units)
    assert (done.stdout, done.returncode) == ("", 0)


@pytest.mark.parametrize(("case", "most"), [("defaults", 1.2), ("pins", 1.2), ("network", 1.5)])
def test_strict_is_little_exposed(case: str, most: float, analyze: str, version: int, tmp_path: Path) -> None:
    fleet, facts = CASES[case]
    install(tmp_path, fleet, facts, version)
    for instance in fleet.instances:
        if instance.hardening is Hardening.STRICT:
            assert exposure(instance.unit, analyze, tmp_path) <= most, instance.name


def test_each_level_is_more_exposed_than_the_one_before(analyze: str, version: int, tmp_path: Path) -> None:
    fleet, facts = CASES["hardening"]
    install(tmp_path, fleet, facts, version)
    scores = [exposure(instance.unit, analyze, tmp_path) for instance in fleet.instances]
    assert scores == sorted(set(scores))


def test_the_service_that_heals_is_little_exposed(analyze: str, version: int, tmp_path: Path) -> None:
    install(tmp_path, *CASES["health"], version)
    assert exposure(HEAL_SERVICE, analyze, tmp_path) <= 1.7


def test_who_reads_http_is_hardly_exposed_and_who_helps_it_little(analyze: str, version: int, tmp_path: Path) -> None:
    install(tmp_path, *CASES["gate"], version)
    assert exposure(GATE_SERVICE, analyze, tmp_path) <= 0.5
    assert exposure(BROKER_SERVICE, analyze, tmp_path) <= 2.0


def exposure(unit: str, analyze: str, folder: Path) -> float:
    done = run(folder, analyze, "security", "--offline=true", "--no-pager", unit)
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found, done.stdout
    return float(found[1])
