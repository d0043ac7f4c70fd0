"""Every file of a fleet, whole; with UPDATE_GOLDEN=1 in the environment they are written anew, to be read in a diff."""

import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from ollamactl.facts import Facts, Layout
from ollamactl.files import MARKER, FileKind
from ollamactl.model import GATE_UNITS, HEAL_SERVICE, HEAL_TIMER, TARGET, TEMPLATE, Fleet, Instance, Store
from ollamactl.units.render import lacks, render
from tests.unit.render_cases import CASES, MODELS

GOLDEN = Path(__file__).parents[1] / "cases/render"


@pytest.mark.parametrize("case", CASES)
def test_a_fleet_becomes_these_files(case: str) -> None:
    files = {file.path.lstrip("/"): file.data.decode() for file in render(*CASES[case])}
    if os.environ.get("UPDATE_GOLDEN"):
        shutil.rmtree(GOLDEN / case, ignore_errors=True)
        for path, text in files.items():
            (GOLDEN / case / path).parent.mkdir(parents=True, exist_ok=True)
            (GOLDEN / case / path).write_text(text)
    found = (path for path in (GOLDEN / case).rglob("*") if path.is_file())
    assert files == {str(path.relative_to(GOLDEN / case)): path.read_text() for path in found}


def test_every_golden_file_belongs_to_a_case() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == set(CASES)


@pytest.mark.parametrize("case", CASES)
def test_files_are_sorted_unique_and_carry_the_marker(case: str) -> None:
    files = render(*CASES[case])
    paths = [file.path for file in files]
    assert paths == sorted(set(paths))
    for file in files:
        if file.kind is not FileKind.VIEW:
            assert file.data.decode().startswith(f"{MARKER}\n#")
        assert file.mode == (0o600 if file.kind is FileKind.SECRETS else 0o644)
    shared = {file.path.rpartition("/")[2] for file in files if not file.instance}
    fleet = CASES[case][0]
    extra = [HEAL_SERVICE, HEAL_TIMER] * bool(fleet.health) + [*GATE_UNITS] * any(i.gated for i in fleet.instances)
    assert shared == {TEMPLATE, TARGET, *extra}


def test_secrets_are_in_their_file_alone() -> None:
    files = render(*CASES["every-key"])
    assert [file.kind for file in files if b"s3cret" in file.data] == [FileKind.SECRETS]


def test_views_hold_the_bytes_of_the_stores_manifests() -> None:
    fleet, facts = CASES["every-key"]
    manifest = MODELS["reg.example:5000/team/coder:1"]
    views = {file.path: file.data for file in render(fleet, facts) if file.instance == "Coder.v2"}
    assert views[f"/var/lib/ollamactl/views/Coder.v2/{manifest.path}"] == manifest.data


def test_a_model_that_the_store_lacks_is_left_out_but_the_view_is_there() -> None:
    fleet = Fleet(instances=(Instance(name="x", port=1, models=("x",)),))
    assert [file.path for file in render(fleet, Facts()) if file.kind is FileKind.VIEW] == [
        "/var/lib/ollamactl/views/x/README"
    ]


def test_a_writable_store_of_nobodys_or_roots_never_makes_a_server_of_root() -> None:
    fleet = Fleet(instances=(Instance(name="x", port=1, models=("x",), store=Store.WRITABLE),))
    for owner in ("", "root"):
        text = b"".join(file.data for file in render(fleet, Facts(store_owner=owner)) if file.instance)
        assert b"\nUser=ollama-x\n" in text
        assert b"DynamicUser=no" not in text


def test_the_users_manager_says_what_it_lacks_and_the_systems_lacks_nothing() -> None:
    fleet, facts = CASES["user"]
    (template,) = [file.data.decode() for file in render(fleet, facts) if file.kind is FileKind.TEMPLATE]
    assert len(lacks(facts)) == 4
    assert all(f"\n# - {sentence}\n" in template for sentence in lacks(facts))
    assert lacks(replace(facts, layout=Layout())) == ()


def test_a_thousand_instances_cost_a_quarter_of_a_millisecond_each() -> None:
    fleet, facts = CASES["pins"]
    many = replace(fleet, instances=tuple(replace(fleet.instances[0], name=f"i{n}", port=n) for n in range(1, 1001)))
    render(fleet, facts)
    spent = min(_seconds(many, facts) for _ in range(3))
    assert spent < 0.5  # twice what is wanted, for a busy machine


def _seconds(fleet: Fleet, facts: Facts) -> float:
    begun = time.process_time()
    render(fleet, facts)
    return time.process_time() - begun


def test_jinja_is_loaded_only_to_render() -> None:
    code = "import sys, ollamactl.units.render; sys.exit('jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
