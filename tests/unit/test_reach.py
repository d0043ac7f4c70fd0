import grp
import os
import stat
from pathlib import Path

import pytest

from ollamactl.host import reach


def test_closed_parents_from_the_outside_in(tmp_path: Path) -> None:
    inner = tmp_path / "a/b/c"
    inner.mkdir(parents=True)
    (tmp_path / "a").chmod(0o750)
    (inner.parent).chmod(0o700)
    inner.chmod(0o700)
    found = [path for path in reach.closed_parents(str(inner)) if path.startswith(f"{tmp_path}/")]
    assert found == [str(tmp_path / "a"), str(inner.parent)]


def test_parents_that_a_unit_does_not_see_do_not_matter() -> None:
    assert list(reach.closed_parents("/root/models")) == []


def test_what_is_not_there_is_closed_to_nobody(tmp_path: Path) -> None:
    assert reach.others_may(str(tmp_path / "no"), stat.S_IROTH)
    assert not reach.others_may(str(tmp_path), stat.S_IWOTH)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_who_can_put_another_file_in_its_place(tmp_path: Path) -> None:
    """By the file, or by any folder on the way, links followed; a sticky folder protects what others have in it."""

    def writers(path: Path) -> list[tuple[str, str]]:
        return [(place.removeprefix(str(tmp_path)), who) for place, who in reach.writers(str(path))]

    (tmp_path / "real/bin").mkdir(parents=True)
    (tmp_path / "link").symlink_to("x/../real")
    (tmp_path / "x").mkdir()
    (tmp_path / "sticky").mkdir()
    (tmp_path / "sticky").chmod(0o1777)
    file = tmp_path / "link/bin/ollama"
    file.touch(0o755)
    (tmp_path / "sticky/ollama").symlink_to(file)
    assert writers(file) == writers(tmp_path / "sticky/ollama") == []

    file.chmod(0o757)
    assert writers(file) == [("/real/bin/ollama", "everybody")]
    file.chmod(0o775)
    os.chown(file, 0, 4711)
    os.chown(tmp_path / "x", 1, -1)
    os.chown(tmp_path / "sticky/ollama", 4712, -1, follow_symlinks=False)
    assert writers(file) == [("/x", "daemon"), ("/real/bin/ollama", "the group 4711")]
    assert writers(tmp_path / "sticky/ollama")[0] == ("/sticky/ollama", "the user 4712")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_group_without_anybody_in_it_writes_nothing(tmp_path: Path) -> None:
    """Debian gave /usr/local to such a one for long: staff."""
    place = tmp_path / "ollama"
    place.touch()
    place.chmod(0o775)
    for group, who in ((grp.getgrnam("staff").gr_gid, []), (1, [(str(place), "the group daemon")])):
        os.chown(place, 0, group)
        assert list(reach.writers(str(place))) == who


def test_a_ring_of_links_ends(tmp_path: Path) -> None:
    (tmp_path / "ring").symlink_to("ring")
    assert ("ring", "x") not in reach.writers(str(tmp_path / "ring/x"))
