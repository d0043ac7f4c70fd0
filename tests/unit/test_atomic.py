"""Files that are replaced in one step: what nobody else may read is closed from its first byte on."""

import os
import stat
from pathlib import Path

import pytest

from ollamactl.host import atomic


def test_no_byte_is_written_to_a_file_that_others_may_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[int] = []
    write, rename = os.write, os.rename

    def seen_write(descriptor: int, data: bytes) -> int:
        modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        return write(descriptor, data)

    def seen_rename(source: str, target: str) -> None:
        modes.append(stat.S_IMODE(Path(source).stat().st_mode))
        rename(source, target)

    place = tmp_path / "a.env"
    place.write_text("old")
    place.chmod(0o644)
    monkeypatch.setattr(os, "write", seen_write)
    monkeypatch.setattr(os, "rename", seen_rename)
    before = os.umask(0)
    try:
        atomic.write([atomic.Write(str(place), b"secret", 0o600)])
    finally:
        os.umask(before)

    assert modes == [0o600, 0o600]
    assert (stat.S_IMODE(place.stat().st_mode), place.read_bytes()) == (0o600, b"secret")


def test_a_name_that_somebody_else_took_first_is_not_followed(tmp_path: Path) -> None:
    """Whoever can guess the name of the file beside the place gains nothing by a link there."""
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    number = next(atomic._numbers) + 1
    (tmp_path / f".ollamactl-{os.getpid()}-{number}").symlink_to(victim)

    with pytest.raises(Exception, match="exists"):
        atomic.write([atomic.Write(str(tmp_path / "a.conf"), b"x", 0o644)])

    assert victim.read_text() == "untouched"
    assert not (tmp_path / "a.conf").exists()
