"""What must hold on the host before a plan is carried out, found all at once; nothing is changed by looking."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from ollamactl.compiled import Compiled
from ollamactl.errors import Problem, Severity
from ollamactl.host import binary, envfiles, program, space, store
from ollamactl.host.observe import Host
from ollamactl.model import Fleet
from ollamactl.observed import Observed
from ollamactl.planning import heed, precheck
from ollamactl.planning.plan import Plan, StepKind
from ollamactl.spec.declared import Declared
from ollamactl.units import budgetchecks, cardchecks


def problems(
    host: Host, compiled: Compiled, observed: Observed, plan: Plan, scope: Collection[str], *, pulling: bool
) -> tuple[Problem, ...]:
    """Every finding on what the plan needs, and on what the operator should know; `pulling` as in `workflow.plan`."""
    fleet, facts = compiled.fleet, compiled.facts
    found = [*compiled.notes, *cardchecks.problems(fleet, facts)]
    found += budgetchecks.problems(fleet, facts, compiled.locations)
    found += precheck.problems(fleet, compiled.files, observed, only=scope)
    found += heed.problems(observed, plan)
    found += _store(host, compiled, scope, pulling=pulling)
    found += _room(host, plan)
    found += _models(host, fleet, plan)
    if not host.offline:
        for path in sorted({instance.binary for instance in fleet.instances}):
            exposure = None if host.user else binary.exposure(path)
            found += filter(None, (binary.problem(path, others=not host.user), exposure))
        if not host.user:
            files = sorted({path for instance in fleet.instances for path in instance.environment_files})
            found += filter(None, (envfiles.exposure(path, fleet.source) for path in files))
    if fleet.health:
        found += filter(None, [program.problem(facts.program, root=host.root, user=host.user)])
    return tuple(problem for problem in found if not scope or not problem.instance or problem.instance in scope)


def versions(host: Host, compiled: Compiled) -> dict[str, str | None]:
    """By binary: its version, None where it cannot be asked; one that is gone keeps nothing from coming back."""
    paths = () if host.offline else sorted({each.binary for each in compiled.fleet.instances})
    gone = {path for path in paths if binary.problem(path, others=not host.user)}
    return {path: None if path in gone else binary.version(path, others=not host.user) for path in paths}


def _store(host: Host, compiled: Compiled, scope: Collection[str], *, pulling: bool) -> Sequence[Problem]:
    if not compiled.fleet.instances:
        return ()
    wanted = Declared(compiled.fleet, compiled.locations, only=scope)
    models_dir = host.root / compiled.fleet.models_dir.lstrip("/")
    facts, others = compiled.facts, not host.user
    found = store.problems(
        models_dir, facts.manifests, wanted, root=host.root, others=others, kept=facts.kept, pulling=pulling
    )
    if host.offline:
        # An image may get its models later; the units are right without them.
        return [replace(problem, severity=Severity.WARNING) for problem in found]
    return found


def _models(host: Host, fleet: Fleet, plan: Plan) -> Iterable[Problem]:
    """Whether what is to be pulled and made has room, as far as that shows without asking anybody."""
    coming = plan.of(StepKind.PULL, StepKind.CREATE)
    if coming and not host.offline:
        yield from filter(None, [space.models(fleet.models_dir, [(step.subject, step.size) for step in coming])])


def _room(host: Host, plan: Plan) -> Iterable[Problem]:
    """Of the two folders that ollamactl writes to: a generation holds all files once more before any is changed."""
    writes = [step.file for step in plan.of(StepKind.WRITE) if step.file]
    if not plan.changes:
        return
    places = ((host.layout.unit_dir, 1), *(() if host.offline else ((host.layout.state_dir, 2),)))
    real = [(str(host.root / folder.lstrip("/")), copies) for folder, copies in places]
    yield from filter(None, (space.problem(folder, writes, copies=copies) for folder, copies in real))
