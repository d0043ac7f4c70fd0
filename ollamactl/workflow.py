"""The commands' work as short chains: read the spec, look at the host, plan, execute, prove. No printing here."""

import os
import shlex
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path

from ollamactl import binary, environment, gpus, lock, pins, precheck, render, specfile, starter, store
from ollamactl.errors import HostError, NotPermitted, Problem, Severity, SpecError, UsageError
from ollamactl.execute import Outcome, Tell, execute, lay_out_offline
from ollamactl.facts import Facts
from ollamactl.files import File
from ollamactl.model import Fleet, Instance, State
from ollamactl.modelname import ModelName
from ollamactl.observe import Host, observe, read_facts
from ollamactl.observed import Observed
from ollamactl.plan import Plan, Step, StepKind
from ollamactl.probe import dial_address
from ollamactl.proof import Expected
from ollamactl.reconcile import reconcile
from ollamactl.record import installed_fleet
from ollamactl.verify import expectations

DEFAULT_SPECS = ("fleet.yaml", "/etc/ollamactl/fleet.yaml")
LOCK = "/run/lock/ollamactl.lock"
MAX_SPEC = 1 << 24
"""Bytes read of a spec at most; specfile refuses far less with a better message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A spec against a host: the plan, what it was made from, and what is wrong."""

    fleet: Fleet
    files: tuple[File, ...]
    observed: Observed
    plan: Plan
    problems: tuple[Problem, ...] = ()
    versions: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def errors(self) -> tuple[Problem, ...]:
        """What forbids an apply."""
        return tuple(problem for problem in self.problems if problem.severity is Severity.ERROR)


def read_spec(path: str | None) -> specfile.Spec:
    """The valid spec at a path, on standard input (`-`), or at the usual places.

    Raises SpecError with every problem that can be seen without the host, or UsageError where there is no spec.
    """
    if path is None:
        path = next((name for name in DEFAULT_SPECS if Path(name).exists()), None)
        if path is None:
            raise UsageError(
                f"no spec given, and there is neither {' nor '.join(DEFAULT_SPECS)}",
                hint="name the file, or write a first one with: ollamactl init > fleet.yaml",
            )
    if path == "-":
        with open(0, "rb", closefd=False) as stream:
            return specfile.load(stream.read(MAX_SPEC), name="<stdin>")
    try:
        with Path(path).open("rb") as stream:
            return specfile.load(stream.read(MAX_SPEC), name=path, source=str(Path(path).resolve()))
    except OSError as error:
        problem = Problem(path=path, message=f"cannot read the spec: {error.strerror}", hint="name another file")
        raise SpecError([problem]) from error


def limit(fleet: Fleet, only: Collection[str]) -> frozenset[str]:
    """`--only NAME`s as a set. Raises UsageError for a name that the fleet lacks."""
    known = {instance.name for instance in fleet.instances}
    if missing := [name for name in only if name not in known]:
        raise UsageError(
            f"there is no instance {missing[0]!r}", hint=f"there are: {', '.join(sorted(known)) or 'none'}"
        )
    return frozenset(only)


def make_plan(host: Host, fleet: Fleet, *, only: Collection[str] = (), notes: Iterable[Problem] = ()) -> Planned:
    """The plan for a fleet on a host, and everything that is wrong or worth knowing, all at once."""
    facts = read_facts(host, fleet)
    files = render.render(fleet, facts)
    observed = observe(host, fleet, facts)
    scope = limit(fleet, only) if only else frozenset()
    plan = reconcile(fleet, files, observed, only=scope)
    found = [*notes, *pins.problems(fleet, facts), *precheck.problems(fleet, files, observed, only=scope)]
    found += _store_problems(host, fleet, facts)
    versions: dict[str, str | None] = {}
    if not host.offline:
        for path in sorted({instance.binary for instance in fleet.instances}):
            problem = binary.problem(path, others=not host.user)
            found += [problem] if problem else []
            versions[path] = None if problem else binary.version(path)
    if host.user:
        found += [Problem(message=text, severity=Severity.NOTE, path="--user") for text in render.lacks(facts)]
    found = [problem for problem in found if not scope or not problem.instance or problem.instance in scope]
    return Planned(fleet=fleet, files=files, observed=observed, plan=plan, problems=tuple(found), versions=versions)


def _store_problems(host: Host, fleet: Fleet, facts: Facts) -> Sequence[Problem]:
    if not fleet.instances:
        return ()
    wanted = sorted({model for instance in fleet.instances for model in instance.models})
    models_dir = host.root / fleet.models_dir.lstrip("/")
    found = store.problems(
        models_dir, facts.manifests, [ModelName.parse(model) for model in wanted], others=not host.user
    )
    if host.offline:
        # An image may get its models later; the units are right without them.
        return [replace(problem, severity=Severity.WARNING) for problem in found]
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """An apply's story: what was planned, what was done, what was proved."""

    planned: Planned
    outcome: Outcome

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The notes of the plan and what went wrong."""
        return (*self.planned.problems, *self.outcome.problems)


def apply(
    host: Host,
    fleet: Fleet,
    *,
    only: Collection[str] = (),
    notes: Iterable[Problem] = (),
    load: bool = False,
    timeout: float,
    tell: Tell,
) -> Applied:
    """Makes the host match, and proves it. Raises OllamactlError before anything is changed where it must not be."""
    require_root(host, "apply")
    with locked(host, tell):
        planned = make_plan(host, fleet, only=only, notes=notes)
        if planned.errors:
            raise NotReadyError(planned.problems)
        return carry_out(host, planned, load=load, timeout=timeout, tell=tell)


class NotReadyError(HostError):
    """The host is not ready for this spec; nothing was changed."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("nothing was changed")
        self._problems = tuple(problems)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Every finding."""
        return self._problems


def carry_out(host: Host, planned: Planned, *, load: bool, timeout: float, tell: Tell) -> Applied:
    """Executes a plan that has no errors."""
    if host.offline:
        return Applied(planned=planned, outcome=lay_out_offline(planned.plan, files=host.files))
    outcome = execute(
        planned.plan,
        files=host.files,
        manager=host.manager,
        units=planned.observed.units,
        expected=_expected(planned, load=load),
        timeout=timeout,
        tell=tell,
    )
    return Applied(planned=planned, outcome=outcome)


def _expected(planned: Planned, *, load: bool) -> Mapping[str, Expected]:
    facts = planned.observed.facts
    return expectations(
        planned.fleet.instances,
        {name: manifest.digest for name, manifest in facts.manifests.items()},
        planned.versions,
        load=load,
        has_gpu=None if facts.gpus is None else bool(facts.gpus),
    )


def verify(
    host: Host, fleet: Fleet, *, only: Collection[str] = (), load: bool = False, timeout: float, tell: Tell
) -> Applied:
    """Proves a fleet as it stands; changes nothing."""
    planned = make_plan(host, fleet, only=only)
    running = [i for i in fleet.instances if i.state is State.RUNNING and (not only or i.name in only)]
    steps = tuple(
        Step(kind=StepKind.VERIFY, subject=i.unit, cause=f"proves {i.listen}", instance=i.name, target=i)
        for i in running
    )
    return carry_out(host, replace(planned, plan=Plan(steps=steps)), load=load, timeout=timeout, tell=tell)


def rendered(host: Host, fleet: Fleet, *, only: Collection[str] = ()) -> tuple[File, ...]:
    """The files that apply would install. Raises SpecError where the host lacks a card that the spec names."""
    facts = read_facts(host, fleet)
    if found := [p for p in pins.problems(fleet, facts) if p.severity is Severity.ERROR]:
        raise NotReadyError(found)
    scope = limit(fleet, only) if only else frozenset()
    return tuple(file for file in render.render(fleet, facts) if not scope or file.instance in scope)


_VERBS = {"start": StepKind.START, "stop": StepKind.STOP, "restart": StepKind.RESTART}


def control(host: Host, verb: str, names: Collection[str], *, timeout: float, tell: Tell) -> Applied:
    """Starts, stops or restarts installed servers through the manager, and proves those that run then."""
    kind = _VERBS[verb]
    with locked(host, tell):
        fleet = installed(host)
        steps = []
        for i in chosen(fleet, names):
            if not names and i.state is State.STOPPED and kind is not StepKind.STOP:
                # `state: stopped` in the spec means: only when asked for by name.
                continue
            steps.append(Step(kind=kind, subject=i.unit, cause="asked for", instance=i.name))
            if kind is not StepKind.STOP:
                steps.append(Step(kind=StepKind.WAIT, subject=i.unit, instance=i.name, target=i))
                steps.append(Step(kind=StepKind.VERIFY, subject=i.unit, instance=i.name, target=i))
        planned = make_plan(host, fleet)
        plan = Plan(steps=tuple(steps))
        return carry_out(host, replace(planned, plan=plan, problems=()), load=False, timeout=timeout, tell=tell)


def plan_destroy(host: Host) -> Planned:
    """The plan that leaves nothing of a fleet but its models."""
    fleet = Fleet()
    observed = observe(host, fleet, Facts(layout=host.layout))
    return Planned(fleet=fleet, files=(), observed=observed, plan=reconcile(fleet, (), observed))


def destroy(host: Host, *, timeout: float, tell: Tell) -> Applied:
    """Stops and removes the whole fleet."""
    with locked(host, tell):
        return carry_out(host, plan_destroy(host), load=False, timeout=timeout, tell=tell)


def client_environment(instance: Instance) -> dict[str, str]:
    """What `ollama` as a client needs to reach a server."""
    host = dial_address(instance.host)
    return {"OLLAMA_HOST": f"[{host}]:{instance.port}" if ":" in host else f"{host}:{instance.port}"}


def server_environment(host: Host, instance: Instance) -> dict[str, str]:
    """What the server is given, without secrets."""
    fleet = installed(host)
    facts = read_facts(host, replace(fleet, instances=(instance,)))
    pin = pins.pin(instance, facts.gpus)
    return {**environment.environment(instance, fleet, pin), **dict(instance.environment)}


def exports(variables: Mapping[str, str]) -> str:
    """Lines for a POSIX shell to evaluate."""
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items())


def starter_spec(host: Host) -> str:
    """A first spec from the machine's cards and models."""
    models_dir = host.root / Fleet().models_dir.lstrip("/")
    there = sorted(store.read(models_dir)) if models_dir.is_dir() else []
    return starter.starter(gpus.detect(host.root), there)


def installed(host: Host) -> Fleet:
    """The fleet that is installed on the host. Raises UsageError where there is none."""
    fleet = installed_fleet(host.files.managed(host.layout))
    if not fleet.instances:
        raise UsageError("no fleet is installed here", hint="bring one up with: sudo ollamactl apply fleet.yaml")
    return fleet


def chosen(fleet: Fleet, names: Collection[str]) -> tuple[Instance, ...]:
    """The named instances, or all. Raises UsageError for an unknown name."""
    wanted = limit(fleet, names)
    return tuple(instance for instance in fleet.instances if not wanted or instance.name in wanted)


def require_root(host: Host, command: str) -> None:
    """Raises NotPermitted, with the command to type, where the system's units are to be changed without root."""
    if os.geteuid() == 0 or host.user or os.access(f"{host.root}{host.layout.unit_dir}", os.W_OK):
        return
    raise NotPermitted(
        f"{command} changes units in {host.layout.unit_dir}, which only root may",
        hint=f"sudo ollamactl {command} ..., or run servers of your own with: ollamactl --user {command} ...",
    )


def locked(host: Host, tell: Tell) -> AbstractContextManager[None]:
    """The one lock of this host's fleet; waits for another apply."""
    if host.offline:
        path = f"{host.root}/run/lock/ollamactl.lock"
    elif host.user:
        path = f"{host.layout.state_dir}/lock"
    else:
        path = LOCK
    return lock.acquire(Path(path), wait=True, on_wait=lambda words: tell("", words))


def now() -> float:
    """Seconds since the epoch; the only clock that commands show."""
    return time.time()
