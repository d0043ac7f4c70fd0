"""The program that a unit runs is the one that runs now."""

import os
from pathlib import Path

import pytest

from ollamactl.errors import Severity
from ollamactl.host import program

HERE = Path(__file__).parents[2]


def command(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


def package(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(program, "_PACKAGE", folder)


def test_a_checkout_runs_by_its_script() -> None:
    assert program.find() == str(HERE / "ollamactl.sh")


@pytest.mark.parametrize("folder", ["lib/python3/dist-packages", "lib/python3.11/site-packages"])
def test_an_installation_runs_by_its_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    package(monkeypatch, tmp_path / folder / "ollamactl")
    assert program.find() == "/usr/bin/ollamactl"
    there = command(tmp_path / "bin/ollamactl")
    assert program.find() == there
    assert program.problem(there) is None or "can change" in str(program.problem(there))


def test_an_image_runs_what_it_has(tmp_path: Path) -> None:
    assert program.find(tmp_path) == "/usr/bin/ollamactl"
    missing = program.problem("/usr/bin/ollamactl", root=tmp_path)
    assert missing
    assert (missing.severity, missing.path) == (Severity.WARNING, "health")
    command(tmp_path / "usr/local/bin/ollamactl")
    assert program.find(tmp_path) == "/usr/local/bin/ollamactl"
    assert program.problem("/usr/local/bin/ollamactl", root=tmp_path) is None


def test_a_program_that_there_is_not_is_an_error() -> None:
    missing = program.problem("/nonexistent/ollamactl")
    assert missing
    assert missing.severity is Severity.ERROR
    assert "there is no ollamactl at /nonexistent/ollamactl" in missing.message


@pytest.mark.skipif(os.geteuid() != 0, reason="all that others make is somebody's who can change it")
def test_who_can_change_the_program_of_root_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "checkout").mkdir(mode=0o777)
    (tmp_path / "checkout").chmod(0o777)
    script = command(tmp_path / "checkout/ollamactl.sh")
    package(monkeypatch, tmp_path / "checkout/ollamactl")
    found = program.problem(script)
    assert found
    assert found.severity is Severity.WARNING
    assert f"everybody can change {tmp_path}/checkout, and so decides what ollamactl-heal.service does" in found.message
    assert program.problem(script, user=True) is None, "who runs his own program decides anyway"
