"""What an apply with --only cannot do: change or start what belongs to the instances that it leaves out. Pure."""

from collections.abc import Collection, Iterable

from ollamactl.errors import Problem, listed
from ollamactl.files import File, FileKind
from ollamactl.model import Fleet, Instance, instance_name
from ollamactl.observed import Observed
from ollamactl.planning import dependents
from ollamactl.units import changes
from ollamactl.units.record import installed_fleet


def problems(fleet: Fleet, desired: Iterable[File], observed: Observed, only: Collection[str]) -> Iterable[Problem]:
    """Errors; none without --only."""
    if not only:
        return
    there = installed_fleet(observed.files)
    others = [instance for instance in there.instances if instance.name not in only]
    for words, names in _shared(fleet, desired, observed, there, others):
        if names:
            yield Problem(
                message=f"--only leaves out {listed(names)}, but all share what changes: {words}",
                hint="apply without --only; to try it on one server first: --canary NAME",
            )
    for name in sorted(only):
        if missing := not_installed(fleet, observed, name) - set(only):
            yield Problem(
                path=f"instances.{name}.requires",
                instance=name,
                message=f"{name} requires {listed(sorted(missing))}, not installed yet and left out by --only",
                hint=f"apply without --only, or add: {' '.join(f'--only {each}' for each in sorted(missing))}",
            )


def _shared(
    fleet: Fleet, desired: Iterable[File], observed: Observed, there: Fleet, others: Collection[Instance]
) -> Iterable[tuple[str, list[str]]]:
    """What changes, in words, and whom else it concerns: at the latest when a crash starts them anew."""
    for file in desired:
        seen = observed.files.get(file.path)
        if file.kind is not FileKind.TEMPLATE or not seen or not seen.ours:
            continue
        before, after = seen.data.decode(errors="replace"), file.data.decode()
        if changes.restart_digest(before, "", ()) != changes.restart_digest(after, "", ()):
            words = changes.describe(before, after)
            by_binary = all(each.startswith("binary ") for each in words)
            names = [each.name for each in others if not by_binary or each.binary == there.binary]
            yield f"ollama.{', '.join(words)}" if by_binary else ", ".join(words), names
    if there.models_dir != fleet.models_dir:
        yield f"ollama.models {there.models_dir} -> {fleet.models_dir}", [each.name for each in others]


def not_installed(fleet: Fleet, observed: Observed, name: str) -> set[str]:
    """Instances of the spec that another one requires, and that are not there yet: systemd would start them bare."""
    servers = {instance.unit: instance for instance in fleet.instances}
    server = next((instance for instance in fleet.instances if instance.name == name), None)
    needed = dependents.required(server.unit, servers) if server else ()
    names = {each for unit in needed if unit in servers and (each := instance_name(unit))}
    return names - {instance.name for instance in installed_fleet(observed.files).instances}
