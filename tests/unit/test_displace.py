"""Who makes room for a server: what is refused, what goes with it, and what is written down of it."""

from dataclasses import replace

import pytest

from ollamactl import generation
from ollamactl.errors import Problem
from ollamactl.files import MARKER, ObservedFile
from ollamactl.generation import Ending, Generation
from ollamactl.model import Fleet, Instance, State
from ollamactl.observed import Active, Displaced, Observed, Replaced, Rival, UnitState
from ollamactl.planning import displace
from ollamactl.planning.plan import Plan
from ollamactl.room import Room, owed
from ollamactl.units.record import instance_line

OLD = "ollama.service"
A = Instance(name="a", port=11434, models=("m:latest",), replaces=(OLD,))
FLEET = Fleet(instances=(A,))
LINKS = {"/etc/systemd/system/default.target.wants/ollama.service": "/etc/systemd/system/ollama.service"}
UP = Replaced(state=UnitState(name=OLD, load_state="loaded", active=Active.ACTIVE), links=LINKS, serves=True)
DOWN = replace(UP, state=replace(UP.state, active=Active.INACTIVE), links={})
WAS = Displaced(active=True, links=LINKS)


def seen(what: Replaced) -> Observed:
    return Observed(replaced={OLD: what})


def kinds(what: Replaced, fleet: Fleet = FLEET) -> list[str]:
    return [str(step.kind) for step in displace.steps(fleet, seen(what))]


def told(found: tuple[Problem, ...]) -> list[str]:
    return [f"{each.severity}: {each.message}" for each in found]


@pytest.mark.parametrize(
    ("what", "steps"),
    [
        (UP, ["disable", "displace"]),
        (replace(UP, links={}), ["displace"]),
        (replace(DOWN, links=LINKS), ["disable"]),
        (replace(UP, state=replace(UP.state, active=Active.ACTIVATING)), ["disable", "displace"]),
        (replace(UP, state=replace(UP.state, active=Active.FAILED)), ["disable"]),
        (DOWN, []),
        (replace(UP, serves=False), []),
        (replace(UP, state=replace(UP.state, name="other.service")), []),
    ],
)
def test_what_takes_it_away(what: Replaced, steps: list[str]) -> None:
    assert kinds(what) == steps
    assert kinds(what, Fleet(instances=(replace(A, state=State.STOPPED),))) == []
    assert kinds(what, Fleet(instances=(replace(A, replaces=()),))) == []
    assert list(displace.steps(FLEET, seen(what), ["b"])) == []


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (replace(UP, serves=False), "error: ollama.service does not run Ollama"),
        (replace(UP, carried=("web.service",)), "error: web.service would be stopped with ollama.service"),
        (replace(UP, pulled_in=("/lib/systemd/system/x.wants/ollama.service",)), "error: /lib/systemd/system/x.wants"),
        (replace(UP, state=replace(UP.state, name="other.service")), "error: ollama.service is another name of other"),
    ],
)
def test_what_cannot_make_room_is_refused(what: Replaced, words: str) -> None:
    (said,) = told(tuple(displace.problems(FLEET, seen(what))))

    assert said.startswith(words)


def test_what_is_gone_already_or_fine_is_not_talked_of() -> None:
    for what in (UP, DOWN, replace(DOWN, serves=False, state=UnitState(name=OLD))):
        assert told(tuple(displace.problems(FLEET, seen(what)))) == []


def test_a_port_that_nobody_answers_on_any_more_is_told() -> None:
    rival = Rival(unit=OLD, host="127.0.0.1", port=12000, enabled=True)
    observed = replace(seen(UP), rivals=(rival,))

    (said,) = told(tuple(displace.problems(FLEET, observed)))

    assert said == "warning: ollama.service listens on port 12000, where nobody will answer any more"


def made(number: int, ending: Ending, displaced: displace.Ledger) -> Generation:
    return Generation(number=number, command="apply", when="", who="", ending=ending, displaced=displaced)


def taking(what: Replaced) -> tuple[Plan, Observed]:
    return Plan(steps=tuple(displace.steps(FLEET, seen(what)))), seen(what)


def test_what_it_was_is_kept_from_change_to_change_until_it_is_given_back() -> None:
    first = Room([], *taking(UP))
    past = [made(1, Ending.DONE, first.after(Ending.DONE, None))]
    second = Room(past, *taking(DOWN))
    back = Room(past, Plan(), seen(DOWN))

    assert first.taken == second.taken == {OLD: WAS}
    assert owed(past, generation.BEGINNING) == {OLD: WAS}
    assert owed(past, past[0]) == {}
    assert back.after(Ending.DONE, generation.BEGINNING) == {}
    assert back.after(Ending.UNFINISHED, generation.BEGINNING) == {OLD: WAS}


def test_what_a_killed_apply_has_begun_is_not_taken_for_what_it_was() -> None:
    past = [made(1, Ending.UNFINISHED, Room([], *taking(UP)).taken)]
    half = replace(UP, links={})

    assert Room(past, *taking(half)).taken == {OLD: WAS}
    assert Room(past, *taking(DOWN)).taken == {OLD: WAS}
    again = Room(past, *taking(DOWN))
    assert again.undone(Plan(), Fleet()) == {OLD: WAS}
    assert again.after(Ending.UNDONE, None) == {}


def test_what_came_back_by_itself_is_as_it_was_before_where_that_change_fails() -> None:
    """install.sh was run again, and the apply that wants it away fails."""
    past = [made(1, Ending.DONE, {OLD: Displaced(active=False)})]
    plan, observed = taking(UP)
    room = Room(past, plan, observed)

    assert room.undone(plan, Fleet()) == {OLD: WAS}
    assert room.taken == {OLD: WAS}


def test_a_generation_tells_it_again() -> None:
    one = made(1, Ending.DONE, {OLD: WAS})

    assert generation.from_json(generation.to_json(one)) == one
    with pytest.raises(ValueError, match="unexpected keyword"):
        generation.from_json(generation.to_json(one).replace('"active"', '"actve"'))


@pytest.mark.parametrize(
    ("what", "told"),
    [(DOWN, True), (UP, False), (replace(DOWN, links=LINKS), False), (Replaced(state=UnitState(name=OLD)), False)],
)
def test_one_that_is_named_no_more_stays_away_and_that_is_told(what: Replaced, told: bool) -> None:
    path = "/etc/systemd/system/ollama@a.service.d/10-ollamactl.conf"
    text = f"{MARKER}\n[X-Ollamactl]\n{instance_line(A)}\n"
    observed = Observed(files={path: ObservedFile(path=path, data=text.encode(), ours=True)})

    dropped = displace.dropped(Fleet(), observed)
    found = list(displace.left_behind(dropped, {OLD: what}, user=False))

    assert [each.hint for each in found] == ["to have it again: sudo systemctl enable --now ollama.service"] * told
    assert displace.dropped(FLEET, observed) == displace.dropped(Fleet(), observed, ["b"]) == {}
