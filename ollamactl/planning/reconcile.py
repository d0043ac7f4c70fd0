"""Desired files and the host as found -> the plan. Pure: every decision of apply is taken here, none later."""

import re
from collections.abc import Iterable, Mapping, Set
from types import MappingProxyType

from ollamactl.files import VIEW_NOTE, File, FileKind
from ollamactl.model import HEAL_SERVICE, HEAL_TIMER, TARGET, TEMPLATE, Fleet, Instance, State, unit_name
from ollamactl.observed import UP, Active, Observed, Running, UnitState
from ollamactl.planning import dependents, displace, doors
from ollamactl.planning.disksteps import EMPTY, NOT_HEALED, Scope, file_steps, link_steps, reload_step
from ollamactl.planning.plan import ON_DISK, ORDER, Plan, Step, StepKind, proof_of, wait_for
from ollamactl.quantity import format_duration
from ollamactl.units import changes, secretfile
from ollamactl.units.record import installed_fleet

_CONFIG = re.compile(r"\bOLLAMACTL_CONFIG=([0-9a-f]+)")
STARTING_SECONDS = 180.0
"""How young a server may be silent: looking for cards takes it 150 s at worst (discover/runner.go in Ollama)."""


def reconcile(
    fleet: Fleet,
    desired: Iterable[File],
    observed: Observed,
    *,
    only: frozenset[str] = frozenset(),
    back: displace.Ledger = MappingProxyType({}),
) -> Plan:
    """The steps that make the host match; `only` limits them to some instances and what all share.

    `back` are services that made room for the fleet, and are to be what they were.
    """
    scope = Scope(fleet, observed, only)
    wanted = {file.path: file for file in desired if fleet.instances and scope.holds(file.instance)}
    causes: dict[str, list[str]] = {}
    steps = [*file_steps(wanted, observed, scope, causes)]
    steps += link_steps(fleet, observed, scope, doors.boot(fleet))
    doorsteps = [*doors.steps(fleet, observed, scope, steps)]
    steps += displace.steps(fleet, observed, only)
    steps += displace.back(back, observed.replaced)
    steps += reload_step(steps, fleet, observed, scope)
    handed_over = _handed_over(fleet, observed, scope)
    blind = _blind(wanted, observed)
    needed = dependents.needed(fleet)
    units: list[Step] = []
    steps += doorsteps
    for instance in fleet.instances:
        if scope.holds(instance.name):
            units += _instance_steps(instance, wanted, observed, causes, handed_over, blind, needed)
    units += _leaving_steps(observed, scope)
    steps += _with_dependents(units, fleet, observed, scope)
    steps += _target_step(fleet, observed)
    steps += _timer_steps(fleet, observed)
    if observed.offline:
        steps = [step for step in steps if step.kind in ON_DISK]
    return Plan(steps=tuple(sorted(steps, key=lambda step: ORDER[step.kind])))


def _handed_over(fleet: Fleet, observed: Observed, scope: Scope) -> Mapping[str, str]:
    """Instances whose running server holds the address of another of this fleet: they must stop before it starts.

    Name -> the address and its next owner, in words.
    """
    by_unit = {instance.unit: instance for instance in fleet.instances}
    result = {}
    for name, holder in observed.holders.items():
        giving = by_unit.get(holder.unit)
        if giving and giving.name != name and scope.holds(giving.name):
            result[giving.name] = f"frees port {holder.port} for {name}"
    for then in installed_fleet(observed.files).instances:
        now = by_unit.get(then.unit)
        if now and now.gated and not then.gated:
            result[now.name] = f"its port {then.port} goes to systemd"
    return result


def _blind(wanted: Mapping[str, File], observed: Observed) -> Set[str]:
    """Instances whose folder of manifests was removed, so that their server, which holds it, never sees the new one."""
    return {
        file.instance
        for path, file in wanted.items()
        if file.kind is FileKind.VIEW and path not in observed.files and path.endswith(f"/{VIEW_NOTE}")
    }


def _instance_steps(
    instance: Instance,
    wanted: Mapping[str, File],
    observed: Observed,
    causes: Mapping[str, list[str]],
    handed_over: Mapping[str, str],
    blind: Set[str],
    needed: Set[str],
) -> Iterable[Step]:
    name, unit, state = instance.name, instance.unit, observed.unit(instance.unit)
    if instance.state is State.STOPPED and not (unit in needed and state.active in UP):
        if unit not in needed and state.active in (*UP, Active.FAILED):
            yield Step(kind=StepKind.STOP, subject=unit, cause="state: stopped", instance=name)
        return
    kind, cause = _start_or_restart(instance, wanted, observed, state, causes)
    if kind is None and name in blind:
        kind, cause = StepKind.RESTART, "its models' folder was removed under it"
    if kind is StepKind.RESTART and name in handed_over:
        yield Step(kind=StepKind.STOP, subject=unit, cause=handed_over[name], instance=name)
        kind = StepKind.START
    if kind:
        yield Step(kind=kind, subject=unit, cause=cause, instance=name)
    age = (observed.running.get(name) or Running()).age
    if kind or (age is not None and age < STARTING_SECONDS):
        yield wait_for(instance)
    yield proof_of(instance)


def _with_dependents(steps: list[Step], fleet: Fleet, observed: Observed, scope: Scope) -> list[Step]:
    if not any(step.changes for step in steps):
        return steps
    then = {instance.unit: instance for instance in installed_fleet(observed.files).instances}
    now = {unit: instance for unit, instance in then.items() if instance.name not in scope.leaving}
    now |= {instance.unit: instance for instance in fleet.instances if scope.holds(instance.name)}
    return dependents.with_dependents(steps, observed.units, then=then, now=now)


def _start_or_restart(
    instance: Instance,
    wanted: Mapping[str, File],
    observed: Observed,
    state: UnitState,
    causes: Mapping[str, list[str]],
) -> tuple[StepKind | None, str]:
    if state.crash_looping:
        return StepKind.RESTART, "it is crash-looping"
    if state.active is Active.INACTIVE and instance.sleeps:
        return _to_prove(instance, wanted, observed, causes)
    if state.active not in UP:
        if state.active is Active.FAILED:
            return StepKind.START, "it has failed"
        return StepKind.START, "it is not running" if _drop_in(instance.name, observed) in observed.files else "new"
    running = observed.running.get(instance.name) or Running()
    why = _stale(instance, running, wanted, observed)
    if not why:
        return None, ""
    known = [*causes.get("", ()), *causes.get(instance.name, ())]
    if why == OLDER and known:
        return StepKind.RESTART, ", ".join(dict.fromkeys(known))
    return StepKind.RESTART, why


def _to_prove(
    instance: Instance, wanted: Mapping[str, File], observed: Observed, causes: Mapping[str, list[str]]
) -> tuple[StepKind | None, str]:
    """One that sleeps is started where its server will be another one, to prove that; the gate stops it again."""
    drop_in = _drop_in(instance.name, observed)
    if drop_in not in observed.files:
        return StepKind.START, "new, and started once to prove it"
    if _digest(_CONFIG, wanted[drop_in].data) == _digest(_CONFIG, _seen(observed, drop_in)):
        return None, ""
    known = [*causes.get("", ()), *causes.get(instance.name, ())]
    return StepKind.START, f"{', '.join(dict.fromkeys(known)) or OLDER}: started to prove it"


OLDER = "it runs with an older configuration"
"""The cause of a restart that nothing else explains: an apply was ended before it, or made for others only."""


def runs_older(instance: str, observed: Observed) -> bool:
    """Whether its process was started with other settings than those that are installed, as far as one may look."""
    running = observed.running.get(instance)
    installed = _digest(_CONFIG, _seen(observed, _drop_in(instance, observed)))
    return bool(running and running.config and installed and running.config != installed)


def _stale(instance: Instance, running: Running, wanted: Mapping[str, File], observed: Observed) -> str:
    """Why the running process is not what the spec wants; empty where it is, or where nobody may look."""
    layout = observed.facts.layout
    drop_in = _drop_in(instance.name, observed)
    on_disk = _digest(_CONFIG, _seen(observed, drop_in))
    config = running.config or on_disk
    template = f"{layout.unit_dir}/{TEMPLATE}"
    if config != _digest(_CONFIG, wanted[drop_in].data):
        return OLDER
    if on_disk == config and _edited((template, drop_in), wanted, observed):
        return OLDER
    secret_path = f"{layout.secrets}/{instance.name}.env"
    secret = wanted.get(secret_path)
    seen = _seen(observed, secret_path)
    if running.config and running.secrets != (secretfile.seal(secret.data) if secret else None):
        return "secrets changed"
    if secret and seen and seen != secret.data:
        return "secrets were edited by hand"
    if running.same_binary is False:
        return f"{instance.binary} was replaced since it started"
    if running.stale_files:
        return f"{running.stale_files[0]} was changed since it started"
    return ""


def _edited(paths: Iterable[str], wanted: Mapping[str, File], observed: Observed) -> bool:
    """Whether somebody edited a file so that a server started since may run with it, under the digest of ours."""
    for path in paths:
        file, seen = wanted.get(path), observed.files.get(path)
        if file and seen and seen.data != file.data:
            texts = (seen.data.decode(errors="replace"), file.data.decode())
            if len({changes.restart_digest("", text, ()) for text in texts}) > 1:
                return True
    return False


def _drop_in(instance: str, observed: Observed) -> str:
    return f"{observed.facts.layout.unit_dir}/{unit_name(instance)}.d/10-ollamactl.conf"


def _seen(observed: Observed, path: str) -> bytes:
    file = observed.files.get(path)
    return file.data if file else b""


def _digest(pattern: re.Pattern[str], data: bytes) -> str | None:
    match = pattern.search(data.decode(errors="replace"))
    return match[1] if match else None


def _leaving_steps(observed: Observed, scope: Scope) -> Iterable[Step]:
    for name in sorted(scope.leaving):
        if observed.unit(unit_name(name)).active is not Active.INACTIVE:
            yield Step(kind=StepKind.STOP, subject=unit_name(name), cause="no longer in the spec", instance=name)


def _target_step(fleet: Fleet, observed: Observed) -> Iterable[Step]:
    active = observed.unit(TARGET).active
    if any(i.state is State.RUNNING for i in fleet.instances) and active is not Active.ACTIVE:
        yield Step(kind=StepKind.START, subject=TARGET, cause="it is not active")
    if not fleet.instances and active is Active.ACTIVE:
        yield Step(kind=StepKind.STOP, subject=TARGET, cause=EMPTY)


def _timer_steps(fleet: Fleet, observed: Observed) -> Iterable[Step]:
    """Whether somebody looks for servers that hang; the target takes the timer along."""
    if fleet.health and fleet.instances:
        if dependents.to_run(fleet) and observed.unit(HEAL_TIMER).active is not Active.ACTIVE:
            every = format_duration(fleet.health.every)
            yield Step(kind=StepKind.START, subject=HEAL_TIMER, cause=f"looks for servers that hang every {every}")
        return
    for unit in (HEAL_TIMER, HEAL_SERVICE):
        seen = observed.files.get(f"{observed.facts.layout.unit_dir}/{unit}")
        if observed.unit(unit).active is not Active.INACTIVE and (seen is None or seen.ours):
            cause = NOT_HEALED if fleet.instances else EMPTY
            yield Step(kind=StepKind.STOP, subject=unit, cause=cause)
