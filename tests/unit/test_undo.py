"""The way back: wherever an apply was left, the host is what it was before, and who was not touched is not touched."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ollamactl.model import HEAL_TIMER, TARGET, Fleet, Instance, State, instance_name, unit_name
from ollamactl.observed import UP, Active, PortHolder, Replaced, UnitState
from ollamactl.planning import displace
from ollamactl.planning.plan import StepKind
from ollamactl.planning.undo import former, undo
from tests.unit.simhost import SimHost
from tests.unit.test_reconcile import fleets

several = settings(max_examples=200)

SHARED = {TARGET, HEAL_TIMER}
A = Instance(name="a", port=11434, models=("llama3:latest",), gpus=())
B = Instance(name="b", port=11435, models=("llama3:latest",), gpus=())


def host_with(fleet: Fleet) -> SimHost:
    host = SimHost()
    host.apply(fleet)
    return host


def serving(host: SimHost) -> dict[str, tuple[str | None, str | None, str]]:
    """What runs, by unit, but for when it was started."""
    return {unit: (each.config, each.secrets, each.listen) for unit, each in host.processes.items()}


@several
@given(old=fleets(), new=fleets(), data=st.data())
def test_wherever_an_apply_was_left_the_host_is_as_before(old: Fleet, new: Fleet, data: st.DataObject) -> None:
    host = host_with(old)
    before = host.observe(new)
    files, links, up, runs = dict(host.files), set(host.links), SHARED & host.units.keys(), serving(host)
    serials = {unit: process.serial for unit, process in host.processes.items()}
    plan = host.plan(new)
    left_at = data.draw(st.integers(0, len(plan.steps)))
    host.carry_out(plan.steps[:left_at])

    back = undo(plan, before, host.observe(former(before)))
    host.carry_out(back.steps)

    assert (host.files, host.links, SHARED & host.units.keys(), serving(host)) == (files, links, up, runs)
    touched = {step.instance for step in plan.changes}
    assert {unit for unit in serials if instance_name(unit) not in touched} == {
        unit
        for unit, process in host.processes.items()
        if instance_name(unit) not in touched and serials[unit] == process.serial
    }
    assert undo(plan, before, host.observe(former(before))).changes == ()


def test_who_was_down_before_is_down_again() -> None:
    host = host_with(Fleet(instances=(A, B)))
    host.stop(unit_name("a"))
    host.break_down(unit_name("b"), Active.FAILED, "failed", restarts=5)
    changed = Fleet(instances=(replace(A, context_length=4096), replace(B, context_length=4096)))
    before = host.observe(changed)
    plan = host.apply(changed)
    assert len(host.processes) == 2

    back = undo(plan, before, host.observe(former(before)))
    host.carry_out(back.steps)

    assert not host.processes
    assert {step.subject for step in back.of(StepKind.STOP)} == {unit_name("a"), unit_name("b")}
    assert back.of(StepKind.VERIFY, StepKind.DISABLE, StepKind.ENABLE) == ()


def test_a_first_apply_leaves_nothing_behind() -> None:
    host = SimHost()
    before = host.observe(Fleet(instances=(A,)))
    plan = host.apply(Fleet(instances=(A,)))

    back = undo(plan, before, host.observe(former(before)))
    host.carry_out(back.steps)

    assert (host.files, host.links, host.target_enabled, host.processes) == ({}, set(), False, {})
    assert not any(unit.active in UP for unit in host.units.values())
    assert {step.cause for step in back.changes} == {"as before"}


LINKS = {"/etc/systemd/system/default.target.wants/ollama.service": "/etc/systemd/system/ollama.service"}


def replacing() -> tuple[SimHost, Fleet]:
    """Somebody else's service on 11434, and a fleet that takes its place."""
    state = UnitState(name="ollama.service", load_state="loaded", active=Active.ACTIVE)
    host = SimHost(others={"ollama.service": Replaced(state=state, links=LINKS, serves=True)})
    host.squatters.append(PortHolder(address="127.0.0.1", port=11434, pid=640, unit="ollama.service"))
    return host, Fleet(instances=(replace(A, replaces=("ollama.service",)), B))


@pytest.mark.parametrize("left_at", range(20))
def test_a_service_that_made_room_is_back_wherever_an_apply_was_left(left_at: int) -> None:
    host, fleet = replacing()
    before, others = host.observe(fleet), dict(host.others)
    plan = host.plan(fleet)
    host.carry_out(plan.steps[:left_at])

    services = displace.undone(plan, before, former(before), {}, {})
    back = undo(plan, before, host.observe(former(before)), services)
    host.carry_out(back.steps)

    assert (host.others, host.files, host.processes) == (others, {}, {})
    assert undo(plan, before, host.observe(former(before)), services).changes == ()


@pytest.mark.parametrize("killed_at", range(20))
def test_a_service_is_back_also_where_the_apply_before_was_killed(killed_at: int) -> None:
    """What that had taken away shows on the host no more: it stands in its generation."""
    host, fleet = replacing()
    others = dict(host.others)
    first, seen = host.plan(fleet), host.observe(fleet)
    host.carry_out(first.steps[:killed_at])
    begun = displace.ledger(first, seen, {})
    before = host.observe(fleet)
    again = host.apply(fleet)

    services = displace.undone(again, before, former(before), begun, {})
    host.carry_out(undo(again, before, host.observe(former(before)), services).steps)

    a_was_up = before.unit(A.unit).active in UP
    assert a_was_up or host.others == others


def test_a_service_whose_successor_served_before_stays_away() -> None:
    host, fleet = replacing()
    begun = displace.ledger(host.plan(fleet), host.observe(fleet), {})
    host.apply(fleet)
    changed = Fleet(instances=(replace(fleet.instances[0], context_length=4096), B))
    before = host.observe(changed)
    plan = host.apply(changed)

    assert displace.undone(plan, before, former(before), begun, begun) == {}
    assert displace.undone(plan, before, former(before), begun, {}) == {}


def test_what_somebody_disabled_by_hand_is_not_enabled() -> None:
    host = host_with(Fleet(instances=(A,)))
    host.links.clear()
    changed = Fleet(instances=(replace(A, context_length=4096),))
    before = host.observe(changed)
    plan = host.apply(changed)
    assert host.links == {unit_name("a")}

    host.carry_out(undo(plan, before, host.observe(former(before))).steps)

    assert host.links == set()


def test_who_is_not_touched_is_left_as_it_is_though_it_has_failed() -> None:
    host = host_with(Fleet(instances=(A, B)))
    changed = Fleet(instances=(replace(A, context_length=4096), replace(B, state=State.STOPPED)))
    plan = host.plan(changed, "a")
    before = host.observe(changed)
    host.carry_out(plan.steps)
    host.break_down(unit_name("b"), Active.FAILED, "failed", restarts=5)

    back = undo(plan, before, host.observe(former(before)))

    assert {step.instance for step in back.steps} <= {"a", ""}


def test_who_requires_a_server_that_is_put_back_goes_along_and_is_proved_again() -> None:
    """It was not touched before, but systemd restarts it now."""
    above = replace(A, requires=(unit_name("b"),))
    host = host_with(Fleet(instances=(above, B)))
    host.break_down(unit_name("b"), Active.FAILED, "failed", restarts=5)
    changed = Fleet(instances=(above, replace(B, context_length=4096)))
    before = host.observe(changed)
    plan = host.apply(changed, "b")
    assert {step.instance for step in plan.steps} == {"b", ""}

    back = undo(plan, before, host.observe(former(before)))
    host.carry_out(back.steps)

    assert [step.subject for step in back.of(StepKind.RESTART)] == [unit_name("b"), unit_name("a")]
    assert {step.instance for step in back.of(StepKind.VERIFY)} == {"a", "b"}
    assert serving(host) == serving(host_with(Fleet(instances=(above, B))))


def test_who_goes_down_with_a_server_that_is_taken_away_again_comes_back() -> None:
    host = host_with(Fleet(instances=(A,)))
    changed = Fleet(instances=(replace(A, requires=(unit_name("b"),)), B))
    before = host.observe(changed)
    plan = host.apply(changed)

    host.carry_out(undo(plan, before, host.observe(former(before))).steps)

    assert serving(host) == serving(host_with(Fleet(instances=(A,))))
