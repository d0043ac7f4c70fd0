"""What destroy leaves: nothing of ours that is empty, and everything that somebody else put there."""

from pathlib import Path

import pytest

from ollamactl.facts import Layout
from ollamactl.host.unitdir import UnitDir

LAYOUT = Layout(unit_dir="/home/ada/units", state_dir="/home/ada/state", instance_state="/home/ada/servers", user=True)


@pytest.mark.parametrize("layout", [Layout(), LAYOUT], ids=["system", "user"])
def test_homes_and_empty_folders_go(tmp_path: Path, layout: Layout) -> None:
    folders = [
        f"{layout.unit_dir}/ollama@a.service.d", f"{layout.unit_dir}/ollama-fleet.target.wants", layout.views,
        layout.secrets, f"{layout.instance_state}/a/.ollama",
    ]  # fmt: skip
    for folder in folders:
        (tmp_path / folder[1:]).mkdir(parents=True)
    (tmp_path / folders[-1][1:] / "id_ed25519").touch()
    UnitDir(tmp_path, layout).clear()
    left = {f"/{path.relative_to(tmp_path)}" for path in tmp_path.rglob("*")}
    parents = {str(folder) for path in (f"{layout.unit_dir}/x", layout.state_dir) for folder in Path(path).parents}
    assert left == parents - {"/"}


def test_what_is_not_empty_stays(tmp_path: Path) -> None:
    kept = ["etc/systemd/system/ollama@a.service.d/override.conf", "var/lib/ollamactl/notes"]
    for path in kept:
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).touch()
    UnitDir(tmp_path).clear()
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()) == kept
