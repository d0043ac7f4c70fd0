"""What Debian asks of a package, on both suites; and that pip and pipx install the same."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ollamactl import __version__
from tests.lab import deb
from tests.lab.host import make_venv
from tests.package import testbeds
from tests.system.packaged import previous

pytestmark = pytest.mark.system

ELSEWHERE = {
    "TZ": "Asia/Tokyo", "LC_ALL": "C", "HOME": "/tmp", "PYTHONHASHSEED": "7", "DEB_BUILD_OPTIONS": "nocheck parallel=1",
}  # fmt: skip
SPEC = "version: 1\nhealth: {}\ninstances: {llama3: {port: 11434}}\n"


@pytest.fixture(scope="module", params=deb.SUITES)
def suite(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def files(suite: str, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Built with the unit tests that need neither git nor root."""
    return deb.build(suite, tmp_path_factory.mktemp("tested"), checks=True)


def of(files: list[Path], suffix: str) -> Path:
    return next(file for file in files if file.suffix == suffix)


def test_every_build_gives_the_same_bytes(suite: str, files: list[Path], tmp_path: Path) -> None:
    again = deb.build(
        suite, tmp_path, checks=True, place="/srv/another/place", env=ELSEWHERE, umask="0002", days=400
    )  # fmt: skip
    assert digests(again) == digests(files)


def digests(files: list[Path]) -> dict[str, str]:
    """Of everything but the notes on the builds themselves, which hold time and path."""
    kinds = (".deb", ".dsc", ".xz")
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file.suffix in kinds}


def test_lintian_has_nothing_to_say(suite: str, files: list[Path]) -> None:
    assert deb.lintian(suite, files) == ""


def test_piuparts_finds_nothing_left(suite: str, files: list[Path], tmp_path: Path) -> None:
    new = of(files, ".deb")
    log = testbeds.piuparts(suite, new, previous(new, tmp_path))
    assert "PASS: Installation, upgrade and purging tests." in log
    assert "PASS: All tests." in log


def test_the_packages_own_test_passes(suite: str, files: list[Path]) -> None:
    with testbeds.testbed(suite) as machine:
        for file in files:
            machine.write(f"/srv/{file.name}", file.read_bytes())
        given = f"/srv/{of(files, '.deb').name} /srv/{of(files, '.dsc').name}"
        # The machine is such a container; `null`, which says no more than "here", cannot know
        options = "--no-built-binaries --ignore-restrictions=isolation-container"
        told = machine.run(f"autopkgtest {options} {given} -- null 2>&1", timeout=300).stdout
    assert "\nfleet                PASS\n" in told


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy: building leaves things beside the source."""
    deb.source(tmp_path / "checkout")
    return tmp_path / "checkout"


def test_pip_installs_the_same_beside_debians_libraries(checkout: Path, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--system-site-packages", venv], check=True)
    subprocess.run([venv / "bin/pip", "install", "--quiet", checkout], check=True)
    works(venv / "bin/ollamactl", venv / "bin/ollamactl", tmp_path)


def test_pipx_does_so_too(checkout: Path, tmp_path: Path) -> None:
    make_venv(tmp_path / "tool", "pipx")
    home = {"PIPX_HOME": str(tmp_path / "pipx"), "PIPX_BIN_DIR": str(tmp_path / "bin")}
    command = [tmp_path / "tool/bin/pipx", "install", "--quiet", "--python", sys.executable, "--system-site-packages"]
    subprocess.run([*map(str, command), str(checkout)], check=True, env={**os.environ, **home})
    works(tmp_path / "bin/ollamactl", tmp_path / "pipx/venvs/ollamactl/bin/ollamactl", tmp_path)


def works(command: Path, program: Path, folder: Path) -> None:
    """Its version, its templates, and that units name this installation."""
    (folder / "fleet.yaml").write_text(SPEC)
    told = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert told.stdout == f"ollamactl {__version__}\n"
    rendered = [str(command), "render", "--systemd-version", "252", str(folder / "fleet.yaml")]
    units = subprocess.run(rendered, capture_output=True, text=True, check=True, cwd="/").stdout
    assert f"\nExecStart={program} heal\n" in units
