"""The pristine Debian roots that containers boot from; nothing ever writes to one after it is built."""

from __future__ import annotations

from pathlib import Path

from tests.lab.cache import Artifact, LabError
from tests.lab.host import call, debian_mirror

SUITES = ("bookworm", "sid")
"""The oldest systemd that ollamactl supports, and the newest there is."""

PACKAGES = (
    "systemd systemd-sysv dbus dbus-user-session libpam-systemd libnss-systemd udev"  # a login gets a user manager
    " iproute2 procps util-linux curl ca-certificates"
    " python3 python3-pystemd python3-click python3-jinja2 python3-httpx python3-yaml python3-jsonschema"
).split()
EXTRA = {"sid": ("llama.cpp",)}  # Debian's only suite with a runner for Ollama: real loads happen there

MASKED = (  # nothing that a test wants, and each costs boot time or wakes up in the middle of a measurement
    "console-getty.service getty.target getty-static.service systemd-networkd.service systemd-networkd.socket"
    " systemd-resolved.service systemd-timesyncd.service systemd-update-utmp.service systemd-hwdb-update.service"
    " systemd-update-utmp-runlevel.service systemd-pcrphase.service apt-daily.timer apt-daily-upgrade.timer"
    " dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer systemd-tmpfiles-clean.timer"
    " ldconfig.service systemd-firstboot.service"
).split()

FILES = {
    # On disk the journal costs a boot more than everything else; a test that reads it must find every line.
    "etc/systemd/journald.conf.d/lab.conf": "[Journal]\nStorage=volatile\nRateLimitIntervalSec=0\n",
    "etc/hosts": "127.0.0.1 localhost\n::1 localhost ip6-localhost\n",
    "etc/resolv.conf": "",  # there is no way out, so nobody should wait for a name server
    "etc/machine-id": "",  # each container gets its own
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
    """The root of a suite.  mmdebstrap and not debootstrap: apt resolves everything at once, in half the time."""
    if suite not in SUITES:
        raise LabError(f"no such suite: {suite} (there are {', '.join(SUITES)})")
    packages = [*PACKAGES, *EXTRA.get(suite, ())]

    def build(directory: Path) -> None:
        mirror = debian_mirror()
        call(
            ["mmdebstrap", "--variant=minbase", "--format=directory", f"--include={','.join(packages)}"]
            + [f"--aptopt={option}" for option in APT_OPTIONS]
            + [f"--dpkgopt={option}" for option in DPKG_OPTIONS]
            + [suite, str(directory)]
            + ([mirror] if mirror else [])
        )
        _settle(directory, {**{f"etc/systemd/system/{unit}": "/dev/null" for unit in MASKED}, **LINKS.get(suite, {})})

    recipe = repr((suite, packages, MASKED, FILES, LINKS.get(suite), REMOVED, APT_OPTIONS, DPKG_OPTIONS))
    says = f"mmdebstrap {suite} with {len(packages)} packages and what they need"
    return Artifact(name=f"root-{suite}", says=says, recipe=recipe, build=build)


def _settle(directory: Path, links: dict[str, str]) -> None:
    for path, target in links.items():
        link = directory / path
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(target)
    for path in REMOVED:
        (directory / path).unlink(missing_ok=True)
    for path, text in FILES.items():
        file = directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)  # it may be a link to somewhere in /run
        file.write_text(text)
        file.chmod(0o444 if path == "etc/machine-id" else 0o644)
