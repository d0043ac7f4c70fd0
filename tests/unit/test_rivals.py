"""Other units' addresses, and what precheck says of them."""

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
