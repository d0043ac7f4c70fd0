"""Environment files, and what becomes of a server's variables."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollamactl.doctor.environ import Environment, EnvironmentFile, Given, assemble
from ollamactl.units import envfile

CASES = json.loads((Path(__file__).parents[1] / "cases/environment-files.json").read_text())
"""What systemd itself makes of them: tests/system/test_doctor_reads.py."""
UNIT, DROP_IN = "/etc/systemd/system/ollama.service", "/etc/systemd/system/ollama.service.d/override.conf"
FILE = EnvironmentFile(path="/etc/default/ollama", optional=False, text="A=file\n")


@pytest.mark.parametrize(("text", "found"), CASES)
def test_a_file_is_read_as_systemd_reads_it(text: str, found: dict[str, str]) -> None:
    assert envfile.parse(text) == found


@given(st.text(alphabet="A=\"'\\ \n#;1\r"))
def test_any_text_is_read(text: str) -> None:
    assert all(name.isidentifier() for name in envfile.parse(text))


def test_lines_for_a_shell_are_named() -> None:
    assert envfile.exported("export A=1\n  export\tB=2\nexported=3\n#export C=4\n") == ("A", "B")


def test_later_ones_win_and_each_value_has_its_place() -> None:
    texts = {UNIT: "[Service]\nEnvironment=A=unit B=unit\n", DROP_IN: '[Service]\nEnvironment="B=drop in"\n'}

    found = assemble(("A=manager", "C=manager"), ("A=unit", "B=drop in"), texts, (FILE,), ())

    assert found == Environment(
        given={"A": Given("file", FILE.path), "B": Given("drop in", DROP_IN), "C": Given("manager")}
    )
    assert (found.told("B"), found.told("D")) == (f"B=drop in in {DROP_IN}", "D is not set")


def test_what_is_unset_is_gone() -> None:
    assert assemble((), ("A=1", "B=2", "C=3"), {}, (), ("A", "B=2", "C=4")).given == {"C": Given("3")}


@pytest.mark.parametrize(("missing", "complete"), [(True, True), (False, False)])
def test_a_file_that_may_not_be_read_may_set_anything(missing: bool, complete: bool) -> None:
    found = assemble((), ("A=1",), {}, (replace(FILE, text=None, missing=missing),), ())

    assert (found.complete, found.get("A"), found.lacks("A"), found.lacks("B")) == (complete, "1", False, complete)


def test_values_are_told_without_what_changes_a_terminal() -> None:
    assert Environment(given={"A": Given("\x1b[1mx")}).told("A") == "A=\N{REPLACEMENT CHARACTER}[1mx"
