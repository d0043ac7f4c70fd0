"""The role with a real ansible-core over SSH on three hosts: it says what it does, and before what it would do."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.package import managed
from tests.package.managed import ANSIBLE, PLAYBOOKS, Site
from tests.system.fleethost import SPEC, drop_in
from tests.system.packaged import built

pytestmark = pytest.mark.system

NAMES = ("one", "two", "three")


def fleet(**instances: Any) -> dict[str, Any]:
    defaults = {"gpus": "none"}
    return {
        "version": 1,
        "ollama": {"binary": "/usr/local/bin/ollama-standin"},
        "defaults": defaults,
        "instances": instances,
    }


BOTH = fleet(llama3={"port": 11434}, mistral={"port": 11435})
EDITED = fleet(llama3={"port": 11434}, mistral={"port": 11435, "context_length": 4096})
BROKEN = fleet(llama3={"port": 11434}, mistral={"port": 11435, "environment": {"STANDIN_EXIT": "3"}})
FEWER = fleet(llama3={"port": 11434})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with managed.site(tmp_path_factory.mktemp("site"), *NAMES) as site:
        yield site


@pytest.fixture(scope="module")
def deb(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(built(tmp_path_factory.mktemp("deb")))


def states(place: Site) -> dict[str, dict[str, str]]:
    return {name: host.files() for name, host in place.hosts.items()}


def everywhere(number: int) -> dict[str, int]:
    return dict.fromkeys(NAMES, number)


def test_from_the_first_run_to_the_last(place: Site, deb: str) -> None:
    def play(spec: dict[str, Any], *options: str, book: str = "site.yml") -> managed.Played:
        variables = {"ollamactl_fleet": spec, "ollamactl_deb": deb, "ollamactl_timeout": "20s"}
        return place.play(book, variables, *options)

    bare = states(place)
    checked = play(BOTH, "--check", "--diff")
    assert (checked.code, states(place)) == (0, bare), checked.text
    first = play(BOTH)
    assert first.code == 0, first.text
    assert first.count("changed") == checked.count("changed") == everywhere(4)
    for host in place.hosts.values():
        assert host.states("llama3", "mistral") == {"llama3": "active", "mistral": "active"}
    again = play(BOTH)
    assert (again.code, again.count("changed")) == (0, everywhere(0))

    before = states(place)
    checked = play(EDITED, "--check", "--diff")
    assert "-Environment=OLLAMA_CONTEXT_LENGTH=8192" in checked.text
    assert states(place) == before
    real = play(EDITED)
    assert checked.steps() == real.steps()
    assert checked.count("changed") == real.count("changed") == everywhere(2)

    two = place.hosts["two"].machine
    two.write(drop_in("llama3"), two.read(drop_in("llama3")) + "\n[Service]\nNice=7\n")
    checked, real = play(EDITED, "--check"), play(EDITED)
    assert checked.steps() == real.steps()
    assert checked.count("changed") == real.count("changed") == {"one": 0, "two": 1, "three": 0}

    place.hosts["three"].machine.cut_power()
    alone = play(BOTH)
    assert (alone.code, alone.count("unreachable")) == (4, {"one": 0, "two": 0, "three": 1})
    assert alone.count("changed") == {"one": 2, "two": 2, "three": 0}
    place.hosts["three"].machine.start()

    running = {name: host.invocations("llama3", "mistral") for name, host in place.hosts.items()}
    stopped = play(BROKEN, book="rolling.yml")
    assert stopped.code == 2, stopped.text
    assert stopped.count("failed") == {"one": 1}, "the others' turn did not come"
    assert "what was changed was rolled back" in str(stopped.results("Apply the spec")["one"]["msg"])
    assert place.hosts["one"].json("verify").code == 0
    for name in ("two", "three"):
        assert place.hosts[name].invocations("llama3", "mistral") == running[name]

    gone = play(FEWER, book="rolling.yml")
    assert gone.code == 0, gone.text
    for host in place.hosts.values():
        assert not host.machine.exists(drop_in("mistral"))
        assert host.states("llama3") == {"llama3": "active"}
    task = play(FEWER, book="one-task.yml")
    assert (task.code, task.count("changed")) == (0, everywhere(0))


def test_a_wrong_spec_is_refused_before_it_is_in_place(place: Site, deb: str) -> None:
    wrong = fleet(llama3={"prot": 11434})
    before = states(place), [host.machine.read(SPEC) for host in place.hosts.values()]
    for options in ((), ("--check",)):
        played = place.play("site.yml", {"ollamactl_fleet": wrong, "ollamactl_deb": deb}, *options)
        assert played.code == 2
        assert "prot" in played.text
    assert (states(place), [host.machine.read(SPEC) for host in place.hosts.values()]) == before


def test_ansible_lint_has_nothing_to_say() -> None:
    tools = ANSIBLE.ensure() / "bin"
    path = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "ANSIBLE_HOME": "/tmp/ollamactl-ansible"}
    command = [tools / "python3", "-m", "ansiblelint", "--offline", "--strict", "--profile", "production"]
    done = subprocess.run(list(map(str, command)), cwd=PLAYBOOKS, env=path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
