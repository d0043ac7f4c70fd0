"""What heal knows from one run to the next survives writing, and no damage stops it."""

from pathlib import Path

import pytest

from ollamactl.facts import Layout
from ollamactl.healing import memory
from ollamactl.healing.judge import Finding, Memory


def test_it_comes_back(tmp_path: Path) -> None:
    place = memory.path(Layout(run_dir=f"{tmp_path}/run/ollamactl"))
    known = {
        "a": Memory(identity="7@1", answered=True, finding=Finding.RUNNER, culprits=("8@2",), failures=2, restarts=1),
        "b": Memory(),
    }
    memory.write(place, known)
    assert memory.read(place) == known
    assert Path(place).stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 1}', '{"a": {}}', "null", '{"a": {"finding": "x"}}'])
def test_damage_begins_the_count_anew(tmp_path: Path, text: str) -> None:
    (tmp_path / "heal.json").write_text(text)
    assert memory.read(f"{tmp_path}/heal.json") == {}


def test_without_a_file_there_is_nothing(tmp_path: Path) -> None:
    assert memory.read(f"{tmp_path}/heal.json") == {}
