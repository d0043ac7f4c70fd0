"""The steps of a plan on disk: files and links, and the reload that makes systemd read them. Pure."""

from collections.abc import Iterable, Mapping

from ollamactl import manifest
from ollamactl.facts import Layout
from ollamactl.files import File, FileKind, ObservedFile
from ollamactl.model import (
    GATE_UNITS,
    HEAL_SERVICE,
    HEAL_TIMER,
    TARGET,
    Fleet,
    Instance,
    gate_socket,
    instance_name,
    socket_instance,
)
from ollamactl.observed import Observed
from ollamactl.planning.plan import Step, StepKind
from ollamactl.units import changes

_UNTOLD = {
    **dict.fromkeys((FileKind.DROP_IN, FileKind.TARGET), "records the new configuration"),
    FileKind.GATE: "tells the gate of its servers",
}
_NO_SERVERS = (FileKind.TARGET, FileKind.SERVICE, FileKind.TIMER, FileKind.SOCKET, FileKind.GATE)
"""No server depends on these."""
EMPTY = "the fleet is empty"
NOT_HEALED = "health is no longer in the spec"


class Scope:
    """Which instances this apply is about, and which of the host's are leaving."""

    def __init__(self, fleet: Fleet, observed: Observed, only: frozenset[str]) -> None:
        self.only = only
        self.named = {instance.name for instance in fleet.instances}
        self.layout = observed.facts.layout
        left = observed.ours - self.named
        self.leaving = left & only if only else left

    def holds(self, instance: str) -> bool:
        """Whether what belongs to an instance, or to all (""), is to be changed."""
        return not instance or not self.only or instance in self.only


def file_steps(
    wanted: Mapping[str, File], observed: Observed, scope: Scope, causes: dict[str, list[str]]
) -> Iterable[Step]:
    """Writes and removals; collects per instance (or "" for all) the causes that a restart will name."""
    for path, file in wanted.items():
        seen = observed.files.get(path)
        if seen and (seen.data == file.data or seen.unread) and seen.mode == file.mode and not seen.exposed:
            continue
        if file.kind is FileKind.SECRETS and scope.layout.secrets in observed.files:
            continue  # nobody but root may see whether it is there
        why = _write_causes(file, seen, scope.layout)
        if seen and file.kind not in _NO_SERVERS:
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
        elif not name and not scope.named:
            cause = EMPTY
        elif scope.layout.kind(path) is FileKind.GATE and not scope.only:
            cause = "no server is behind the gate any more"
        elif scope.layout.kind(path) in (FileKind.SERVICE, FileKind.TIMER):
            cause = NOT_HEALED
        else:
            continue
        yield Step(kind=StepKind.REMOVE, subject=path, cause=cause, instance=name, before=seen.data)
        if scope.layout.kind(path) is FileKind.SERVICE:
            # Figures that nobody renews would be taken for those of now
            yield Step(kind=StepKind.REMOVE, subject=scope.layout.figures, cause=cause)


def _write_causes(file: File, seen: ObservedFile | None, layout: Layout) -> list[str]:
    if seen is None:
        return ["new"]
    if seen.data == file.data or seen.unread:
        return [
            f"mode {seen.mode:04o} -> {file.mode:04o}" if seen.mode != file.mode else "its folder is open to others"
        ]
    if file.kind is FileKind.SECRETS:
        return ["secrets changed"]
    if file.kind is FileKind.VIEW:
        model = manifest.listed_as(file.path.removeprefix(f"{layout.views}/{file.instance}/"))
        old, new = (manifest.short(manifest.digest(data)) for data in (seen.data, file.data))
        return [f"{model} {old} -> {new}"] if model else []
    if not seen.ours:
        return ["but somebody else's file is there"]
    return list(changes.describe(seen.data.decode(errors="replace"), file.data.decode()))


def link_steps(fleet: Fleet, observed: Observed, scope: Scope, sockets: Mapping[str, Instance]) -> Iterable[Step]:
    """What starts at boot; `sockets` are those of the gate that do."""
    at_boot = {**{i.unit: i for i in fleet.instances if i.wanted_at_boot}, **sockets}
    for unit, instance in at_boot.items():
        if unit not in observed.wanted and scope.holds(instance.name):
            yield Step(kind=StepKind.ENABLE, subject=unit, cause="starts at boot", instance=instance.name)
    for unit in sorted(observed.wanted - at_boot.keys()):
        name = instance_name(unit) or socket_instance(unit)
        if name and scope.holds(name):
            why = "no longer in the spec" if name in scope.leaving else "not to be started at boot"
            yield Step(kind=StepKind.DISABLE, subject=unit, cause=why, instance=name)
    healed = fleet.health is not None and bool(fleet.instances)
    if healed and HEAL_TIMER not in observed.wanted:
        yield Step(kind=StepKind.ENABLE, subject=HEAL_TIMER, cause="starts with the fleet")
    if not healed and HEAL_TIMER in observed.wanted:
        yield Step(kind=StepKind.DISABLE, subject=HEAL_TIMER, cause=NOT_HEALED if fleet.instances else EMPTY)
    if fleet.instances and not observed.target_enabled:
        yield Step(kind=StepKind.ENABLE, subject=TARGET, cause="brings the fleet up at boot")
    if not fleet.instances and observed.target_enabled:
        yield Step(kind=StepKind.DISABLE, subject=TARGET, cause=EMPTY)


def reload_step(steps: list[Step], fleet: Fleet, observed: Observed, scope: Scope) -> list[Step]:
    """One daemon-reload where a unit file or a link changed, or where the manager has not read what is there."""
    counts = (
        ("file", "written", sum(1 for s in steps if s.kind is StepKind.WRITE and s.file and s.file.is_unit)),
        ("file", "removed", sum(1 for s in steps if _removes_unit(s, observed))),
        ("link", "changed", sum(1 for s in steps if s.kind in (StepKind.ENABLE, StepKind.DISABLE))),
    )
    parts = [f"{count} {what}{'s' if count > 1 else ''} {how}" for what, how, count in counts if count]
    if not parts:
        loaded = observed.wanted if observed.loaded_wants is None else observed.loaded_wants
        units = [i.unit for i in fleet.instances if scope.holds(i.name)] + sorted(loaded - observed.wanted)
        units += [HEAL_TIMER, HEAL_SERVICE] if fleet.health else []
        gated = [i.name for i in fleet.instances if i.gated and scope.holds(i.name)]
        units += [*map(gate_socket, gated), *GATE_UNITS] if gated else []
        stale = [unit for unit in dict.fromkeys(units) if observed.unit(unit).need_reload]
        if stale or observed.unit(TARGET).need_reload:
            parts = [f"files of {', '.join(stale[:3]) or TARGET} changed on disk since systemd read them"]
        elif observed.wanted - loaded:
            parts = [f"links of {TARGET} changed on disk since systemd read them"]
    return [Step(kind=StepKind.RELOAD, subject="systemd", cause=", ".join(parts))] if parts else []


def _removes_unit(step: Step, observed: Observed) -> bool:
    of_systemd = step.subject.startswith(f"{observed.facts.layout.unit_dir}/")
    return step.kind is StepKind.REMOVE and of_systemd and not observed.files[step.subject].leftover
