"""The .deb on a machine without a checkout: installed, used, upgraded, removed and purged."""

from __future__ import annotations

from pathlib import Path

import pytest

from ollamactl import __version__
from tests.system.fleethost import SPEC, STATE, STORE, TARGET, TEMPLATE, UNITS, FleetHost, drop_in
from tests.system.packaged import APT, OLD, built, everything, install, plain_machine, previous

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("package")]

FLEET = """\
version: 1
ollama: {binary: /usr/local/bin/ollama}
health: {every: 1h}
defaults: {gpus: none}
instances:
  llama3: {port: 11434, secrets: {OLLAMA_API_KEY: sesame}}
  mistral: {port: 11435}
"""
NAMES = ("llama3", "mistral")
UP = dict.fromkeys(NAMES, "active")
DOWN = dict.fromkeys(NAMES, "inactive")
BOOT_LINK = f"{UNITS}/multi-user.target.wants/{TARGET}"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("package"))


def test_it_goes_through_life_and_servers_end_only_where_it_is_removed(package: Path, tmp_path: Path) -> None:
    old = previous(package, tmp_path)
    with plain_machine(old, package) as host:
        bare = everything(host)
        store = host.files(STORE)
        install(host, old)
        assert host.machine.run("command -v ollamactl && ollamactl --version").stdout.split() == [
            "/usr/bin/ollamactl", "ollamactl", OLD,
        ]  # fmt: skip
        documented(host)
        host.applied(FLEET)
        assert completed(host, "restart", "mis") == completed(host, "apply", "--only", "mis") == ["mistral"]
        heals_by_its_own_program(host)
        servers = host.invocations(*NAMES)

        install(host, package)
        assert host.machine.ollamactl("--version").stdout == f"ollamactl {__version__}\n"
        assert host.json("status").code == 0
        assert host.plan().steps == [
            f"write {TEMPLATE}: TimeoutStartSec= changed",
            "reload systemd: 1 file written",
        ]
        assert host.applied().changed
        assert host.applied().changed is False
        assert host.invocations(*NAMES) == servers, "neither the upgrade nor the apply after it restarts any"

        said = removed(host, "remove")
        assert "will not start at boot: ollama@llama3.service ollama@mistral.service" in said
        host.machine.reboot()
        assert host.states(*NAMES) == DOWN
        install(host, package)
        assert host.states(*NAMES) == DOWN
        assert host.applied().changed
        assert host.states(*NAMES) == UP
        assert host.machine.exists(BOOT_LINK)

        removed(host, "remove")
        host.machine.run(["systemctl", "start", TARGET])
        removed(host, "purge")
        assert everything(host) - bare == {f"f 644 root {SPEC} "} | above(SPEC)
        assert bare - everything(host) == set()
        assert host.files(STORE) == store
        assert host.machine.run("systemctl list-units --all --plain --no-legend 'ollama*'").stdout == ""
        assert host.machine.run("ls -A /run | grep ollamactl", check=False).stdout == ""


def documented(host: FleetHost) -> None:
    """Manual pages, completion and examples are where those look who look for them."""
    pages = host.machine.run("ls /usr/share/man/man1 /usr/share/man/man5 | grep ollamactl").stdout
    assert {"ollamactl.1.gz", "ollamactl-apply.1.gz", "ollamactl-fleet.5.gz"} <= set(pages.split())
    assert completed(host, "dest") == ["destroy"]
    assert host.machine.ollamactl("check", "/usr/share/doc/ollamactl/examples/fleet.yaml").returncode == 0


def completed(host: FleetHost, *words: str) -> list[str]:
    """What bash makes of the last word when a person asks it to."""
    script = (
        f". /usr/share/bash-completion/completions/ollamactl; COMP_WORDS=(ollamactl {' '.join(words)});"
        f" COMP_CWORD={len(words)}; _ollamactl_completion ollamactl; echo ${{COMPREPLY[*]}}"
    )
    return host.machine.run(["bash", "-c", script], user="nobody").stdout.split()


def heals_by_its_own_program(host: FleetHost) -> None:
    assert "ExecStart=/usr/bin/ollamactl heal\n" in host.machine.read(f"{UNITS}/ollamactl-heal.service")
    host.machine.run(["systemctl", "start", "ollamactl-heal.service"])
    assert host.machine.exists(f"{STATE}/metrics/ollamactl.prom")


def removed(host: FleetHost, verb: str) -> str:
    """What was said when the package went, which ends the servers."""
    said = host.machine.run(f"{APT} {verb} ollamactl 2>&1").stdout
    assert host.states(*NAMES) == DOWN
    assert not host.machine.exists(BOOT_LINK)
    assert not host.machine.exists("/usr/bin/ollamactl")
    return said


def above(path: str) -> set[str]:
    return {f"d 755 root {Path(path).parent} "}


def test_purging_at_once_leaves_what_others_put_there(package: Path) -> None:
    with plain_machine(package) as host:
        install(host, package)
        store = host.files(STORE)
        host.applied(FLEET)
        override, foreign = f"{UNITS}/ollama@mistral.service.d/override.conf", f"{UNITS}/ollama@mine.service"
        host.machine.write(override, "[Service]\nNice=5\n")
        host.machine.write(foreign, "[Service]\nExecStart=/bin/sleep infinity\n")
        host.machine.write(f"{STATE}/notes", "mine\n")
        host.machine.write("/var/lib/ollama/.ollamactl-pull/models/blobs/sha256-0-partial", "unfinished")
        host.machine.run("systemctl daemon-reload && systemctl start ollama@mine")

        said = removed(host, "purge")

        assert f"{STATE} is not empty, so it stays" in said
        assert host.show("mine", "ActiveState")["ActiveState"] == "active"
        assert host.machine.exists(override)
        assert not host.machine.exists(drop_in("mistral"))
        assert list(host.files(STATE)) == [f"{STATE}/notes"]
        assert not host.machine.exists("/var/lib/ollamactl-instances")
        assert not host.machine.exists("/var/lib/ollama/.ollamactl-pull")
        assert host.files(STORE) == store


def test_removal_waits_for_an_ollamactl_that_is_at_work(package: Path) -> None:
    with plain_machine(package) as host:
        install(host, package)
        host.applied(FLEET)
        holder = host.machine.popen(
            "flock /run/ollamactl.lock sh -c 'echo held >/run/held; until [ -e /run/done ]; do sleep 0.02; done'"
        )
        host.wait_for(lambda: host.machine.exists("/run/held"))
        removal = host.machine.popen(f"{APT} remove ollamactl 2>&1")
        host.wait_for(lambda: "flock" in host.machine.run(["ps", "-eo", "args"]).stdout.replace("flock /run", ""))
        assert host.states(*NAMES) == UP
        host.machine.write("/run/done", "")
        assert "are stopped" in removal.communicate(timeout=60)[0]
        holder.communicate(timeout=10)
        assert host.states(*NAMES) == DOWN
