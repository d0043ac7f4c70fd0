"""Where Debian's own testers run: a root with lintian, piuparts and autopkgtest, and one to install packages into."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.lab import deb
from tests.lab.binaries import CHECKOUT, SOURCE_IN_CONTAINER
from tests.lab.cache import Artifact
from tests.lab.container import Container
from tests.lab.host import call
from tests.lab.roots import bootstrap, settings

REPOSITORY = "/srv/repository"
UNSIGNED = 'Acquire::AllowInsecureRepositories "true";\nAPT::Get::AllowUnauthenticated "true";\n'


def needed() -> list[str]:
    """The packages that it depends on."""
    control = (CHECKOUT / "debian" / "control").read_text().partition("\nDepends:")[2].partition("\nDescription:")[0]
    return re.findall(r"^\s*([a-z][a-z0-9-]+)", control, re.M)


def plain(suite: str) -> Artifact:
    """What the package depends on, and nothing else."""
    packages = needed()

    def build(directory: Path) -> None:
        bootstrap(suite, directory, packages, dpkg=("force-unsafe-io",))
        (directory / "etc/apt/apt.conf.d/unsigned").write_text(UNSIGNED)

    says = f"mmdebstrap {suite} with {len(packages)} packages and what they need"
    return Artifact(name=f"plain-{suite}", says=says, recipe=repr((suite, packages, UNSIGNED)), build=build)


def base_tarball(suite: str) -> Artifact:
    """The same as piuparts takes it."""
    root = plain(suite)

    def build(directory: Path) -> None:
        call(["tar", "-C", str(root.ensure()), "-I", "gzip -1", "-cf", str(directory / "base.tgz"), "."])

    return Artifact(name=f"base-{suite}", says="tar the same", recipe=root.recipe, build=build)


def repository(place: Path, suite: str, packages: Sequence[Path]) -> None:
    """A repository of a few packages, not signed."""
    index = place / "dists" / suite / "main" / "binary-amd64"
    index.mkdir(parents=True)
    stanzas = []
    for package in packages:
        shutil.copy(package, place)
        data = package.read_bytes()
        about = f"Filename: {package.name}\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n"
        stanzas.append(call(["dpkg-deb", "--field", str(package)]) + about)
    text = "\n".join(stanzas).encode()
    (index / "Packages").write_bytes(text)
    (place / "dists" / suite / "Release").write_text(
        f"Suite: {suite}\nCodename: {suite}\nComponents: main\nArchitectures: amd64\nSHA256:\n"
        f" {hashlib.sha256(text).hexdigest()} {len(text)} main/binary-amd64/Packages\n"
    )


def piuparts(suite: str, new: Path, old: Path) -> str:
    """Install, upgrade from the old version, remove, purge; returns the log. Raises LabError where anything is left."""
    with deb.Workshop(deb.root(suite, checks=True)) as workshop:
        place = workshop.root / REPOSITORY.lstrip("/")
        repository(place, suite, [old])
        shutil.copy(new, workshop.root / "srv")
        shutil.copy(base_tarball(suite).ensure() / "base.tgz", workshop.root / "srv")
        return workshop.run(
            [
                "piuparts", "--basetgz=/srv/base.tgz", f"--distribution={suite}", f"--mirror=file:{REPOSITORY} main",
                f"--bindmount={REPOSITORY}", "--do-not-verify-signatures", "--no-eatmydata", f"/srv/{new.name}",
            ],
            user="root",
        )  # fmt: skip


@contextmanager
def testbed(suite: str) -> Iterator[Container]:
    """A booted machine with autopkgtest."""
    with Container.boot(suite, base=[settings(suite).ensure(), deb.root(suite, checks=True).ensure()]) as machine:
        machine.run(["umount", SOURCE_IN_CONTAINER])
        yield machine
