"""Build the .deb as Debian does: in a pristine root of the suite, as a user without rights, with no network."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.lab.binaries import CHECKOUT
from tests.lab.cache import Artifact, LabError, say
from tests.lab.host import ensure_tools
from tests.lab.roots import bootstrap
from tests.lab.sandbox import Sandbox

SUITES = ("bookworm", "trixie")
"""Each has its own Python, debhelper and policy."""
DIST = CHECKOUT / "dist"
BUILDER = "builder"
TOOLS = (
    "dpkg-dev", "debhelper", "dh-python", "fakeroot", "pybuild-plugin-pyproject", "python3-setuptools",
    "python3-click", "python3-jsonschema", "python3-yaml",
)  # fmt: skip
"""What a build without tests runs. Of build-essential the compilers are left out: nothing is compiled."""
CHECKS = (
    "build-essential", "python3-httpx", "python3-hypothesis", "python3-jinja2", "python3-pystemd", "python3-pytest",
    "python3-pytest-xdist", "python3-rich", "systemd", "lintian", "groff-base", "faketime", "piuparts", "autopkgtest",
    "systemd-sysv", "dbus", "iproute2",
)  # fmt: skip
"""What a build with tests needs besides, and what looks at its result."""
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/nonexistent", "LANG": "C.UTF-8", "USER": BUILDER}


def root(suite: str, *, checks: bool = False) -> Artifact:
    """A root to build in; with `checks` also to test and to look at the result."""
    packages = [*TOOLS, *(CHECKS if checks else ())]

    def build(directory: Path) -> None:
        bootstrap(suite, directory, packages, dpkg=("force-unsafe-io",))
        with (directory / "etc/passwd").open("a") as passwd:
            passwd.write(f"{BUILDER}:x:1000:1000::/nonexistent:/bin/sh\n")
        with (directory / "etc/group").open("a") as group:
            group.write(f"{BUILDER}:x:1000:\n")

    name = f"{'check' if checks else 'build'}-{suite}"
    says = f"mmdebstrap {suite} with {len(packages)} packages and what they need"
    return Artifact(name=name, says=says, recipe=repr((suite, packages)), build=build)


class Workshop:
    """A throw-away copy of such a root, in which commands run."""

    def __init__(self, artifact: Artifact) -> None:
        self._sandbox = Sandbox([artifact.ensure()])

    def __enter__(self) -> Workshop:
        return self

    def __exit__(self, *_: object) -> None:
        self._sandbox.close()

    @property
    def root(self) -> Path:
        """The root as this process sees it."""
        return self._sandbox.root_from_outside

    def run(
        self, argv: Sequence[str], *, cwd: str = "/", user: str = BUILDER, env: Mapping[str, str] | None = None
    ) -> str:
        """Run a command there and return all that it printed. Raises LabError with the end of it where it fails."""
        settings = {**ENVIRONMENT, **(env or {})}
        command = [
            "systemd-nspawn", "--quiet", "--settings=no", f"--directory={self._sandbox.root}", "--register=no",
            "--keep-unit", "--private-network", "--as-pid2", "--console=pipe", "--timezone=off", f"--chdir={cwd}",
            f"--user={user}", *(f"--setenv={name}={value}" for name, value in settings.items()), *argv,
        ]  # fmt: skip
        done = subprocess.run(
            self._sandbox.command(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace", env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
        )  # fmt: skip
        if done.returncode:
            tail = "\n".join(done.stdout.splitlines()[-60:])
            raise LabError(f"{' '.join(argv)} ended with status {done.returncode}:\n{tail}")
        return done.stdout


def source(place: Path) -> None:
    """Copy what git tracks, and what it would, into an empty place: as it stands now, links as links."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT, capture_output=True, text=True, check=True,
    ).stdout.split("\0")  # fmt: skip
    for name in filter(None, names):
        if os.path.lexists(CHECKOUT / name):
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(CHECKOUT / name, place / name, follow_symlinks=False)


def build(
    suite: str,
    out: Path,
    *,
    checks: bool = False,
    place: str = "/build",
    env: Mapping[str, str] | None = None,
    umask: str = "0022",
    days: int = 0,
) -> list[Path]:
    """Build source and binary package of the checkout into `out`, and return the files; with `checks` it tests too.

    `place`, `env`, `umask` and a clock that is `days` ahead are what the result must not depend on.
    """
    ensure_tools()
    started = time.monotonic()
    profile = () if checks else ("--build-profiles=nocheck", "--no-check-builddeps")
    command = ["dpkg-buildpackage", "--unsigned-source", "--unsigned-changes", *profile]
    if days:
        command = ["faketime", f"+{days} days", *command]
    with Workshop(root(suite, checks=checks)) as workshop:
        tree = workshop.root / place.lstrip("/") / "ollamactl"
        tree.mkdir(parents=True)
        source(tree)
        workshop.run(["chown", "-R", f"{BUILDER}:", place], user="root")
        log = workshop.run(
            ["sh", "-c", f'umask {umask} && exec "$@"', "sh", *command],
            cwd=f"{place}/ollamactl", env={"DEB_BUILD_OPTIONS": "" if checks else "nocheck", **(env or {})},
        )  # fmt: skip
        out.mkdir(parents=True, exist_ok=True)
        (out / "build.log").write_text(log)
        files = [Path(shutil.copy(file, out)) for file in sorted(tree.parent.iterdir()) if file.is_file()]
    say(f"{suite}: {out} ({time.monotonic() - started:.1f} s)")
    return files


def lintian(suite: str, files: Sequence[Path]) -> str:
    """What lintian --pedantic of the suite has to say about a build."""
    with Workshop(root(suite, checks=True)) as workshop:
        for file in files:
            shutil.copy(file, workshop.root / "srv")
        changes = next(file.name for file in files if file.suffix == ".changes")
        return workshop.run(["lintian", "--pedantic", "--fail-on=none", changes], cwd="/srv")
