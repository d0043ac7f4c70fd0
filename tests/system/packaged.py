"""The .deb as a machine gets it: built from this checkout, and a previous version made of it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab import deb
from tests.lab.binaries import SOURCE_IN_CONTAINER
from tests.lab.container import Container
from tests.system.fleethost import FleetHost

SUITE = "bookworm"
OLD = "0.0.9"
APT = "apt-get -qq -o Dpkg::Use-Pty=0 -y"
NOISE = (
    "/proc",
    "/sys",
    "/dev",
    "/tmp",
    "/var/tmp",
    "/var/log",
    "/var/cache",
    "/var/lib/dpkg",
    "/var/lib/apt",
    "/opt",
    "/run",
)
"""What changes by itself, or by apt's own doing."""


def built(folder: Path) -> Path:
    """The package."""
    return next(file for file in deb.build(SUITE, folder) if file.suffix == ".deb")


def previous(new: Path, folder: Path) -> Path:
    """The same package as an older version, with another template: what its units say differs, and no server minds."""
    tree = folder / "previous"
    subprocess.run(["dpkg-deb", "--raw-extract", new, tree], check=True)
    package = tree / "usr/lib/python3/dist-packages/ollamactl"
    for path, old, text in (
        (tree / "DEBIAN/control", "Version: ", f"Version: {OLD}\nX-Was: "),
        (package / "__init__.py", "__version__ = ", f'__version__ = "{OLD}"\nwas = '),
        (package / "templates/ollama@.service.j2", "TimeoutStartSec=10min", "TimeoutStartSec=9min"),
    ):
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, text, 1))
    made = folder / f"ollamactl_{OLD}_all.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", tree, made], check=True, stdout=subprocess.DEVNULL)
    return made


@contextmanager
def plain_machine(*packages: Path) -> Iterator[FleetHost]:
    """A machine without a checkout, that keeps what packages bring; they lie in /srv."""
    with Container.boot(SUITE, store=True) as machine:
        machine.run(["umount", SOURCE_IN_CONTAINER])
        # The lab's settings leave out manuals and documentation
        machine.run("rm /usr/local/bin/ollamactl /etc/dpkg/dpkg.cfg.d/*")
        for package in packages:
            machine.write(f"/srv/{package.name}", package.read_bytes())
        yield FleetHost(machine)


def install(host: FleetHost, package: Path) -> str:
    """As `sudo apt install ./FILE` does; returns what was said."""
    return host.machine.run(f"{APT} install /srv/{package.name} 2>&1").stdout


def everything(host: FleetHost) -> set[str]:
    """Type, mode, owner, path and target of each file, link and folder that lasts."""
    skipped = " -o ".join(f"-path {path}" for path in NOISE)
    found = host.machine.run(f"find / -xdev \\( {skipped} \\) -prune -o -printf '%y %m %u %p %l\\n'").stdout
    return set(found.splitlines())
