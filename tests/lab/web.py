"""nginx, wrk and promtool from Debian, unpacked into the cache: what ours is held against."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.lab.cache import Artifact, LabError
from tests.lab.host import call

PACKAGES = ("nginx", "wrk", "libluajit-5.1-2", "libluajit-5.1-common", "prometheus")


def tools() -> Artifact:
    """The programs with the one library that a machine lacks; all else they need, Python and apt need, too."""
    release = Path("/etc/os-release").read_text()

    def build(directory: Path) -> None:
        if not shutil.which("apt-get"):
            raise LabError("the lab knows only apt-get to fetch nginx, wrk and promtool")
        packages = directory / "packages"
        packages.mkdir()
        download = ["apt-get", "download", "-q", "-o", "APT::Sandbox::User=", *PACKAGES]
        try:
            call(download, cwd=packages)
        except LabError:  # package lists that are empty or older than the mirror
            if os.geteuid() != 0:
                raise
            call(["apt-get", "update", "-q"])
            call(download, cwd=packages)
        for package in packages.iterdir():
            call(["dpkg-deb", "-x", str(package), str(directory)])
        shutil.rmtree(packages)
        (directory / "usr/bin/prometheus").unlink()  # 50 MB, and only its promtool is asked

    return Artifact(name="web", says="download nginx, wrk and promtool", recipe=repr(PACKAGES) + release, build=build)


def nginx() -> str:
    """The program."""
    return str(tools().ensure() / "usr/sbin/nginx")


def wrk() -> tuple[str, dict[str, str]]:
    """The program, and the variables that it needs to run."""
    top = tools().ensure()
    library = next(top.glob("usr/lib/*/libluajit-5.1.so.2"))
    return str(top / "usr/bin/wrk"), {"LD_LIBRARY_PATH": str(library.parent)}
