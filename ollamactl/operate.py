"""The smaller commands: prove, start, stop or restart what is installed, tell environments and files, a first spec."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from ollamactl import interrupt
from ollamactl.access import locked
from ollamactl.compiled import Compiled, compile_installed, compile_spec
from ollamactl.errors import NotPermitted, Problem, Severity, listed
from ollamactl.files import File
from ollamactl.host import gpus, overrides, processes, store
from ollamactl.host.observe import Host
from ollamactl.host.unitdir import DROP_IN
from ollamactl.model import Instance, State, address, dial_address
from ollamactl.observed import UP, Active, UnitState
from ollamactl.outcome import Outcome
from ollamactl.planning import doors, lost, precheck
from ollamactl.planning.dependents import with_dependents
from ollamactl.planning.plan import ORDER, Plan, Step, StepKind
from ollamactl.planning.reconcile import OLDER
from ollamactl.protocols import Tell
from ollamactl.proving.judge import asleep
from ollamactl.spec.source import Source
from ollamactl.units import cardchecks, serverenv
from ollamactl.units.serverenv import Note, ServerEnvironment
from ollamactl.workflow import (
    Applied,
    NotReadyError,
    Planned,
    carry_out,
    chosen,
    installed,
    limit,
    make_plan,
    nothing_installed,
)

PATIENCE = 300.0
"""Seconds for all answers and loads together, where nobody says otherwise."""


def control(host: Host, verb: str, names: Collection[str], *, timeout: float, tell: Tell) -> Applied:
    """Starts, stops or restarts installed servers through the manager, and proves those that run then.

    Who is already as it was asked for is left alone, and proved all the same. Raises NotReadyError, before anything
    is changed, where somebody else holds the port of one that is to be started.
    """
    with interrupt.heard(), locked(host, tell):
        compiled = installed(host)
        planned = make_plan(host, compiled)
        starting = {step.subject for step in planned.plan.of(StepKind.WAIT)}
        steps: list[Step] = []
        idle: Counter[str] = Counter()
        asked: list[Instance] = []
        for i in chosen(compiled.fleet, names):
            if not names and i.state is State.STOPPED and verb != "stop":
                # `state: stopped` in the spec means: only when asked for by name.
                idle["left stopped, as in the spec"] += 1
                continue
            unit = planned.observed.unit(i.unit)
            kind = _kind(verb, unit)
            asked.append(i)
            if kind is StepKind.START and asleep(i, unit) and (verb == "restart" or not names):
                idle["asleep until a request needs it"] += 1
            elif kind:
                steps.append(Step(kind=kind, subject=i.unit, cause="asked for", instance=i.name))
            else:
                idle["already stopped" if verb == "stop" else "already running"] += 1
            if verb != "stop":
                if (steps and steps[-1].subject == i.unit) or i.unit in starting:
                    steps.append(Step(kind=StepKind.WAIT, subject=i.unit, instance=i.name, target=i))
                steps.append(Step(kind=StepKind.VERIFY, subject=i.unit, instance=i.name, target=i))
        if taken := list(_taken(planned, {step.instance for step in steps if step.kind is StepKind.START})):
            raise NotReadyError(taken)
        servers = {instance.unit: instance for instance in compiled.fleet.instances}
        steps = [*doors.asked(verb, asked, planned.observed), *steps]
        steps = with_dependents(steps, planned.observed.units, then=servers, now=servers)
        planned = replace(planned, plan=Plan(steps=tuple(steps)), problems=())
        applied = carry_out(host, planned, load=False, timeout=timeout, tell=tell)
        applied.outcome.idle = ", ".join(f"{count} {words}" for words, count in sorted(idle.items()))
        return applied


def _taken(planned: Planned, names: Collection[str]) -> Iterable[Problem]:
    """Ports of those to start that somebody else holds: they would only crash on them."""
    starting = [replace(i, state=State.RUNNING) for i in planned.fleet.instances if i.name in names]
    found = precheck.ports(replace(planned.fleet, instances=tuple(starting)), planned.observed)
    return (problem for problem in found if problem.severity is Severity.ERROR)


def _kind(verb: str, unit: UnitState) -> StepKind | None:
    """What it takes to do as asked with a unit in this state; None where it is so already."""
    up = unit.active in UP and not unit.crash_looping
    if verb == "stop":
        return None if unit.active is Active.INACTIVE else StepKind.STOP
    if up:
        return StepKind.RESTART if verb == "restart" else None
    return StepKind.START


def verify(
    host: Host,
    source: Source | None,
    *,
    only: Collection[str] = (),
    load: bool = False,
    timeout: float | None,
    tell: Tell,
) -> Applied:
    """Proves a spec's fleet, or the one that is installed, as it stands; changes nothing.

    With a `timeout` in seconds every server that runs may take so long; without, only one that was started just now
    may, and one that is loading.
    """
    compiled = compile_spec(host, source) if source else compile_installed(host)
    planned = make_plan(host, compiled)
    stale = () if source else tuple(_stale(planned))
    gone = () if source else lost.proofs(planned.observed, compiled.fleet.instances)
    if not source and not gone and not compiled.fleet.instances:
        raise nothing_installed(host)
    wanted = limit(compiled.fleet, only, besides=[proof.instance for proof in gone])
    planned = replace(planned, plan=proving(planned, patient=timeout is not None, only=wanted))
    applied = carry_out(
        host, planned, load=load, timeout=PATIENCE if timeout is None else timeout, tell=tell, settles=False
    )
    outcome = applied.outcome
    outcome.proofs += tuple(proof for proof in gone if not wanted or proof.instance in wanted)
    told = (p for p in (*planned.problems, *stale) if not p.instance or not wanted or p.instance in wanted)
    return replace(applied, planned=replace(planned, problems=(*told, *_left_open(outcome))))


def _stale(planned: Planned) -> Iterable[Problem]:
    """Servers that run with another configuration than the one installed, whatever they answer."""
    for step in planned.plan.of(StepKind.RESTART):
        if step.cause == OLDER:
            yield Problem(
                path=step.subject,
                instance=step.instance,
                message=f"{OLDER} than the one that is installed",
                hint=f"finish what was begun: sudo ollamactl apply; or: sudo ollamactl restart {step.instance}",
            )


def proving(planned: Planned, *, patient: bool, only: Collection[str] = ()) -> Plan:
    """The plan that only proves, waiting for those that are starting, or if `patient` for all that run."""
    to_start = {step.subject for step in planned.plan.of(StepKind.START, StepKind.RESTART)}
    waits = {step.subject for step in planned.plan.of(StepKind.WAIT)} - to_start
    if patient:
        waits |= {unit for unit, state in planned.observed.units.items() if state.active in UP}
    steps = [
        Step(kind=kind, subject=i.unit, cause=f"proves {i.listen}", instance=i.name, target=i)
        for i in planned.fleet.instances
        if i.state is State.RUNNING and (not only or i.name in only)
        for kind in (StepKind.WAIT, StepKind.VERIFY)
        if kind is StepKind.VERIFY or i.unit in waits
    ]
    return Plan(steps=tuple(sorted(steps, key=lambda step: ORDER[step.kind])))


def _left_open(outcome: Outcome) -> Iterable[Problem]:
    if names := sorted(proof.instance for proof in outcome.proofs if not proof.whole):
        yield Problem(
            message=f"only root can prove that {listed(names)} answered, and not another process on the port",
            hint="the whole proof: sudo ollamactl verify",
            severity=Severity.NOTE,
        )


def rendered(host: Host, source: Source, *, only: Collection[str] = ()) -> tuple[File, ...]:
    """The files that apply would install. Raises NotReadyError where the host lacks a card that the spec names."""
    compiled = compile_spec(host, source)
    if found := [p for p in cardchecks.problems(compiled.fleet, compiled.facts) if p.severity is Severity.ERROR]:
        raise NotReadyError(found)
    scope = limit(compiled.fleet, only)
    return tuple(file for file in compiled.files if not scope or file.instance in scope)


def client_environment(instance: Instance) -> dict[str, str]:
    """What `ollama` as a client needs to reach a server."""
    return {"OLLAMA_HOST": address(dial_address(instance.host), instance.port)}


def server_environment(host: Host, compiled: Compiled, instance: Instance) -> ServerEnvironment:
    """What the server has, as far as the caller may see it, without secrets."""
    drop_in = compiled.there[f"{host.layout.unit_dir}/{instance.unit}.d/{DROP_IN}"].data.decode(errors="replace")
    secrets = f"{host.layout.secrets}/{instance.name}.env"
    file = compiled.there.get(secrets)
    units = {} if host.offline else {unit.name: unit for unit in host.manager.units([instance.unit], restarts=False)}
    state = units.get(instance.unit)
    loaded = host.manager.environment(state.path) if state else None
    process = processes.variables(state.main_pid) if state and state.main_pid else None
    found = serverenv.tell(
        serverenv.declared(drop_in, (loaded or {}).get("HOME") or f"{host.layout.instance_state}/{instance.name}"),
        loaded,
        process,
        hidden=serverenv.secret_names(file.data.decode(errors="replace")) if file else (),
        overridden=bool(not host.offline and overrides.read(host.manager, host.layout, [instance.unit], units)),
    )
    more = serverenv.environment_files(drop_in)
    hidden = secrets in more and (file is None or file.unread)
    notes = [f"its secrets are in {secrets}, which only root may read"] if hidden else []
    notes += [f"more is in {path}" for path in more if path != secrets]
    if process is None and state and state.main_pid:
        notes.append("what the running server was started with shows to root only")
    return replace(found, notes=(*found.notes, *(Note("", words) for words in notes)))


def starter_spec(host: Host) -> tuple[str, tuple[Problem, ...]]:
    """A first spec from the machine's cards, models and programs, and what to do before it can be applied."""
    from ollamactl.host import discover
    from ollamactl.spec import starter

    models: dict[str, Sequence[str]] = {}
    closed = list(discover.closed(host.root))
    for path in filter(starter.can_be_store, discover.stores(host.root)):
        try:
            models[path] = sorted(store.read(host.root / path.lstrip("/")))
        except NotPermitted:
            closed.append(path)
    chosen = next((path for path, there in models.items() if there), next(iter(models), ""))
    found = starter.Found(
        gpus=gpus.detect(host.root),
        binary=next(filter(starter.can_be_program, discover.programs(host.root)), ""),
        store=chosen,
        models=models.get(chosen, ()),
        other_stores=[path for path, there in models.items() if there and path != chosen],
        closed=closed,
        service=discover.service(host.root),
    )
    return starter.starter(found), starter.notes(found)
