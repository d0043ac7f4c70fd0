"""What README and the guide say to type is typed, in their order, on a real systemd with the real Ollama."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import pytest

from tests import docpages, pictures
from tests.docpages import TOP, Block
from tests.lab.binaries import OLLAMA_NEXT, OLLAMA_NEXT_VERSION
from tests.lab.container import Container
from tests.system.fleethost import REAL, SPEC, FleetHost
from tests.system.test_adoption import install_as_install_sh_does

GUIDE = docpages.blocks(TOP / "docs/guide.md")
FOLDER = "/root/guide"
SAID = {
    "Your first fleet": [
        "no errors", "2 to start", "2 of 2 servers proved", "Nothing to do", '"done":true', '"mistral:latest"',
        "not found", "active (running)", "# /etc/systemd/system/ollama@mistral.service.d/10-ollamactl.conf",
    ],
    "Models": ["nobody", "unused", "To be removed"],
    "One model a port, or several": ["3 of 3 servers proved", '"gpt-4o:latest"', "is on the CPU"],
    "Several GPUs": ["AMD card found"],
    "On demand": [
        "2 of 2 servers proved", '"done":true', '"mistral:latest"', "asleep", '"mistral:latest"', "asleep",
        "stopped: no request for 5s",
    ],
    "Open WebUI in Docker": ["2 of 2 servers proved", '"error"', "read-only file system"],
    "Changing a fleet that people use": [
        "context_length 8192 -> 4096", "2 of 2 servers proved", "the newer state again",
    ],
    "Servers that hang": ["none hangs"],
    "When something fails": ["active (running)", "OLLAMA_HOST=0.0.0.0:11435", "No known trap found"],
    "Many hosts": ["Plan: 2 to restart"],
    "Beside it: nginx, LiteLLM, Open WebUI, Prometheus": [],
    "Taking it away": ["2 stopped"],
}  # fmt: skip
"""By section, what its commands print, in this order."""


@pytest.fixture
def host() -> Iterator[FleetHost]:
    with Container.boot("sid", store=True) as machine:
        machine.write("/usr/local/bin/sudo", '#!/bin/sh\nexec "$@"\n', mode=0o755)
        machine.run(["mkdir", "-p", FOLDER])
        yield FleetHost(machine)


def typed(host: FleetHost, blocks: Sequence[Block]) -> str:
    """What the commands print, and the specs between them written where their marks say; each has to end well."""
    printed = []
    for block in blocks:
        if block.language == "yaml" and block.marks and block.marks[0].endswith(".yaml"):
            host.machine.write(
                f"{FOLDER}/{block.marks[0]}" if "/" not in block.marks[0] else block.marks[0], block.text
            )
        elif block.language == "sh":
            script = f"set -eo pipefail\n{block.text}"
            printed.append(host.machine.run(["bash", "-c", f"exec 2>&1\n{script}"], cwd=FOLDER, timeout=300).stdout)
    return "\n".join(printed)


def in_order(printed: str, words: Sequence[str]) -> None:
    """Each of them is printed after the one before."""
    rest = printed
    for each in words:
        before, found, rest = rest.partition(each)
        assert found, f"no {each!r} in:\n{before}"


def of(section: str, *marks: str) -> list[Block]:
    """A section's blocks: the specs, and the commands that are marked so."""
    return [block for block in GUIDE if block.section == section and (block.language != "sh" or block.marks == marks)]


def test_the_guide_from_the_first_fleet_to_its_end(host: FleetHost) -> None:
    sections = list(dict.fromkeys(block.section for block in GUIDE if (block.language, block.marks) == ("sh", ())))
    assert set(sections) == set(SAID)
    for section in sections:
        if section == "Many hosts":
            host.machine.run(["cp", SPEC, f"{FOLDER}/new.yaml"])

        printed = typed(host, of(section))
        in_order(printed, SAID[section])


def test_the_guide_moves_the_official_service_over_and_back(host: FleetHost) -> None:
    install_as_install_sh_does(host.machine)
    host.wait_for_port(11434)
    before = host.models(11434)
    *over, back = of("You already run Ollama?", "adopt")

    in_order(typed(host, over), ["takes its place", "1 of 1 server proved"])
    assert (host.models(11434), host.states("ollama.service")) == (before, {"ollama.service": "inactive"})
    typed(host, [back])
    host.wait_for_port(11434)
    assert host.show("ollama.service", "ActiveState", "UnitFileState") == {
        "ActiveState": "active", "UnitFileState": "enabled",
    }  # fmt: skip


def test_the_guide_upgrades_ollama(host: FleetHost) -> None:
    host.machine.run(["mkdir", "-p", "/etc/ollamactl"])
    typed(host, [block for block in of("Your first fleet") if block.language == "yaml"])
    host.applied()
    host.machine.run(["install", OLLAMA_NEXT, f"{REAL}.new"])
    host.machine.run(["mv", f"{REAL}.new", REAL])

    in_order(
        typed(host, of("Upgrading", "upgrade")), ["was replaced since it started", "2 of 2 servers proved", "\nok "]
    )
    assert host.get(11434, "/api/version") == {"version": OLLAMA_NEXT_VERSION}


def test_the_pictures_show_what_the_program_prints(host: FleetHost) -> None:
    """But for what differs from run to run: who is first to answer, and for how long a server has run."""
    for name, command, printed in pictures.shots(host.machine):
        shown = pictures.text((TOP / f"docs/{name}.svg").read_text())
        now = [f"$ {command}", *(line.rstrip() for line in printed.splitlines())]
        if name == "status":
            shown, now = ([re.sub(r" \d+s +", " ", line) for line in lines] for lines in (shown, now))
        assert sorted(filter(None, shown)) == sorted(filter(None, now)), f"docs/{name}.svg is old: make docs"


def test_what_readme_says_to_type(host: FleetHost) -> None:
    readme = docpages.blocks(TOP / "README.md")
    spec = next(block for block in readme if block.language == "yaml")
    host.machine.write(f"{FOLDER}/fleet.yaml", spec.text.replace("instances:", "  gpus: none\ninstances:"))

    printed = typed(host, [block for block in readme if block.language == "sh" and not block.marks])

    for words in ("3 to start", "3 of 3 servers proved", '"done":true', "ollama@mistral.service", "mistral"):
        assert words in printed
