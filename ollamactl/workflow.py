"""The commands that make or prove a fleet, as short chains: compile, look, plan, execute, prove. No printing here."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

from ollamactl import readiness
from ollamactl.compiled import Compiled, compile_installed, compile_spec, served
from ollamactl.errors import HostError, NotPermitted, Problem, Severity, UsageError
from ollamactl.execute import execute, lay_out_offline
from ollamactl.facts import Facts
from ollamactl.host import replaced as services
from ollamactl.host import runners, store
from ollamactl.host.observe import Host, observe
from ollamactl.host.observe import host as host_of
from ollamactl.model import TARGET, Fleet, Instance
from ollamactl.modelname import ModelName
from ollamactl.observed import Observed
from ollamactl.outcome import Outcome
from ollamactl.planning import displace, missing, precheck, replacement
from ollamactl.planning.plan import Plan, Step, StepKind
from ollamactl.planning.reconcile import reconcile
from ollamactl.protocols import Tell
from ollamactl.proving.proof import Expected
from ollamactl.proving.verify import expectations
from ollamactl.spec.source import Source, same_file
from ollamactl.units import record


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A compiled spec against a host: the plan, what it was made from, and what is wrong."""

    compiled: Compiled
    observed: Observed
    plan: Plan
    problems: tuple[Problem, ...] = ()
    versions: Mapping[str, str | None] = field(default_factory=dict)
    """By binary: its version, None where it cannot be asked."""
    only: frozenset[str] = frozenset()
    """Whom the plan is limited to; empty for all."""

    @property
    def along(self) -> tuple[Instance, ...]:
        """Servers that it is not about, but that go along, and are proved as they are installed."""
        servers = (
            step.target for step in self.plan.of(StepKind.VERIFY) if self.only and step.instance not in self.only
        )
        return tuple(filter(None, servers))

    @property
    def fleet(self) -> Fleet:
        """The fleet of the spec."""
        return self.compiled.fleet

    @property
    def errors(self) -> tuple[Problem, ...]:
        """What forbids an apply."""
        return tuple(problem for problem in self.problems if problem.severity is Severity.ERROR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """An apply's story: what was planned, what was done, what was proved."""

    planned: Planned
    outcome: Outcome
    generation: int = 0
    """The number under which it was recorded; 0 where nothing was to be changed."""
    undone: "Applied | None" = None
    """How the old state was brought back, where this one failed."""

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The notes of the plan and what went wrong."""
        undone = self.undone.outcome.problems if self.undone else ()
        return (*self.planned.problems, *self.outcome.problems, *undone)


class NotReadyError(HostError):
    """The host is not ready for this spec; nothing was changed."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("nothing was changed")
        self._problems = tuple(problems)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Every finding."""
        return self._problems


def plan(
    host: Host, source: Source, *, only: Collection[str] = (), replacing: bool = False, pulling: bool = True
) -> Planned:
    """The plan for a spec on a host, and everything that is wrong or worth knowing, all at once.

    `replacing`: it may remove instances that came from another spec; `pulling`: models that are missing may be pulled,
    and are no error.
    """
    if only and (home := record.installed_source(host.files.managed(host.layout))) is not None:
        source = replace(source, path=home)  # the fleet stays the one of its own spec
    planned = make_plan(host, compile_spec(host, source), only=only, pulling=pulling and not host.offline)
    replaced = _replaced(host, planned, only, wanted=replacing)
    left = _left_behind(host, planned, only)
    return replace(
        planned, problems=(*replaced, *planned.problems, *left, *precheck.weaker(planned.compiled.facts, planned.plan))
    )


def cut_off(planned: Planned) -> Iterable[Problem]:
    """Servers that the plan stops or restarts while they are at work: Ollama ends at once, and does not drain."""
    for step in planned.plan.of(StepKind.STOP, StepKind.RESTART, StepKind.DISPLACE):
        pid = planned.observed.unit(step.subject).main_pid
        try:
            words = runners.at_work(pid) if pid else ""
        except NotPermitted as error:
            words = f"whether it is at work cannot be seen: {error}"
            note = Problem(message=words, hint=error.hint, path=step.subject, severity=Severity.NOTE)
            yield replace(note, instance=step.instance)
            continue
        if words:
            yield Problem(
                path=step.subject,
                instance=step.instance,
                severity=Severity.WARNING,
                message=f"{words} now, which a {'restart' if step.kind is StepKind.RESTART else 'stop'} cuts off",
                hint=_HANGS if words.endswith(runners.SILENT) else "let it finish first with: --when-idle",
            )


_HANGS = "if it hangs, that mends it; if it only takes its time, let it finish first with: --when-idle"


def _left_behind(host: Host, planned: Planned, only: Collection[str] = ()) -> Iterable[Problem]:
    looked = planned.plan.changes and not host.offline
    return services.left_behind(host.manager, planned.fleet, planned.observed, only) if looked else ()


def _replaced(host: Host, planned: Planned, only: Collection[str], *, wanted: bool) -> Iterable[Problem]:
    names = replacement.leaving(planned.fleet, planned.observed, only)
    old, new = record.installed_source(planned.compiled.there) if names else None, planned.fleet.source
    if old is None or (same := same_file(old, new)):
        return
    command = f"{'ollamactl --user' if host.user else 'sudo ollamactl'} apply"
    yield replacement.problem(names, old=old, new=new, there=same is False, wanted=wanted, command=command)


def make_plan(
    host: Host,
    compiled: Compiled,
    *,
    only: Collection[str] = (),
    back: displace.Ledger = MappingProxyType({}),
    pulling: bool = False,
) -> Planned:
    """The plan for a compiled spec; `back` are services that made room for the fleet, and are to be what they were.

    `pulling` as in `plan`.
    """
    fleet, facts = compiled.fleet, compiled.facts
    observed = observe(host, fleet, facts, compiled.there, besides=back)
    scope = limit(fleet, only) if only else frozenset()
    plan = reconcile(fleet, compiled.files, observed, only=scope, back=back)
    if pulling:
        plan = replace(plan, steps=(*_to_come(host, compiled, scope), *plan.steps))
    return Planned(
        compiled=compiled,
        observed=observed,
        plan=plan,
        problems=readiness.problems(host, compiled, observed, plan, scope, pulling=pulling),
        versions=readiness.versions(host, compiled),
        only=scope,
    )


def _to_come(host: Host, compiled: Compiled, scope: Collection[str]) -> Iterable[Step]:
    """What is to be pulled and made before anything else."""
    fleet = compiled.fleet
    if not fleet.custom:
        return missing.steps(fleet, compiled.facts, scope)
    from ollamactl.pulling import recipe

    models_dir = Path(fleet.models_dir)
    recipes = recipe.look(fleet, models_dir)
    names = [ModelName.parse(each.model) for each in recipes] + [each.base for each in recipes if each.base]
    stored = store.read(models_dir, wanted=names)
    return missing.steps(fleet, compiled.facts, scope, recipes=recipes, stored=stored)


def limit(fleet: Fleet, only: Collection[str], *, besides: Collection[str] = ()) -> frozenset[str]:
    """`--only NAME`s as a set. Raises UsageError for a name that the fleet and `besides` lack."""
    known = {*besides, *(instance.name for instance in fleet.instances)}
    if missing := [name for name in only if name not in known]:
        raise UsageError(
            f"there is no instance {missing[0]!r}", hint=f"there are: {', '.join(sorted(known)) or 'none'}"
        )
    return frozenset(only)


def carry_out(
    host: Host,
    planned: Planned,
    *,
    load: bool,
    timeout: float,
    tell: Tell,
    patience: float | None = None,
    settles: bool = True,
) -> Applied:
    """Executes a plan that has no errors; times in seconds as `execute` takes them, `settles` as `expectations`."""
    if host.offline:
        return Applied(planned=planned, outcome=lay_out_offline(planned.plan, files=host.files))
    outcome = execute(
        planned.plan,
        files=host.files,
        manager=host.manager,
        units=planned.observed.units,
        expected=_expected(planned, load=load, settles=settles),
        timeout=timeout,
        tell=tell,
        patience=patience,
    )
    return Applied(planned=planned, outcome=outcome)


def _expected(planned: Planned, *, load: bool, settles: bool) -> Mapping[str, Expected]:
    facts = planned.compiled.facts
    has_gpu = None if facts.gpus is None else bool(facts.gpus)
    digests = {name: manifest.digest for name, manifest in facts.manifests.items()}
    expect = partial(expectations, versions=planned.versions, load=load, has_gpu=has_gpu, settles=settles)
    wanted = dict(expect(planned.fleet.instances, digests))
    for server in planned.along:
        seen = {**digests, **served(planned.compiled.there, facts.layout, server.name)}
        wanted |= expect([server], seen)
    return wanted


def plan_destroy(host: Host) -> Planned:
    """The plan that leaves nothing of a fleet but its models."""
    nothing = Compiled(fleet=Fleet(), facts=Facts(layout=host.layout), files=(), there=host.files.managed(host.layout))
    planned = make_plan(host, nothing)
    # Nobody took the instances out of a spec.
    steps = (s if s.kind is StepKind.RELOAD else replace(s, cause="destroy was asked for") for s in planned.plan.steps)
    problems = (*planned.problems, *_left_behind(host, planned))
    return replace(planned, plan=replace(planned.plan, steps=tuple(steps)), problems=problems)


def installed(host: Host) -> Compiled:
    """The fleet that is installed on the host. Raises UsageError where there is none."""
    compiled = compile_installed(host)
    if not compiled.fleet.instances:
        raise nothing_installed(host)
    return compiled


def nothing_installed(host: Host) -> UsageError:
    """What a command on a fleet says where there is none, with the way to one, or to the one that is elsewhere."""
    source = record.installed_source(host.files.managed(host.layout)) or "fleet.yaml"
    hint = f"bring one up with: {'ollamactl --user' if host.user else 'sudo ollamactl'} apply {source}"
    other = host_of(user=not host.user)
    if not host.offline and other.files.read(f"{other.layout.unit_dir}/{TARGET}"):
        there = "the system has one: ollamactl" if host.user else "you have one of your own: ollamactl --user"
        hint = f"{there} status; or {hint}"
    return UsageError("no fleet is installed here", hint=hint)


def chosen(fleet: Fleet, names: Collection[str], *, besides: Collection[str] = ()) -> tuple[Instance, ...]:
    """The named instances, or all. Raises UsageError for a name that neither the fleet has nor `besides`."""
    wanted = limit(fleet, names, besides=besides)
    return tuple(instance for instance in fleet.instances if not wanted or instance.name in wanted)
