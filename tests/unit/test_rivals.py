"""Other units' addresses, and what precheck says of them."""

from dataclasses import replace

import pytest

from ollamactl.errors import Severity
from ollamactl.model import Fleet, Instance
from ollamactl.observed import Observed, PortHolder, Rival
from ollamactl.planning import precheck

FLEET = Fleet(instances=(Instance(name="llama3", port=11434, models=("llama3:latest",)),))
STOCK = Rival(unit="ollama.service", host="127.0.0.1", port=11434, enabled=True)


def test_an_enabled_service_on_the_same_port_forbids_an_apply_before_they_fight_at_boot() -> None:
    (problem,) = precheck.problems(FLEET, (), Observed(rivals=(STOCK,)))

    assert problem.severity is Severity.ERROR
    assert problem.message == "ollama.service is set to listen on 127.0.0.1:11434 too, and is started at boot"
    assert problem.hint == "sudo systemctl disable --now ollama.service, or choose another port in the spec"


def test_one_that_only_runs_by_hand_is_a_warning() -> None:
    by_hand = Rival(unit="web.socket", host="::", port=11434, enabled=False, up=True)
    (problem,) = precheck.problems(FLEET, (), Observed(rivals=(by_hand,)))

    assert problem.severity is Severity.WARNING
    assert problem.message == "web.socket is set to listen on 127.0.0.1:11434 too"


@pytest.mark.parametrize("host", ["127.0.0.2", "10.0.0.1"])
def test_another_address_or_port_is_no_rival(host: str) -> None:
    others = (
        Rival(unit="a.socket", host=host, port=11434, enabled=True),
        Rival(unit="b.socket", host="0.0.0.0", port=80, enabled=True),
    )
    assert precheck.problems(FLEET, (), Observed(rivals=others)) == ()


def test_a_rival_that_holds_the_port_is_told_once() -> None:
    holder = PortHolder(address="127.0.0.1", port=11434, pid=7, command="ollama serve", unit="ollama.service")
    (problem,) = precheck.problems(FLEET, (), Observed(rivals=(STOCK,), holders={"llama3": holder}))

    assert "is taken by pid 7" in problem.message


@pytest.mark.parametrize(("enabled", "up", "told"), [(True, False, True), (False, True, True), (False, False, False)])
def test_a_service_with_the_fleet_s_own_store_is_told_of(enabled: bool, up: bool, told: bool) -> None:
    other = Rival(unit="my.service", host="127.0.0.1", port=1, enabled=enabled, up=up, stores=(FLEET.models_dir,))
    found = precheck.problems(FLEET, (), Observed(rivals=(other,)))

    assert [(each.severity, each.path) for each in found] == [(Severity.WARNING, "ollama.models")] * told
    assert all("my.service has the same store" in each.message for each in found)


def test_one_that_makes_room_is_not_told_of() -> None:
    leaving = replace(FLEET.instances[0], replaces=("ollama.service",))
    rival = replace(STOCK, stores=(FLEET.models_dir,))

    assert precheck.problems(Fleet(instances=(leaving,)), (), Observed(rivals=(rival,))) == ()
