"""Links that start a unit of somebody else's: exactly those, and back to what they were."""

from pathlib import Path

import pytest

from ollamactl.errors import HostError
from ollamactl.host import unitlinks

UNIT = "ollama.service"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("multi-user.target.wants", "x.target.requires", "other.wants"):
        (tmp_path / name).mkdir()
    (tmp_path / "multi-user.target.wants" / UNIT).symlink_to("/etc/systemd/system/ollama.service")
    (tmp_path / "x.target.requires" / UNIT).symlink_to("../ollama.service")
    (tmp_path / "other.wants" / UNIT).write_text("no link")
    (tmp_path / "multi-user.target.wants" / "ssh.service").symlink_to("/lib/systemd/system/ssh.service")
    (tmp_path / "alias.service").symlink_to("ollama.service")
    return tmp_path


def below(folder: Path) -> dict[str, str]:
    return {str(path): str(path.readlink()) for path in folder.rglob("*") if path.is_symlink()}


def test_what_starts_a_unit_goes_and_comes_back_as_it_was(folder: Path) -> None:
    before, found = below(folder), unitlinks.find(str(folder), UNIT)

    for _ in range(2):
        unitlinks.remove(found)
    gone = before.keys() - below(folder).keys()
    (folder / "x.target.requires").rmdir()
    for _ in range(2):
        unitlinks.restore(found)

    assert gone == found.keys() == {f"{folder}/multi-user.target.wants/{UNIT}", f"{folder}/x.target.requires/{UNIT}"}
    assert below(folder) == before
    assert unitlinks.find(f"{folder}/nowhere", UNIT) == {}


def test_what_somebody_changed_since_stays(folder: Path) -> None:
    found = unitlinks.find(str(folder), UNIT)
    link = folder / "multi-user.target.wants" / UNIT
    link.unlink()
    link.symlink_to("/dev/null")

    unitlinks.remove(found)
    unitlinks.restore(found)

    assert link.readlink() == Path("/dev/null")


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "/etc/systemd/system/x.service", "/etc/systemd/system/a.wants/..", "/x.wants/y"]
)
def test_no_link_is_made_elsewhere(path: str) -> None:
    unitlinks.check("/etc/systemd/system", {"/etc/systemd/system/a.target.wants/x.service": ""})
    with pytest.raises(HostError, match="no place"):
        unitlinks.check("/etc/systemd/system", {path: ""})
