"""The pristine Debian roots that containers boot from, each of two layers: the packages, and the lab's settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.lab.cache import Artifact, LabError
from tests.lab.host import call, debian_mirror

SUITES = ("bookworm", "sid")
"""The oldest systemd that ollamactl supports, and the newest there is."""

PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "dbus-user-session", "libpam-systemd", "libnss-systemd", "udev", "iproute2",
    "procps", "util-linux", "curl", "ca-certificates", "python3", "python3-pystemd", "python3-click",
    "python3-jinja2", "python3-httpx", "python3-yaml", "python3-jsonschema", "python3-rich",
)  # fmt: skip
EXTRA = {"sid": ("llama.cpp",)}  # Debian's only suite with a runner for Ollama: real loads happen there

# Nothing that a test wants, and each costs boot time or wakes up in the middle of a measurement.
MASKED = (
    "console-getty.service", "getty.target", "getty-static.service", "systemd-networkd.service",
    "systemd-networkd.socket", "systemd-resolved.service", "systemd-timesyncd.service", "systemd-update-utmp.service",
    "systemd-hwdb-update.service", "systemd-update-utmp-runlevel.service", "systemd-pcrphase.service",
    "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "e2scrub_reap.service",
    "fstrim.timer", "systemd-tmpfiles-clean.timer", "ldconfig.service", "systemd-firstboot.service",
    "systemd-journal-catalog-update.service", "systemd-update-done.service", "systemd-modules-load.service",
)  # fmt: skip

FILES = {
    # On disk the journal costs a boot more than everything else; a test that reads it must find every line.
    "etc/systemd/journald.conf.d/lab.conf": "[Journal]\nStorage=volatile\nRateLimitIntervalSec=0\n",
    "etc/hosts": "127.0.0.1 localhost\n::1 localhost ip6-localhost\n",
    "etc/resolv.conf": "",  # there is no way out, so nobody should wait for a name server
    "etc/machine-id": "",  # each container gets its own from the lab
}
LINKS = {  # where Ollama looks for its runner: ../lib/ollama from its own directory
    "sid": {
        "usr/local/lib/ollama/llama-server": "/usr/bin/llama-server",
        "usr/local/lib/ollama/llama-quantize": "/usr/bin/llama-quantize",  # `ollama create` from a GGUF runs it
    }
}
REMOVED = ("var/lib/dbus/machine-id", "etc/hostname")
APT_OPTIONS = (
    'APT::Install-Recommends "false"',
    'Acquire::Check-Valid-Until "false"',  # a mirror, or this host's clock, may be weeks apart from sid's Release file
)
DPKG_OPTIONS = (
    "force-unsafe-io",  # thousands of fsyncs for a root that is thrown away when the build fails
    "path-exclude=/usr/share/doc/*",
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/locale/*",
)


def root(suite: str) -> Artifact:
    """The packages of a suite.  mmdebstrap and not debootstrap: apt resolves everything at once, in half the time."""
    if suite not in SUITES:
        raise LabError(f"no such suite: {suite} (there are {', '.join(SUITES)})")
    packages = [*PACKAGES, *EXTRA.get(suite, ())]

    def build(directory: Path) -> None:
        bootstrap(suite, directory, packages)
        for path in REMOVED:
            (directory / path).unlink(missing_ok=True)

    recipe = repr((suite, packages, REMOVED, APT_OPTIONS, DPKG_OPTIONS))
    says = f"mmdebstrap {suite} with {len(packages)} packages and what they need"
    return Artifact(name=f"root-{suite}", says=says, recipe=recipe, build=build)


def bootstrap(suite: str, directory: Path, packages: Sequence[str], *, dpkg: Sequence[str] = DPKG_OPTIONS) -> None:
    """Install a suite with these packages into an empty directory."""
    mirror = debian_mirror()
    call(
        ["mmdebstrap", "--variant=minbase", "--format=directory", f"--include={','.join(packages)}"]
        + [f"--aptopt={option}" for option in APT_OPTIONS]
        + [f"--dpkgopt={option}" for option in dpkg]
        + [suite, str(directory)]
        + ([mirror] if mirror else [])
    )


def settings(suite: str) -> Artifact:
    """The lab's own files over the root: a change to them takes no new root."""
    links = {**{f"etc/systemd/system/{unit}": "/dev/null" for unit in MASKED}, **LINKS.get(suite, {})}

    def build(directory: Path) -> None:
        for path, target in links.items():
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
            (directory / path).symlink_to(target)
        for path, text in FILES.items():
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
            (directory / path).write_text(text)

    return Artifact(name=f"settings-{suite}", says="write the lab's settings", recipe=repr((links, FILES)), build=build)


def root_layers(suite: str) -> list[Path]:
    """The layers that make a bootable root, uppermost first, built where missing."""
    packages = root(suite).ensure()
    return [settings(suite).ensure(), packages]
