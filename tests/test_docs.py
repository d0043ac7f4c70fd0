"""What the documents say is what the program does: commands, options, exit codes, examples, the JSON envelope."""

import re
from pathlib import Path

import click
import pytest

from ollamactl import report
from ollamactl.cli import cli
from ollamactl.errors import ExitCode, Problem
from ollamactl.facts import Gpu, Vendor
from ollamactl.files import File, FileKind
from ollamactl.model import Instance
from ollamactl.observed import UnitState
from ollamactl.outcome import Outcome
from ollamactl.planning.plan import Plan, Step, StepKind
from ollamactl.proving.judge import judge
from ollamactl.proving.proof import Evidence, Expected
from ollamactl.result import STATUS, Result, problem_data
from ollamactl.spec import schema, specfile
from tests import jsondoc

TOP = Path(__file__).parents[1]
README = (TOP / "README.md").read_text()
HACKING = (TOP / "HACKING.md").read_text()
GUIDE, COMMANDS, SPEC, JSON = ((TOP / f"docs/{name}.md").read_text() for name in ("guide", "commands", "spec", "json"))
GLOBAL = {"--output", "--quiet", "--verbose", "--root", "--user", "--help"}


def test_the_reference_tells_of_each_command_and_its_options() -> None:
    sections = dict(re.findall(r"^## `(\w+)`\n(.*?)(?=^## )", COMMANDS, re.M | re.S))
    assert list(sections) == list(cli.commands)
    for name, command in cli.commands.items():
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not GLOBAL & {*parameter.opts}:
                assert all(option in sections[name] for option in parameter.opts), f"{name} {parameter.opts}"


def test_the_reference_tells_of_each_key_of_the_spec() -> None:
    whole = schema.load()
    keys = {*whole["properties"], *whole["$defs"]["instance"]["properties"]} - {"defaults", "instances"}
    assert keys == {path for path in re.findall(r"^- \*\*`([^`]+)`", SPEC, re.M) if "." not in path}


@pytest.mark.parametrize("code", list(ExitCode))
def test_guide_and_help_name_every_exit_code(code: ExitCode) -> None:
    exits = " ".join(GUIDE.split()).partition("Exit codes are")[2].partition(". ")[0]

    assert re.search(rf"\b{int(code)}\b", exits)
    assert re.search(rf"\b{int(code)}\b", (cli.help or "").partition("Exit codes:")[2])


def test_the_envelope_of_json_is_described() -> None:
    text = JSON.partition("The envelope:")[2].partition("\n\n")[0]
    told = set(re.findall(r"`(\w+)`", text))

    assert told == set(Result(command="x").envelope())
    assert all(status in text for status in STATUS.values())
    assert all(field in text for field in problem_data(Problem(message="x")))


def test_what_each_command_has_in_its_data_is_documented() -> None:
    """That it is so, tests/cli and tests/system see: they hold each document that they get against docs/json.md."""
    kinds = {key.kind for keys in jsondoc.SECTIONS.values() for key in keys.values()} - {""}
    assert {name.strip("`") for name in jsondoc.SECTIONS if name.startswith("`")} == set(cli.commands)
    assert kinds == {name for name in jsondoc.SECTIONS if not name.startswith("`")}
    assert len(re.findall(r"^- ", jsondoc.TEXT, re.M)) == len(re.findall(r"^- (?:`|what )", jsondoc.TEXT, re.M))


def test_what_is_documented_of_steps_proofs_and_files_is_what_there_is() -> None:
    step = Step(kind=StepKind.WRITE, subject="/x", file=File(path="/x", data=b"", kind=FileKind.DROP_IN))
    plan, unit = Plan(steps=(step,)), UnitState(name="ollama@a.service")
    proof = judge(Instance(name="a", port=1, models=("m",)), Expected(), Evidence(unit=unit))
    made = {
        "`plan`": {"steps": report.plan_data(plan, diff=True)},
        "`verify`": {"steps": report.plan_data(plan), "proofs": report.proof_data([proof])},
        "`render`": {"files": report.files_data([step.file] if step.file else [])},
        "`gpus`": {"gpus": [report.card_data(Gpu(vendor=Vendor.AMD, index=0, pci=""))]},
        "`apply`": {"steps": [], "proofs": [], "rollback": report.outcome_data(plan, Outcome(proofs=(proof,)))},
    }
    assert [words for section, data in made.items() for words in jsondoc.wrong(data, section)] == []
    assert jsondoc.wrong({"steps": [{"step": "write", "new": 1}]}, "`plan`") == [
        "steps: new is not documented", *(f"steps: {name} is missing" for name in ("subject", "cause", "instance")),
    ]  # fmt: skip


@pytest.mark.parametrize("example", sorted((TOP / "examples").glob("*.yaml")), ids=lambda path: path.name)
def test_examples_are_valid(example: Path) -> None:
    assert specfile.load(example.read_bytes(), name=example.name).fleet.instances


def test_hacking_names_only_modules_that_there_are() -> None:
    table = HACKING.partition("| to change | look in |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`([a-z]+)`", table)) | set(re.findall(r"`([a-z]+)[/.]", table))
    there = {path.stem for path in (TOP / "ollamactl").rglob("*.py")}
    there |= {path.parent.name for path in (TOP / "ollamactl").rglob("__init__.py")}
    there |= {"templates", "schema", "restart_digest", "debian", "docs", "packaging", "tests"}

    assert named - {"describe", "strict"} <= there


def test_make_targets_in_the_documents_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (TOP / "Makefile").read_text(), re.M))

    assert set(re.findall(r"^ *make ([a-z-]+)", README + HACKING + GUIDE, re.M)) <= targets


def test_every_fault_is_told_with_a_test_that_there_is() -> None:
    text = (TOP / "docs/faults.md").read_text()
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    assert len(rows) > 30
    for fault, _, tests in rows[1:]:
        named = re.findall(r"`((?:soak/)?test_\w+\.py)::(test_\w+)`", tests)
        assert named, f"docs/faults.md names no test of: {fault}"
        for module, name in named:
            path = TOP / "tests" / (module if "/" in module else f"system/{module}")
            assert f"\ndef {name}(" in path.read_text(), f"docs/faults.md: there is no {name} in {path.name}"
