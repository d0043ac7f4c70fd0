"""`--root` prepares an image with no manager at hand: the fleet is up when the image boots, wherever that is."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.container import Container
from tests.lab.roots import SUITES
from tests.system.fleethost import SPEC, STANDIN, STATE, STORE, UNITS, FleetHost

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("image")]

FLEET = f"""
    version: 1
    defaults: {{gpus: none}}
    instances:
      llama3: {{port: 11434}}
      two: {{port: 11435, models: [qwen, "acme/coder:7b"], secrets: {{TOKEN: s3cret}}, binary: {STANDIN}}}
      later: {{port: 11436, models: mistral, enabled: false, state: stopped}}
"""
IMAGE = "/srv/image"
LINKS = {
    f"{UNITS}/multi-user.target.wants/ollama-fleet.target": f"{UNITS}/ollama-fleet.target",
    f"{UNITS}/ollama-fleet.target.wants/ollama@llama3.service": f"{UNITS}/ollama@.service",
    f"{UNITS}/ollama-fleet.target.wants/ollama@two.service": f"{UNITS}/ollama@.service",
}


@dataclass(frozen=True)
class Built:
    """The machine on which an image was made, the image's tree outside of it, and what ollamactl said."""

    builder: FleetHost
    tree: Path
    said: str
    changed_elsewhere: list[str]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """An image that holds the models and the fleet."""
    with Container.boot("bookworm", store=True) as machine:
        host = FleetHost(machine)
        machine.run(f"mkdir -p {IMAGE}{STORE} && cp -a {STORE}/. {IMAGE}{STORE}")
        path = host.spec(FLEET)
        machine.run("sleep 0.02; touch /run/before; sleep 0.02")
        said = machine.ollamactl("--root", IMAGE, "apply", path).stdout
        elsewhere = machine.run(f"find / -xdev -newer /run/before -not -path '{IMAGE}*' -not -path '/proc*'").stdout
        tree = tmp_path_factory.mktemp("image")
        subprocess.run(["cp", "-a", f"{machine.path(IMAGE)}/.", str(tree)], check=True)
        yield Built(host, tree, said, elsewhere.splitlines())


def test_an_image_gets_files_and_links_and_the_machine_itself_nothing(built: Built) -> None:
    assert built.said == "Done: 13 files written.\n"
    assert built.changed_elsewhere == []
    links = {str(path.relative_to(built.tree)): path for path in built.tree.rglob("*") if path.is_symlink()}
    assert {f"/{name}": str(path.readlink()) for name, path in links.items()} == LINKS


def test_the_image_holds_the_very_files_of_a_running_machine(built: Built) -> None:
    built.builder.applied(FLEET)

    live = built.builder.files(UNITS, STATE)
    alone = re.compile(f"{STATE}/(compiled.json|generations)")  # what only a host that runs has
    ours = {path: words for path, words in live.items() if "ollama" in path and not alone.match(path)}
    ours[f"{UNITS}/multi-user.target.wants"] = live[f"{UNITS}/multi-user.target.wants"]
    image = built.builder.files(f"{IMAGE}{UNITS}", f"{IMAGE}{STATE}")

    def content(path: str, words: str) -> str:
        mode, *rest = words.split()
        if words.startswith("link") or path.endswith(".env"):
            return words if words.startswith("link") else mode  # secrets have a salt of their own on each host
        return " ".join((mode, *rest[1:]))  # without the time

    assert {path.removeprefix(IMAGE): content(path, words) for path, words in image.items()} == {
        path: content(path, words) for path, words in ours.items()
    }


def test_a_second_time_there_is_nothing_to_do(built: Built) -> None:
    again = built.builder.json("--root", IMAGE, "apply", SPEC)

    assert (again.code, again.changed, again.steps) == (0, False, [])


@pytest.mark.parametrize("suite", SUITES)
def test_the_image_boots_into_the_fleet_with_no_word_from_ollamactl(built: Built, suite: str) -> None:
    with Container.boot(suite, extra_layers=[built.tree]) as machine:
        host = FleetHost(machine)
        host.wait_for(lambda: host.listening(11434) and host.listening(11435))

        assert host.states("llama3", "two", "later") == {"llama3": "active", "two": "active", "later": "inactive"}
        assert (host.models(11434), host.environ(11435)["TOKEN"]) == (["llama3:latest"], "s3cret")
        assert host.json("verify").code == 0
        if suite == "bookworm":  # newer managers could have more: growing waits
            planned = host.plan(FLEET, "--exit-code")
            assert (planned.code, planned.steps) == (0, [])


def test_render_is_for_the_manager_that_it_is_told(built: Built) -> None:
    def waits(version: str) -> int:
        command = ["--root", IMAGE, "render", "--systemd-version", version, SPEC]
        return built.builder.machine.ollamactl(*command).stdout.count("RestartMaxDelaySec=1m")

    assert (waits("252"), waits("253"), waits("254"), waits("262")) == (0, 0, 3, 3)
