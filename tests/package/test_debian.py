"""What Debian asks of a package, on both suites: lintian, the same bytes from every build, unit tests in the build."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.lab import deb

pytestmark = pytest.mark.system


@pytest.mark.parametrize("suite", deb.SUITES)
def test_it_builds_with_its_tests_twice_the_same_and_lintian_is_silent(suite: str, tmp_path: Path) -> None:
    tested = deb.build(suite, tmp_path / "tested", checks=True)
    elsewhere = {
        "TZ": "Asia/Tokyo", "LC_ALL": "C", "HOME": "/tmp", "PYTHONHASHSEED": "7",
        "DEB_BUILD_OPTIONS": "nocheck parallel=1",
    }  # fmt: skip
    again = deb.build(
        suite, tmp_path / "again", checks=True, place="/srv/another/place", env=elsewhere, umask="0002", days=400
    )
    assert digests(tested) == digests(again)
    assert deb.lintian(suite, tested) == ""


def digests(files: list[Path]) -> dict[str, str]:
    """Of everything but the notes on the builds themselves, which hold time and path."""
    kinds = (".deb", ".dsc", ".xz")
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file.suffix in kinds}
