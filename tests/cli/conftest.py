import os
from pathlib import Path

import pytest

from tests.cli.command import FLEET, ollamactl

needs_root = pytest.mark.skipif(
    os.geteuid() != 0 and os.environ.get("CI") != "true", reason="needs root, to become another user"
)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a valid spec and an empty image."""
    (tmp_path / "fleet.yaml").write_text(FLEET)
    (tmp_path / "image").mkdir()
    return tmp_path


@pytest.fixture
def image(place: Path) -> Path:
    """The same, with the spec applied to the image."""
    assert ollamactl("--root", "image", "apply", at=place).code == 0
    return place
