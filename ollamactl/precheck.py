"""What must hold before anything is changed, judged all at once from what was observed. Pure."""

from collections.abc import Iterable

from ollamactl.errors import Problem, Severity
from ollamactl.files import File
from ollamactl.model import Fleet, Hardening, Instance, State, Store, instance_name
from ollamactl.observed import Observed, PortHolder
from ollamactl.reconcile import owner


def problems(fleet: Fleet, desired: Iterable[File], observed: Observed) -> tuple[Problem, ...]:
    """Errors that forbid an apply, and what the operator should know of the host before one."""
    return (
        *_foreign_files(desired, observed),
        *_masked(fleet, observed),
        *_ports(fleet, observed),
        *_administrators(observed),
        *_given_up(fleet),
        *_shared_cards(fleet),
    )


def _foreign_files(desired: Iterable[File], observed: Observed) -> Iterable[Problem]:
    for file in desired:
        seen = observed.files.get(file.path)
        if seen and not seen.ours:
            yield Problem(
                path=file.path,
                instance=file.instance,
                message="this file is not ollamactl's, so it stays as it is",
                hint=f"look at it, then move it away: mv {file.path} {file.path}.mine",
            )
    layout = observed.facts.layout
    for path, seen in observed.files.items():
        name = instance_name(path.removeprefix(f"{layout.unit_dir}/"))
        if not seen.ours and name and not owner(path, layout):
            yield Problem(
                path=path,
                instance=name,
                message="this unit file of somebody else stands in the place of the template",
                hint=f"systemctl unmask {name and path.rsplit('/', 1)[-1]}, or move the file away",
            )


def _masked(fleet: Fleet, observed: Observed) -> Iterable[Problem]:
    for instance in fleet.instances:
        if observed.unit(instance.unit).load_state == "masked":
            yield Problem(
                path=instance.unit,
                instance=instance.name,
                message="the unit is masked, so systemd refuses to start it",
                hint=f"systemctl unmask {instance.unit}",
            )


def _ports(fleet: Fleet, observed: Observed) -> Iterable[Problem]:
    named = {instance.unit: instance for instance in fleet.instances}
    for instance in fleet.instances:
        holder = observed.holders.get(instance.name)
        if not holder or instance.state is State.STOPPED:
            continue
        leaving = observed.running.get(instance_name(holder.unit) or "")
        if holder.unit in named or (leaving and leaving.config):
            # A server of this fleet that moves away or leaves: the plan stops it first.
            continue
        yield Problem(
            path=f"instances.{instance.name}.port",
            instance=instance.name,
            message=f"{instance.listen} is taken by {holder_words(holder)}",
            hint=_port_hint(holder),
        )


def holder_words(holder: PortHolder) -> str:
    """`pid 812 (python3 -m http.server) of session-2.scope`."""
    if holder.pid is None:
        return "a process that only root may see"
    where = f" of {holder.unit}" if holder.unit else ""
    return f"pid {holder.pid} ({holder.command}){where}"


def _port_hint(holder: PortHolder) -> str:
    if holder.unit == "ollama.service":
        return "that is Ollama's own service: sudo systemctl disable --now ollama.service, or choose another port"
    if holder.unit.endswith(".service"):
        return f"sudo systemctl stop {holder.unit}, or choose another port in the spec"
    return "end that program, or choose another port in the spec; ollamactl kills nothing"


def _administrators(observed: Observed) -> Iterable[Problem]:
    for unit, paths in observed.foreign_drop_ins.items():
        yield Problem(
            path=unit,
            instance=instance_name(unit) or "",
            severity=Severity.NOTE,
            message=f"an administrator's drop-in applies too: {', '.join(paths)}",
        )


def _given_up(fleet: Fleet) -> Iterable[Problem]:
    """What a step back from the defaults costs, and whom it endangers."""
    for instance in fleet.instances:
        lost = list(_losses(instance, fleet))
        for words in lost:
            yield Problem(
                path=f"instances.{instance.name}", instance=instance.name, severity=Severity.WARNING, message=words
            )


def _losses(instance: Instance, fleet: Fleet) -> Iterable[str]:
    others = [i.name for i in fleet.instances if i.name != instance.name]
    siblings = f" of {', '.join(others[:5])}{' ...' if len(others) > 5 else ''}" if others else ""
    if instance.store is Store.WRITABLE:
        yield f"store: writable lets whoever reaches {instance.listen} delete and overwrite the models{siblings}"
    if instance.store is Store.SHARED:
        declared = ", ".join(instance.models)
        yield f"store: shared serves every model of the store on {instance.listen}, not only {declared}"
    if instance.hardening is Hardening.OFF:
        yield f"hardening: off lets the server read and change what its user may, and speak to the ports{siblings}"
    if instance.hardening is Hardening.COMPAT:
        yield "hardening: compat allows what some GPU drivers need: executable memory, all system calls, all of /proc"
    if instance.egress == "open":
        yield "egress: open lets the server reach any machine: it can pull, and it can send what it was told"
    if instance.allow and instance.allow != ("any",):
        yield (
            f"allow opens both directions: clients in {', '.join(instance.allow)} reach the port, and the server "
            "reaches them (IPAddressAllow=, systemd.resource-control(5))"
        )
    if instance.allow == ("any",):
        yield f"allow: [any] lets every machine that can route here use {instance.listen}; Ollama asks for no password"


def _shared_cards(fleet: Fleet) -> Iterable[Problem]:
    everywhere = [i.name for i in fleet.instances if i.gpus is None and i.backend != "cpu"]
    if len(everywhere) > 1:
        shown = ", ".join(everywhere[:8]) + (" ..." if len(everywhere) > 8 else "")
        yield Problem(
            path="instances",
            severity=Severity.NOTE,
            message=f"{len(everywhere)} instances may use every card: {shown}",
            hint="pin each with gpus: [...] (see ollamactl gpus), or gpus: none",
        )
