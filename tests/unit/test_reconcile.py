"""What holds of every plan: it brings the host where the spec wants it, from wherever it was, and touches no more."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollamactl.errors import Severity
from ollamactl.model import TARGET, Fleet, Health, Instance, Restart, State, Store, instance_name, unit_name
from ollamactl.observed import Active, Running
from ollamactl.planning.plan import ORDER, StepKind
from tests.unit.simhost import LAYOUT, SimHost, drop_in_path
from tests.unit.simvalues import manifest

NAMES = ("a", "b", "c", "d")
MODELS = ("llama3:latest", "mistral:7b", "phi:latest")
PORTS = (11434, 11435, 11436, 11437, 11438)
UNITS = (StepKind.STOP, StepKind.RESTART, StepKind.START)


@st.composite
def fleets(draw: st.DrawFn, least: int = 0) -> Fleet:
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=least))
    ports = draw(st.lists(st.sampled_from(PORTS), unique=True, min_size=len(names), max_size=len(names)))
    found = [draw(instances(name, port, names)) for name, port in zip(names, ports, strict=True)]
    # A server that requires one of `state: stopped` starts it all the same: what is up then would depend on the past.
    never = {each.unit for each in found if each.state is State.STOPPED}
    able = (tuple(u for u in i.requires if i.state is State.STOPPED or u not in never) for i in found)
    servers = tuple(replace(i, requires=requires) for i, requires in zip(found, able, strict=True))
    return Fleet(instances=servers, health=draw(st.sampled_from((None, Health(), Health(every=5)))))


@st.composite
def instances(draw: st.DrawFn, name: str, port: int, names: list[str]) -> Instance:
    others = [unit_name(each) for each in names if each < name]
    return Instance(
        name=name,
        port=port,
        gpus=(),
        models=tuple(draw(st.lists(st.sampled_from(MODELS), unique=True, min_size=1))),
        store=draw(st.sampled_from((Store.ISOLATED, Store.SHARED))),
        context_length=draw(st.sampled_from((4096, 8192))),
        description=draw(st.sampled_from((None, "other"))),
        secrets=draw(st.sampled_from(((), (("TOKEN", "old"),), (("TOKEN", "new"),)))),
        enabled=draw(st.booleans()),
        state=draw(st.sampled_from(State)),
        requires=tuple(draw(st.lists(st.sampled_from(others), unique=True))) if others else (),
        restart=draw(st.sampled_from((Restart(), Restart(tries=4)))),
    )


def crash(host: SimHost, name: str) -> None:
    host.break_down(unit_name(name), Active.FAILED, "failed", restarts=5)


def loop(host: SimHost, name: str) -> None:
    host.break_down(unit_name(name), Active.ACTIVATING, "auto-restart", restarts=2)


def stop(host: SimHost, name: str) -> None:
    host.stop(unit_name(name))


def stop_all(host: SimHost, name: str) -> None:
    host.stop(TARGET)


def unlink(host: SimHost, name: str) -> None:
    host.links.discard(unit_name(name))


def lose_drop_in(host: SimHost, name: str) -> None:
    host.files.pop(drop_in_path(name), None)


def edit_drop_in(host: SimHost, name: str) -> None:
    if seen := host.files.get(drop_in_path(name)):
        host.put(seen.path, seen.data.decode() + "[Service]\nEnvironment=OLLAMA_DEBUG=1\n")


def pull(host: SimHost, name: str) -> None:
    host.store[MODELS[0]] = manifest(MODELS[0], "newer")


def prune(host: SimHost, name: str) -> None:
    host.store.pop(MODELS[1], None)


Mishap = Callable[[SimHost, str], None]
mishaps = st.lists(
    st.tuples(
        st.sampled_from([crash, loop, stop, stop_all, unlink, lose_drop_in, edit_drop_in, pull, prune]),
        st.sampled_from(NAMES),
    ),
    max_size=3,
)


def host_with(fleet: Fleet) -> SimHost:
    host = SimHost(store={model: manifest(model) for model in MODELS})
    host.apply(fleet)
    return host


def happen(host: SimHost, events: list[tuple[Mishap, str]]) -> None:
    for event, name in events:
        if event in (crash, loop) and unit_name(name) not in host.processes:
            continue
        event(host, name)


def state(host: SimHost) -> object:
    """All that two hosts can be compared by; a target may be active where nothing needs it."""
    running = {unit: (process.config, process.secrets, process.listen) for unit, process in host.processes.items()}
    return host.files, host.links, host.target_enabled, running


def state_of_a_bare_host_with(fleet: Fleet, like: SimHost) -> object:
    bare = SimHost(store=like.store)
    bare.apply(fleet)
    return state(bare)


@given(before=fleets(), events=mishaps, after=fleets())
def test_one_apply_brings_any_host_to_where_a_bare_one_would_be(
    before: Fleet, events: list[tuple[Mishap, str]], after: Fleet
) -> None:
    host = host_with(before)
    happen(host, events)
    host.apply(after)
    assert host.plan(after).changes == ()
    assert state(host) == state_of_a_bare_host_with(after, host)
    assert TARGET in host.units or not any(each.state is State.RUNNING for each in after.instances)


@given(before=fleets(), events=mishaps, after=fleets(), data=st.data())
def test_an_apply_that_was_killed_is_taken_up_by_the_next(
    before: Fleet, events: list[tuple[Mishap, str]], after: Fleet, data: st.DataObject
) -> None:
    host = host_with(before)
    happen(host, events)
    steps = host.plan(after).steps
    host.carry_out(steps[: data.draw(st.integers(0, len(steps)), label="steps done before the kill")])
    host.apply(after)
    assert host.loaded_wants in (None, host.links)
    assert host.plan(after).changes == ()
    assert state(host) == state_of_a_bare_host_with(after, host)


def test_after_a_kill_before_the_reload_systemd_still_takes_along_what_its_files_no_longer_say() -> None:
    a, b, c = (Instance(name=name, port=12000 + n, gpus=(), models=MODELS[:1]) for n, name in enumerate("abc"))
    host = host_with(Fleet(instances=(a, replace(b, requires=(a.unit,)), c)))
    after = Fleet(instances=(replace(a, port=c.port), b, replace(c, port=a.port)))
    host.carry_out(host.plan(after).of(StepKind.WRITE))

    plan = host.apply(after)

    assert b.unit in {step.subject for step in plan.of(StepKind.STOP)}
    assert state(host) == state_of_a_bare_host_with(after, host)


@given(before=fleets(), events=mishaps, after=fleets())
def test_steps_are_in_the_order_of_execution_each_once_and_with_its_cause(
    before: Fleet, events: list[tuple[Mishap, str]], after: Fleet
) -> None:
    host = host_with(before)
    happen(host, events)
    plan = host.plan(after)
    assert [ORDER[step.kind] for step in plan.steps] == sorted(ORDER[step.kind] for step in plan.steps)
    assert len({(step.kind, step.subject) for step in plan.steps}) == len(plan.steps)
    assert all(step.cause for step in plan.steps)
    assert len(plan.of(StepKind.RELOAD)) <= 1
    for unit in {step.subject for step in plan.of(*UNITS)}:
        assert {step.kind for step in plan.of(*UNITS) if step.subject == unit} in (
            {StepKind.STOP},
            {StepKind.START},
            {StepKind.RESTART},
            {StepKind.STOP, StepKind.START},
        )


@given(before=fleets(), after=fleets())
def test_systemd_reads_its_files_again_just_where_they_change(before: Fleet, after: Fleet) -> None:
    plan = host_with(before).plan(after)
    files = {step.subject for step in plan.of(StepKind.WRITE, StepKind.REMOVE)}
    changes = any(path.startswith(LAYOUT.unit_dir) for path in files) or plan.of(StepKind.ENABLE, StepKind.DISABLE)
    assert bool(plan.of(StepKind.RELOAD)) == bool(changes)


@given(before=fleets(least=1), after=fleets(), data=st.data())
def test_a_server_that_stays_the_same_is_left_alone_whatever_the_others_do(
    before: Fleet, after: Fleet, data: st.DataObject
) -> None:
    same = replace(data.draw(st.sampled_from(before.instances)), state=State.RUNNING, requires=())
    before = replace(before, instances=(*(each for each in before.instances if each.name != same.name), same))
    others = tuple(each for each in after.instances if each.name != same.name and each.port != same.port)
    there = {each.unit for each in (*others, same)}
    others = tuple(replace(each, requires=tuple(u for u in each.requires if u in there)) for each in others)
    host = host_with(before)
    process = host.processes[same.unit]
    plan = host.apply(Fleet(instances=(*others, same)))
    assert host.processes[same.unit] is process
    assert [step.kind for step in plan.steps if step.instance == same.name] == [StepKind.VERIFY]


@given(before=fleets(), events=mishaps, after=fleets())
def test_nobody_goes_down_or_comes_up_whom_the_plan_does_not_name(
    before: Fleet, events: list[tuple[Mishap, str]], after: Fleet
) -> None:
    """Not even with another one, which it requires."""
    host = host_with(before)
    happen(host, events)
    processes = dict(host.processes)
    named = {step.subject for step in host.apply(after).of(*UNITS)}
    assert {
        unit for unit in {*processes, *host.processes} if processes.get(unit) is not host.processes.get(unit)
    } <= named


@given(before=fleets(), events=mishaps, after=fleets(least=1), data=st.data())
def test_only_changes_those_and_what_all_share(
    before: Fleet, events: list[tuple[Mishap, str]], after: Fleet, data: st.DataObject
) -> None:
    only = {data.draw(st.sampled_from(after.instances)).name}
    host = host_with(before)
    happen(host, events)
    plan = host.plan(after, *only)
    along = {step.instance for step in plan.steps if step.cause.startswith(("requires ", "required by "))}
    assert {step.instance for step in plan.steps} <= {*only, *along, ""}
    units = (TARGET, "ollama@.service", "ollamactl-heal.service", "ollamactl-heal.timer")
    shared = (*units, "systemd", LAYOUT.figures, *(f"{LAYOUT.unit_dir}/{unit}" for unit in units))
    assert {step.subject for step in plan.steps if not step.instance} <= set(shared)


@given(before=fleets(), after=fleets(), foreign=st.lists(st.sampled_from(NAMES), unique=True))
def test_a_file_of_somebody_else_is_never_removed_and_forbids_to_write_there(
    before: Fleet, after: Fleet, foreign: list[str]
) -> None:
    host = host_with(before)
    for name in foreign:
        host.put(drop_in_path(name), "[Service]\nNice=5\n")
        host.put(f"{LAYOUT.unit_dir}/ollama@{name}.service.d/override.conf", "[Service]\nNice=5\n")
    plan = host.plan(after)
    theirs = {path for path, file in host.files.items() if not file.ours}
    assert not theirs & {step.subject for step in plan.of(StepKind.REMOVE)}
    forbidden = {problem.path for problem in host.problems(after) if problem.severity is Severity.ERROR}
    assert theirs & {step.subject for step in plan.of(StepKind.WRITE)} <= forbidden


@given(before=fleets(), after=fleets())
def test_every_server_that_is_to_run_is_proved_and_waited_for_where_it_is_started(before: Fleet, after: Fleet) -> None:
    plan = host_with(before).plan(after)
    running = {each.name for each in after.instances if each.state is State.RUNNING}
    assert {step.instance for step in plan.of(StepKind.VERIFY)} == running
    started = {step.subject for step in plan.of(StepKind.START, StepKind.RESTART) if instance_name(step.subject)}
    assert {step.subject for step in plan.of(StepKind.WAIT)} == started


ONE = Fleet(instances=(Instance(name="a", port=11434, gpus=(), models=("llama3:latest",), secrets=(("TOKEN", "x"),)),))


def kinds(host: SimHost, fleet: Fleet = ONE) -> list[StepKind]:
    return [step.kind for step in host.plan(fleet).steps if step.instance]


def test_a_server_that_was_started_just_now_may_be_silent_for_a_while() -> None:
    host = host_with(ONE)
    host.changed["a"] = Running(age=100.0)
    assert kinds(host) == [StepKind.WAIT, StepKind.VERIFY]
    host.changed["a"] = Running(age=1000.0)
    assert kinds(host) == [StepKind.VERIFY]


@pytest.mark.parametrize(
    ("path", "comment", "edit"),
    [
        (drop_in_path("a"), "# a note", "[Service]\nEnvironment=OLLAMA_DEBUG=1"),
        (f"{LAYOUT.unit_dir}/ollama@.service", "# a note", "[Service]\nEnvironment=OLLAMA_DEBUG=1"),
        (f"{LAYOUT.secrets}/a.env", None, "OTHER=y"),
    ],
)
def test_a_server_that_may_run_with_an_edit_by_hand_is_restarted(path: str, comment: str | None, edit: str) -> None:
    """The digest that it was started with is no proof: the edited file carries it, too."""
    host = host_with(ONE)
    text = host.files[path].data.decode()
    if comment:
        host.put(path, f"{text}{comment}\n")
        assert StepKind.RESTART not in kinds(host)
    host.put(path, f"{text}{edit}\n")
    assert StepKind.RESTART in kinds(host)


def test_a_server_whose_folder_of_manifests_was_removed_is_restarted() -> None:
    host = host_with(ONE)
    view = f"{LAYOUT.views}/a/"
    host.files = {path: file for path, file in host.files.items() if not path.startswith(view)}
    assert StepKind.RESTART in kinds(host)
    assert StepKind.RESTART not in kinds(host_with(ONE))
