"""Desired files and the host as found -> the plan. Pure: every decision of apply is taken here, none later."""

import re
from collections.abc import Iterable, Mapping, Set

from ollamactl import changes
from ollamactl.files import VIEW_NOTE, File, FileKind, ObservedFile
from ollamactl.model import TARGET, TEMPLATE, Fleet, Instance, State, instance_name, unit_name
from ollamactl.observed import UP, Active, Observed, Running, UnitState
from ollamactl.plan import ON_DISK, ORDER, Plan, Step, StepKind

_CONFIG = re.compile(r"\bOLLAMACTL_CONFIG=([0-9a-f]+)")
_SECRETS = re.compile(r"\bOLLAMACTL_SECRETS=\"?([0-9a-f]+)")
_UNTOLD = {FileKind.DROP_IN: "records the new configuration"}
_STARTING_SECONDS = 180.0
"""How young a server may be silent: looking for cards takes it 150 s at worst (discover/runner.go in Ollama)."""


def reconcile(fleet: Fleet, desired: Iterable[File], observed: Observed, *, only: frozenset[str] = frozenset()) -> Plan:
    """The steps that make the host match; `only` limits them to some instances and what all share."""
    scope = _Scope(fleet, observed, only)
    wanted = {file.path: file for file in desired if fleet.instances and scope.holds(file.instance)}
    causes: dict[str, list[str]] = {}
    steps = [*_file_steps(wanted, observed, scope, causes)]
    steps += _link_steps(fleet, observed, scope)
    steps += _reload_step(steps, fleet, observed, scope)
    handed_over = _handed_over(fleet, observed, scope)
    blind = _blind(wanted, observed)
    for instance in fleet.instances:
        if scope.holds(instance.name):
            steps += _instance_steps(instance, wanted, observed, causes, handed_over, blind)
    steps += _leaving_steps(observed, scope)
    steps += _target_step(fleet, observed)
    if observed.offline:
        steps = [step for step in steps if step.kind in ON_DISK]
    return Plan(steps=tuple(sorted(steps, key=lambda step: ORDER[step.kind])))


class _Scope:
    """Which instances this apply is about, and which of the host's are leaving."""

    def __init__(self, fleet: Fleet, observed: Observed, only: frozenset[str]) -> None:
        self.only = only
        self.named = {instance.name for instance in fleet.instances}
        self.layout = observed.facts.layout
        self.leaving = frozenset() if only else observed.ours - self.named

    def holds(self, instance: str) -> bool:
        return not instance or not self.only or instance in self.only


def _file_steps(
    wanted: Mapping[str, File], observed: Observed, scope: _Scope, causes: dict[str, list[str]]
) -> Iterable[Step]:
    """Writes and removals; collects per instance (or "" for all) the causes that a restart will name."""
    for path, file in wanted.items():
        seen = observed.files.get(path)
        if seen and (seen.data == file.data or seen.unread) and seen.mode == file.mode and not seen.exposed:
            continue
        if file.kind is FileKind.SECRETS and scope.layout.secrets in observed.files:
            continue  # nobody but root may see whether it is there
        why = _write_causes(file, seen)
        if seen and file.kind is not FileKind.TARGET:
            causes.setdefault(file.instance, []).extend(why)
        yield Step(
            kind=StepKind.WRITE,
            subject=path,
            cause=", ".join(why) or _UNTOLD.get(file.kind, "its text changed"),
            instance=file.instance,
            file=file,
            before=seen.data if seen else None,
        )
    for path, seen in sorted(observed.files.items()):
        name = scope.layout.owner(path)
        if path in wanted or not seen.ours:
            continue
        if seen.leftover:
            cause = "left behind by an apply that was killed"
        elif name in scope.leaving:
            cause = "no longer in the spec"
        elif name and scope.holds(name) and name in scope.named:
            cause = "no longer needed"
        elif not name and not scope.named and not scope.only:
            cause = "the fleet is empty"
        else:
            continue
        yield Step(kind=StepKind.REMOVE, subject=path, cause=cause, instance=name, before=seen.data)


def _write_causes(file: File, seen: ObservedFile | None) -> list[str]:
    if seen is None:
        return ["new"]
    if seen.data == file.data or seen.unread:
        return [
            f"mode {seen.mode:04o} -> {file.mode:04o}" if seen.mode != file.mode else "its folder is open to others"
        ]
    if file.kind is FileKind.SECRETS:
        return ["secrets changed"]
    if file.kind is FileKind.VIEW:
        *_, model, tag = file.path.split("/")
        return [f"{model}:{tag} has a new digest in the store"]
    if not seen.ours:
        return ["but somebody else's file is there"]
    return list(changes.describe(seen.data.decode(errors="replace"), file.data.decode()))


def _link_steps(fleet: Fleet, observed: Observed, scope: _Scope) -> Iterable[Step]:
    at_boot = {i.unit: i for i in fleet.instances if i.wanted_at_boot}
    for unit, instance in at_boot.items():
        if unit not in observed.wanted and scope.holds(instance.name):
            yield Step(kind=StepKind.ENABLE, subject=unit, cause="starts at boot", instance=instance.name)
    for unit in sorted(observed.wanted - at_boot.keys()):
        name = instance_name(unit)
        if name and scope.holds(name):
            why = "no longer in the spec" if name in scope.leaving else "not to be started at boot"
            yield Step(kind=StepKind.DISABLE, subject=unit, cause=why, instance=name)
    if fleet.instances and not observed.target_enabled:
        yield Step(kind=StepKind.ENABLE, subject=TARGET, cause="brings the fleet up at boot")
    if not fleet.instances and observed.target_enabled and not scope.only:
        yield Step(kind=StepKind.DISABLE, subject=TARGET, cause="the fleet is empty")


def _reload_step(steps: list[Step], fleet: Fleet, observed: Observed, scope: _Scope) -> list[Step]:
    """One daemon-reload where a unit file or a link changed, or where the manager has not read what is there."""
    counts = (
        ("file", "written", sum(1 for s in steps if s.kind is StepKind.WRITE and s.file and s.file.is_unit)),
        ("file", "removed", sum(1 for s in steps if _removes_unit(s, observed))),
        ("link", "changed", sum(1 for s in steps if s.kind in (StepKind.ENABLE, StepKind.DISABLE))),
    )
    parts = [f"{count} {what}{'s' if count > 1 else ''} {how}" for what, how, count in counts if count]
    if not parts:
        stale = [i.unit for i in fleet.instances if scope.holds(i.name) and observed.unit(i.unit).need_reload]
        if stale or observed.unit(TARGET).need_reload:
            parts = [f"files of {', '.join(stale[:3]) or TARGET} changed on disk since systemd read them"]
    return [Step(kind=StepKind.RELOAD, subject="systemd", cause=", ".join(parts))] if parts else []


def _removes_unit(step: Step, observed: Observed) -> bool:
    of_systemd = step.subject.startswith(f"{observed.facts.layout.unit_dir}/")
    return step.kind is StepKind.REMOVE and of_systemd and not observed.files[step.subject].leftover


def _handed_over(fleet: Fleet, observed: Observed, scope: _Scope) -> Mapping[str, str]:
    """Instances whose running server holds the address of another of this fleet: they must stop before it starts.

    Name -> the address and its next owner, in words.
    """
    by_unit = {instance.unit: instance for instance in fleet.instances}
    result = {}
    for name, holder in observed.holders.items():
        giving = by_unit.get(holder.unit)
        if giving and giving.name != name and scope.holds(giving.name):
            result[giving.name] = f"frees port {holder.port} for {name}"
    return result


def _blind(wanted: Mapping[str, File], observed: Observed) -> Set[str]:
    """Instances that lack a manifest: a server whose folder of manifests was removed never sees the new one."""
    return {
        file.instance
        for path, file in wanted.items()
        if file.kind is FileKind.VIEW and path not in observed.files and not path.endswith(f"/{VIEW_NOTE}")
    }


def _instance_steps(
    instance: Instance,
    wanted: Mapping[str, File],
    observed: Observed,
    causes: Mapping[str, list[str]],
    handed_over: Mapping[str, str],
    blind: Set[str],
) -> Iterable[Step]:
    name, unit, state = instance.name, instance.unit, observed.unit(instance.unit)
    if instance.state is State.STOPPED:
        if state.active in (*UP, Active.FAILED):
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
    if kind or (age is not None and age < _STARTING_SECONDS):
        yield Step(
            kind=StepKind.WAIT, subject=unit, cause=f"until {instance.listen} answers", instance=name, target=instance
        )
    yield Step(kind=StepKind.VERIFY, subject=unit, cause=f"proves {instance.listen}", instance=name, target=instance)


def _start_or_restart(
    instance: Instance,
    wanted: Mapping[str, File],
    observed: Observed,
    state: UnitState,
    causes: Mapping[str, list[str]],
) -> tuple[StepKind | None, str]:
    if state.crash_looping:
        return StepKind.RESTART, "it is crash-looping"
    if state.active not in UP:
        if state.active is Active.FAILED:
            return StepKind.START, "it has failed"
        return StepKind.START, "it is not running" if _drop_in(instance.name, observed) in observed.files else "new"
    running = observed.running.get(instance.name) or Running()
    why = _stale(instance, running, wanted, observed)
    if not why:
        return None, ""
    known = [*causes.get("", ()), *causes.get(instance.name, ())]
    if why == _OLDER and known:
        return StepKind.RESTART, ", ".join(dict.fromkeys(known))
    return StepKind.RESTART, why


_OLDER = "it runs with an older configuration"


def _stale(instance: Instance, running: Running, wanted: Mapping[str, File], observed: Observed) -> str:
    """Why the running process is not what the spec wants; empty where it is, or where nobody may look."""
    layout = observed.facts.layout
    drop_in = _drop_in(instance.name, observed)
    on_disk = _digest(_CONFIG, _seen(observed, drop_in))
    config = running.config or on_disk
    template = f"{layout.unit_dir}/{TEMPLATE}"
    if config != _digest(_CONFIG, wanted[drop_in].data):
        return _OLDER
    if on_disk == config and _edited((template, drop_in), wanted, observed):
        return _OLDER
    secret_path = f"{layout.secrets}/{instance.name}.env"
    secret = wanted.get(secret_path)
    seen = _seen(observed, secret_path)
    if running.config and running.secrets != _digest(_SECRETS, secret.data if secret else b""):
        return "secrets changed"
    if secret and seen and seen != secret.data:
        return "secrets were edited by hand"
    if running.same_binary is False:
        return f"{instance.binary} was replaced since it started"
    if running.stale_files:
        return f"{running.stale_files[0]} is newer than the server"
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


def _leaving_steps(observed: Observed, scope: _Scope) -> Iterable[Step]:
    for name in sorted(scope.leaving):
        if observed.unit(unit_name(name)).active is not Active.INACTIVE:
            yield Step(kind=StepKind.STOP, subject=unit_name(name), cause="no longer in the spec", instance=name)


def _target_step(fleet: Fleet, observed: Observed) -> Iterable[Step]:
    active = observed.unit(TARGET).active
    if any(i.state is State.RUNNING for i in fleet.instances) and active is not Active.ACTIVE:
        yield Step(kind=StepKind.START, subject=TARGET, cause="it is not active")
    if not fleet.instances and active is Active.ACTIVE:
        yield Step(kind=StepKind.STOP, subject=TARGET, cause="the fleet is empty")
