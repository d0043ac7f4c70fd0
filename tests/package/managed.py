"""Hosts that Ansible manages over SSH: booted machines with what Debian's installer leaves, and no ollamactl."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab import binaries
from tests.lab.binaries import CHECKOUT, SOURCE_IN_CONTAINER
from tests.lab.cache import Artifact
from tests.lab.container import Container
from tests.lab.host import make_venv
from tests.lab.roots import bootstrap, settings
from tests.package.testbeds import needed
from tests.system.fleethost import FleetHost

SUITE = "bookworm"
PLAYBOOKS = CHECKOUT / "packaging" / "ansible"
PACKAGES = ("openssh-server", "python3-apt", "procps", "curl", "udev", "systemd-sysv", "dbus")
TOOLS = ("ansible-core==2.19.14", "ansible-lint==26.10.1")
# The container's own loopback is the way in; nothing else leads there
PROXY = "nsenter --target={leader} --net bash -c 'exec 3<>/dev/tcp/127.0.0.1/22; cat <&3 & exec cat >&3'"


def _ansible(directory: Path) -> None:
    """A virtual environment whose scripts run wherever it is moved: they call each other by name."""
    make_venv(directory, *TOOLS)
    for script in (directory / "bin").iterdir():
        first = f"#!{directory}".encode()
        if not script.is_symlink() and (text := script.read_bytes()).startswith(first):
            script.write_bytes(b"#!/usr/bin/env python3\n" + text.partition(b"\n")[2])


ANSIBLE = Artifact(
    name="ansible", says="ansible-core and ansible-lint from PyPI", recipe=" ".join((*TOOLS, "by name")), build=_ansible
)


def root() -> Artifact:
    """What the package depends on, an SSH server, and what Ansible's apt module needs."""
    packages = [*needed(), *PACKAGES]

    def build(directory: Path) -> None:
        bootstrap(SUITE, directory, packages, dpkg=("force-unsafe-io",))

    says = f"mmdebstrap {SUITE} with {len(packages)} packages and what they need"
    return Artifact(name=f"managed-{SUITE}", says=says, recipe=repr((SUITE, packages)), build=build)


@dataclass(frozen=True)
class Played:
    """A run of ansible-playbook."""

    code: int
    text: str

    def count(self, what: str) -> dict[str, int]:
        """`changed`, `failed`, `unreachable` or `ok` by host, as the recap says."""
        recap = self.text.partition("PLAY RECAP")[2]
        return {host: int(number) for host, number in re.findall(rf"^(\w+) .*\b{what}=(\d+)", recap, re.M)}

    def results(self, task: str) -> dict[str, dict[str, object]]:
        """What a task came to, by host."""
        part = "".join(each.partition("\nTASK [")[0] for each in self.text.split(f"\nTASK [ollamactl : {task}]")[1:])
        rows = re.findall(r"^(?:changed|ok|fatal|failed): \[(\w+)\].*?=> (\{.*\})$", part, re.M)
        return {host: json.loads(text) for host, text in rows}

    def steps(self) -> dict[str, object]:
        """What ollamactl did or would do, by host."""
        return {host: result["steps"] for host, result in self.results("Apply the spec").items()}


class Site:
    """A few hosts, and a controller that knows them."""

    def __init__(self, folder: Path, machines: Mapping[str, Container]) -> None:
        self.folder = folder
        self.hosts = {name: FleetHost(machine) for name, machine in machines.items()}
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key"], check=True)
        for host in self.hosts.values():
            host.machine.write("/root/.ssh/authorized_keys", (folder / "key.pub").read_bytes(), mode=0o600)

    def inventory(self) -> dict[str, object]:
        """As YAML, which JSON is: each host behind its own way in."""
        options = f"-i {self.folder}/key -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
        ways = {name: PROXY.format(leader=host.machine.leader) for name, host in self.hosts.items()}
        rows = {
            name: {
                "ansible_host": name, "ansible_user": "root", "ansible_python_interpreter": "/usr/bin/python3",
                "ansible_ssh_common_args": f"{options} -o ProxyCommand={shlex.quote(way)}",
            }
            for name, way in ways.items()
        }  # fmt: skip
        return {"ollama": {"hosts": rows}}

    def play(self, book: str, variables: Mapping[str, object], *options: str) -> Played:
        """Run one of the playbooks with these variables, as JSON."""
        (self.folder / "hosts.yml").write_text(json.dumps(self.inventory()))
        (self.folder / "vars.json").write_text(json.dumps(variables))
        command = [
            ANSIBLE.ensure() / "bin" / "python3", "-m", "ansible", "playbook", "-v", "-i", self.folder / "hosts.yml",
            "--extra-vars", f"@{self.folder}/vars.json", PLAYBOOKS / book, *options,
        ]  # fmt: skip
        # New ones for each run, since a host that booted again is behind another way; sockets need short names
        connections = tempfile.mkdtemp(prefix="cp-", dir="/tmp")
        home = {
            "ANSIBLE_CONFIG": str(PLAYBOOKS / "ansible.cfg"), "ANSIBLE_HOME": str(self.folder / "ansible"),
            "ANSIBLE_NOCOLOR": "1", "ANSIBLE_SSH_ARGS": "-o ControlMaster=auto -o ControlPersist=5s",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": connections,
            "PATH": f"{ANSIBLE.ensure()}/bin:{os.environ['PATH']}",
        }  # fmt: skip
        done = subprocess.run(
            list(map(str, command)), env={**os.environ, **home}, capture_output=True, text=True, cwd=PLAYBOOKS
        )
        shutil.rmtree(connections, ignore_errors=True)
        return Played(code=done.returncode, text=done.stdout + done.stderr)


@contextmanager
def site(folder: Path, *names: str) -> Iterator[Site]:
    """Hosts of these names, with a stand-in for Ollama and the tiny models."""
    base = [binaries.standin().ensure(), settings(SUITE).ensure(), root().ensure()]
    with ExitStack() as stack:
        machines = {name: stack.enter_context(Container.boot(SUITE, store=True, base=base)) for name in names}
        for machine in machines.values():
            machine.run(["umount", SOURCE_IN_CONTAINER])
        yield Site(folder, machines)
