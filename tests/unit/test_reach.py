import stat
from pathlib import Path

from ollamactl import reach


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
