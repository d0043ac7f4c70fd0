"""What is packaged says what the program says: versions, dependencies, places on disk, manual pages, completion."""

import re
import subprocess
import sys
import textwrap
from configparser import ConfigParser
from pathlib import Path

import click
import pytest

from ollamactl import __version__
from ollamactl.access import LOCK, PULL_LOCK
from ollamactl.cli import cli
from ollamactl.facts import Layout
from ollamactl.files import MARKER
from ollamactl.host.unitdir import DROP_IN
from ollamactl.model import GATE_SERVICE, GATE_UNITS, HEAL_SERVICE, HEAL_TIMER, TARGET, TEMPLATE, gate_socket
from ollamactl.pulling import staging
from ollamactl.pulling import unit as pull
from ollamactl.spec import schema, specfile

TOP = Path(__file__).parents[2]
DEBIAN = TOP / "debian"
LAYOUT = Layout()


def made(script: str, folder: Path) -> Path:
    """What a generator of packaging/ writes."""
    subprocess.run([sys.executable, TOP / "packaging" / script, folder], check=True, env={"SOURCE_DATE_EPOCH": "0"})
    return folder


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made("manpages.py", tmp_path_factory.mktemp("man"))


def test_the_package_has_the_programs_version() -> None:
    assert (DEBIAN / "changelog").read_text().startswith(f"ollamactl ({__version__}) ")


def test_the_package_depends_on_what_pip_would_install() -> None:
    settings = ConfigParser()
    settings.read(TOP / "setup.cfg")
    wanted = {
        re.sub(r"^py(?=yaml)", "", name.lower()): bound
        for name, bound in re.findall(r"([\w-]+)>=(\S+)", settings["options"]["install_requires"])
    }
    control = (DEBIAN / "control").read_text().partition("\nPackage:")[2]
    assert dict(re.findall(r"python3-([\w-]+) \(>= (\S+)\)", control)) == wanted


def test_the_scripts_of_the_package_know_every_place_of_the_programs() -> None:
    purge, removal = (DEBIAN / "postrm").read_text(), (DEBIAN / "prerm").read_text()
    inside = (LAYOUT.views, LAYOUT.secrets, LAYOUT.metrics, LAYOUT.generations, LAYOUT.identity)
    names = [path.replace(LAYOUT.state_dir, "$state") for path in inside]
    for word in (
        TARGET, TEMPLATE, HEAL_SERVICE, HEAL_TIMER, *GATE_UNITS, gate_socket("*"), LAYOUT.gate_state, DROP_IN,
        f"dir={LAYOUT.unit_dir}\n", f"state={LAYOUT.state_dir}\n",
        LAYOUT.instance_state, f"/{staging.NAME}", LAYOUT.run_dir, LOCK, PULL_LOCK, *names,
    ):  # fmt: skip
        assert word in purge, word
    for word in (TARGET, GATE_SERVICE, gate_socket("*"), DROP_IN, LOCK, pull.UNIT, f"dir={LAYOUT.unit_dir}\n"):
        assert word in removal, word
    pattern = f"'^{re.escape(MARKER)}'".replace("\\ ", " ").replace("\\#", "#")
    assert pattern in purge
    assert pattern in removal


def test_scripts_of_the_package_are_shell() -> None:
    for name in ("postinst", "prerm", "postrm"):
        subprocess.run(["sh", "-n", DEBIAN / name], check=True)


@pytest.mark.parametrize("name", list(cli.commands))
def test_each_command_has_a_page_with_all_its_options(pages: Path, name: str) -> None:
    text = (pages / f"ollamactl-{name}.1").read_text().replace(r"\-", "-")
    for parameter in cli.commands[name].params:
        if isinstance(parameter, click.Option):
            assert all(re.search(rf"^\.B .*{option}\b", text, re.M) for option in parameter.opts), parameter.opts
    assert rf".BR \%ollamactl-{name} (1)" in (pages / "ollamactl.1").read_text().replace(r"\-", "-")


def test_the_page_of_the_spec_has_every_key(pages: Path) -> None:
    text = (pages / "ollamactl-fleet.5").read_text()
    whole = schema.load()
    keys = {*whole["$defs"]["instance"]["properties"], *whole["properties"]} - {"defaults", "instances"}
    assert {key for key in keys if f"\n.B {key}\n" not in text} == set()
    assert "\n.B restart.policy\n" in text


def test_groff_has_nothing_to_say_about_any_page(pages: Path) -> None:
    for page in sorted(pages.iterdir()):
        done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-z", page], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, ""), page


def test_pages_are_dated_by_the_build_and_not_by_the_clock(pages: Path) -> None:
    assert "1970-01-01" in (pages / "ollamactl.1").read_text().replace(r"\-", "-")


def test_each_shell_gets_its_completion(tmp_path: Path) -> None:
    folder = made("completion.py", tmp_path)
    assert "_OLLAMACTL_COMPLETE=bash_complete" in (folder / "bash/ollamactl").read_text()
    assert (folder / "zsh/_ollamactl").read_text().startswith("#compdef ollamactl\n")
    assert "_OLLAMACTL_COMPLETE=fish_complete" in (folder / "fish/ollamactl.fish").read_text()


@pytest.mark.parametrize("group", ["workstations", "gpu_servers"])
def test_the_fleets_of_the_example_inventory_are_right(group: str) -> None:
    text = (TOP / f"packaging/ansible/inventory/group_vars/{group}.yml").read_text()
    spec = textwrap.dedent(text.partition("ollamactl_fleet:\n")[2])
    assert specfile.load(spec.encode(), name=group).fleet.instances
