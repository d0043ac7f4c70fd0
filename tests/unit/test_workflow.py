"""The chains that commands are made of, below a root of a test: compile, look, plan, write, and what stops them."""

from pathlib import Path

import pytest

from ollamactl import transaction, workflow
from ollamactl.errors import Severity, UsageError
from ollamactl.host import lock, observe
from ollamactl.model import Fleet, Instance
from ollamactl.planning.plan import StepKind
from ollamactl.spec.source import Source

FLEET = """\
version: 1
defaults: {gpus: none}
instances:
  a: {port: 11434, models: [m]}
  b: {port: 11435, models: [m, n], store: shared}
"""
UNITS = "etc/systemd/system"


def source(text: str = FLEET) -> Source:
    return Source(name="fleet.yaml", path="/root/fleet.yaml", data=text.encode())


@pytest.fixture
def host(tmp_path: Path) -> observe.Host:
    return observe.host(root=str(tmp_path))


def silent(_: str, __: str) -> None:
    pass


def apply(host: observe.Host, text: str = FLEET, *only: str) -> workflow.Applied:
    return transaction.apply(host, source(text), transaction.Options(only=only), silent)


def files(host: observe.Host) -> dict[str, bytes]:
    """Every file below the root but the lock."""
    paths = (path for path in host.root.rglob("*") if path.is_file() and path.suffix != ".lock")
    return {str(path.relative_to(host.root)): path.read_bytes() for path in paths}


def test_what_a_plan_promises_is_what_apply_does(host: observe.Host) -> None:
    planned = workflow.plan(host, source())
    assert files(host) == {}
    applied = apply(host)
    assert str(applied.planned.plan) == str(planned.plan)
    assert {f"/{path}" for path in files(host)} == {step.subject for step in planned.plan.of(StepKind.WRITE)}
    assert (applied.outcome.ok, applied.outcome.changed) == (True, True)
    assert workflow.plan(host, source()).plan.changes == ()
    assert not apply(host).outcome.changed


def test_what_is_installed_is_the_fleet_of_the_spec(host: observe.Host) -> None:
    apply(host)
    fleet = workflow.installed(host).fleet
    assert fleet.source == "/root/fleet.yaml"
    assert [(each.name, each.port, each.models) for each in fleet.instances] == [
        ("a", 11434, ("m:latest",)),
        ("b", 11435, ("m:latest", "n:latest")),
    ]


def test_destroy_leaves_nothing(host: observe.Host) -> None:
    apply(host)
    assert transaction.destroy(host, transaction.Options(), silent).outcome.ok
    assert files(host) == {}
    assert workflow.plan_destroy(host).plan.changes == ()
    with pytest.raises(UsageError, match=r"^no fleet is installed here$"):
        workflow.installed(host)


def test_a_file_of_somebody_else_forbids_all_of_an_apply_and_says_so(host: observe.Host) -> None:
    mine = host.root / UNITS / "ollama@a.service.d" / "10-ollamactl.conf"
    mine.parent.mkdir(parents=True)
    mine.write_text("[Service]\nNice=5\n")
    before = files(host)
    with pytest.raises(workflow.NotReadyError) as caught:
        apply(host)
    errors = [problem for problem in caught.value.problems if problem.severity is Severity.ERROR]
    assert [problem.message for problem in errors] == ["this file is not ollamactl's, so it stays as it is"]
    assert files(host) == before
    assert apply(host, FLEET, "b").outcome.ok, "it is no business of the other instance"
    assert mine.read_text() == "[Service]\nNice=5\n"


def test_what_a_spec_asks_of_an_image_that_it_may_get_later_is_a_warning(host: observe.Host) -> None:
    planned = workflow.plan(host, source())
    assert not planned.errors
    assert any("model store" in problem.message for problem in planned.problems)


def test_only_leaves_out_what_concerns_the_others(host: observe.Host) -> None:
    concerned = {problem.instance for problem in workflow.plan(host, source(), only=["a"]).problems}
    assert concerned <= {"", "a"}
    assert "b" in {problem.instance for problem in workflow.plan(host, source()).problems}


A, B = (Instance(name=name, port=1, models=()) for name in ("a", "b"))


def test_names_that_there_are_not_are_refused_with_those_that_there_are() -> None:
    fleet = Fleet(instances=(B, A))
    assert workflow.limit(fleet, ["a"]) == {"a"}
    assert workflow.chosen(fleet, []) == (B, A)
    assert workflow.chosen(fleet, ["a"]) == (A,)
    with pytest.raises(UsageError, match=r"^there is no instance 'c'$") as caught:
        workflow.chosen(fleet, ["a", "c"])
    assert caught.value.hint == "there are: a, b"


def test_one_change_at_a_time(host: observe.Host) -> None:
    """The lock is held from the first look to the last write; each root has its own."""
    told: list[str] = []

    def hear(_: str, words: str) -> None:
        told.append(words)
        held.__exit__(None, None, None)

    held = lock.acquire(host.root / "run/ollamactl.lock", wait=False, on_wait=pytest.fail)
    held.__enter__()
    assert transaction.apply(host, source(), transaction.Options(), hear).outcome.ok
    assert len(told) == 1
    assert told[0].startswith("another ollamactl is at work")


SECRET = FLEET.replace("models: [m]}", "models: [m], secrets: {TOKEN: hunter2}}")


def test_the_same_secrets_stay_the_same_file_and_no_two_hosts_have_the_same(host: observe.Host, tmp_path: Path) -> None:
    apply(host, SECRET)
    there = files(host)
    path = "var/lib/ollamactl/secrets/a.env"

    assert not apply(host, SECRET.replace("m, n", "n, m").replace("hunter2", '"hunter2"')).outcome.failed
    assert files(host)[path] == there[path]
    apply(host, SECRET.replace("hunter2", "hunter3"))
    assert files(host)[path] != there[path]
    apply(host, SECRET)
    assert files(host)[path] == there[path]

    other = observe.host(root=str(tmp_path / "other"))
    apply(other, SECRET)
    assert b'TOKEN="hunter2"' in files(other)[path]
    assert files(other)[path] != there[path]
