"""Who holds an address that the kernel shows the owner of to root alone."""

from collections.abc import Mapping
from dataclasses import replace

from ollamactl.model import Fleet, Instance
from ollamactl.observed import Active, Observed, PortHolder, Running, UnitState
from ollamactl.planning.whose import attributed

A, B, C = (Instance(name=name, port=port, models=()) for name, port in (("a", 1), ("b", 2), ("c", 3)))
INSTALLED = Fleet(instances=(A, B, C))
UNSEEN = Running()


def unseen(port: int, address: str = "127.0.0.1") -> PortHolder:
    return PortHolder(address=address, port=port)


def owners(
    holders: Mapping[str, PortHolder],
    *wanted: Instance,
    up: str = "abc",
    running: Running = UNSEEN,
    installed: Fleet = INSTALLED,
) -> dict[str, str]:
    units = [UnitState(name=f"ollama@{name}.service", active=Active.ACTIVE) for name in up]
    observed = Observed(
        holders=holders, units={unit.name: unit for unit in units}, running=dict.fromkeys(up, running)
    )  # fmt: skip
    return {name: each.unit for name, each in attributed(observed, Fleet(instances=wanted), installed).items()}


def test_a_server_that_is_up_and_installed_there_holds_it() -> None:
    assert owners({"a": unseen(1), "b": unseen(2)}, A, B) == {}
    assert owners({"a": unseen(2)}, replace(A, port=2)) == {"a": "ollama@b.service"}


def test_an_address_beside_it_is_not_its_own() -> None:
    wide = Fleet(instances=(A, replace(B, host="0.0.0.0"), replace(C, host="192.0.2.1")))
    moved = replace(A, port=2)
    assert owners({"a": unseen(2, "::")}, moved, installed=wide) == {"a": "ollama@b.service"}
    assert owners({"a": unseen(3)}, replace(A, port=3), installed=wide) == {"a": ""}


def test_a_server_that_moves_is_not_taken_for_the_stranger_where_it_goes() -> None:
    assert owners({"a": unseen(9)}, replace(A, port=9)) == {"a": ""}


def test_a_server_that_is_down_or_can_be_looked_at_holds_nothing_unseen() -> None:
    assert owners({"a": unseen(2)}, replace(A, port=2), up="a") == {"a": ""}
    assert owners({"a": unseen(2)}, replace(A, port=2), running=Running(config="0123")) == {"a": ""}


def test_who_is_seen_stays_who_he_is() -> None:
    nginx = PortHolder(address="127.0.0.1", port=2, pid=7, unit="nginx.service")
    assert owners({"a": nginx}, replace(A, port=2)) == {"a": "nginx.service"}


def test_a_server_whose_drop_in_is_gone_may_be_the_holder_of_its_own_port() -> None:
    lost = Fleet(instances=(B, C))
    assert owners({"a": unseen(1)}, A, installed=lost) == {}
    assert owners({"a": unseen(1)}, A, up="bc", installed=lost) == {"a": ""}
