"""Servers that run on though nothing on disk describes them."""

from dataclasses import replace

import pytest

from ollamactl.facts import Facts, Layout
from ollamactl.files import ObservedFile
from ollamactl.model import Fleet, Instance
from ollamactl.observed import Active, Observed, Running, UnitState
from ollamactl.planning import lost
from ollamactl.proving.proof import Check
from ollamactl.units import record

UNITS = "/etc/systemd/system"
UP = UnitState(name="ollama@a.service", load_state="loaded", active=Active.ACTIVE, sub_state="running", main_pid=7)
LINKED = Observed(wanted=frozenset({UP.name}))
A = Instance(name="a", port=1, models=())
DROP_IN = f"{UNITS}/ollama@a.service.d/10-ollamactl.conf"


def file(path: str, text: str = "", *, ours: bool = True) -> dict[str, ObservedFile]:
    return {path: ObservedFile(path=path, data=text.encode(), ours=ours)}


def only(observed: Observed) -> Check:
    (proof,) = lost.proofs(observed, ())
    assert (proof.instance, proof.unit, proof.listen, proof.ok) == ("a", UP.name, "", False)
    (check,) = proof.checks
    return check


@pytest.mark.parametrize(
    ("observed", "found"),
    [
        pytest.param(LINKED, True, id="starts at boot"),
        pytest.param(replace(LINKED, units={UP.name: UP}), True, id="starts at boot and runs"),
        pytest.param(
            Observed(units={UP.name: UP}, running={"a": Running(config="01")}), True, id="was started with ours"
        ),
        pytest.param(
            Observed(units={UP.name: UP}, files=file("/var/lib/ollamactl/views/a/README")), True, id="has its models"
        ),
        pytest.param(Observed(files=file("/var/lib/ollamactl/views/a/README")), False, id="left its models behind"),
        pytest.param(Observed(units={UP.name: UP}, running={"a": Running()}), False, id="is none of ours"),
        pytest.param(
            Observed(units={UP.name: UP}, running={"a": Running()}, files=file(DROP_IN, ours=False)),
            False,
            id="is somebody else's",
        ),
        pytest.param(Observed(), False, id="is not there"),
    ],
)
def test_a_server_of_ours_that_matters_is_found(observed: Observed, found: bool) -> None:
    assert [proof.instance for proof in lost.proofs(observed, ())] == (["a"] if found else [])
    assert lost.proofs(observed, (A,)) == ()


@pytest.mark.parametrize(
    ("files", "what"),
    [
        ({}, "is gone"),
        (file(DROP_IN, "[X-Ollamactl]\nInstance=?\n"), "does not say what it is"),
        (file(DROP_IN, "[Service]\n", ours=False), "is somebody else's"),
    ],
)
def test_what_is_wrong_with_its_drop_in_is_told(files: dict[str, ObservedFile], what: str) -> None:
    assert only(replace(LINKED, files=files)).found == f"it is inactive (dead), and its drop-in {DROP_IN} {what}"


def test_the_way_back_names_the_spec_that_it_came_from() -> None:
    target = file(f"{UNITS}/ollama-fleet.target", record.fleet_line(Fleet(source="/srv/my fleet.yaml")))
    assert only(replace(LINKED, files=target)).hint.endswith(": sudo ollamactl apply '/srv/my fleet.yaml'")
    assert only(LINKED).hint.endswith(": sudo ollamactl apply fleet.yaml")
    users = replace(LINKED, facts=Facts(layout=Layout(user=True)))
    assert only(users).hint.endswith(": ollamactl --user apply fleet.yaml")
