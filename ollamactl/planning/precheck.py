"""What must hold before anything is changed, judged all at once from what was observed. Pure."""

from collections.abc import Collection, Iterable

from ollamactl.errors import Problem, Severity, listed
from ollamactl.facts import Facts
from ollamactl.files import File, FileKind
from ollamactl.model import (
    GATE_SERVICE,
    TEMPLATE,
    Egress,
    Fleet,
    Hardening,
    Instance,
    State,
    Store,
    instance_name,
    overlap,
    socket_instance,
)
from ollamactl.observed import Observed
from ollamactl.planning import dependents, displace, onlycheck
from ollamactl.planning.plan import Plan


def problems(
    fleet: Fleet, desired: Collection[File], observed: Observed, *, only: Collection[str] = ()
) -> tuple[Problem, ...]:
    """Errors that forbid an apply, and what the operator should know of the host before one.

    `only` are the instances that it is limited to: the others keep their ports.
    """
    return (
        *_foreign_files(desired, observed),
        *_unread(desired, observed),
        *_foreign_units(fleet, observed),
        *_hosts(fleet, observed, only),
        *ports(fleet, observed, only, make_room=True),
        *_rivals(fleet, observed, only),
        *_same_store(fleet, observed),
        *displace.problems(fleet, observed),
        *_environment_files(fleet, observed),
        *_no_gate(fleet, observed),
        *_given_up(fleet),
        *onlycheck.problems(fleet, desired, observed, only),
    )


def _foreign_files(desired: Iterable[File], observed: Observed) -> Iterable[Problem]:
    for file in desired:
        seen = observed.files.get(file.path)
        if seen and not seen.ours:
            yield Problem(
                path=file.path,
                instance=file.instance,
                message="this file is not ollamactl's, so it stays as it is",
                hint=_away(file.path),
            )


def _unread(desired: Iterable[File], observed: Observed) -> Iterable[Problem]:
    secrets = observed.facts.layout.secrets
    for wanted in desired:
        if wanted.kind is FileKind.SECRETS and secrets in observed.files:
            yield Problem(
                path=secrets,
                severity=Severity.NOTE,
                message="only root may look into this folder, so no secrets were compared",
            )
            break
        file = observed.files.get(wanted.path)
        if file and file.unread and file.data != wanted.data:
            yield Problem(
                path=file.path,
                instance=observed.facts.layout.owner(file.path),
                severity=Severity.NOTE,
                message="only root may read this file, so it was not compared",
            )


def _foreign_units(fleet: Fleet, observed: Observed) -> Iterable[Problem]:
    """Whole units of an instance's name: systemd takes them instead of the template (systemd.unit(5))."""
    for instance in fleet.instances:
        path = f"{observed.facts.layout.unit_dir}/{instance.unit}"
        seen = observed.files.get(path)
        if seen and seen.data == b"/dev/null":
            yield _mask(instance, f"systemctl unmask {instance.unit}")
        elif seen:
            yield Problem(
                path=path,
                instance=instance.name,
                message="this unit file of somebody else stands in the place of the template",
                hint=_away(path),
            )
        elif observed.unit(instance.unit).load_state == "masked":
            # Until the next boot, in /run: what undoes the one leaves the other
            yield _mask(instance, f"systemctl unmask --runtime {instance.unit}")


def _mask(instance: Instance, way_out: str) -> Problem:
    return Problem(
        path=instance.unit,
        instance=instance.name,
        message="the unit is masked, so systemd refuses to start it",
        hint=f"sudo {way_out}, then the same command again",
    )


def _away(path: str) -> str:
    return f"look at it, then move it away: mv {path} {path}.mine"


def _hosts(fleet: Fleet, observed: Observed, only: Collection[str]) -> Iterable[Problem]:
    """Addresses that are not this host's; one of a server that stays stopped may come later."""
    for host in sorted(observed.lacking):
        names = [
            instance.name
            for instance in fleet.instances
            if instance.host == host and instance.state is State.RUNNING and (not only or instance.name in only)
        ]
        if names:
            there = listed(observed.addresses) if observed.addresses else "only loopback"
            yield Problem(
                path=f"instances.{names[0]}.host",
                instance=names[0],
                message=f"{host} is not an address of this host, so {listed(names)} cannot listen on it",
                hint=f"this host has {there}; 127.0.0.1 is for this host alone, 0.0.0.0 for every address",
            )


def ports(
    fleet: Fleet, observed: Observed, only: Collection[str] = (), *, make_room: bool = False
) -> Iterable[Problem]:
    """Addresses of servers that shall run which somebody else holds; `make_room`: services that they replace will."""
    named = {instance.unit for instance in fleet.instances}
    for instance in dependents.to_run(fleet):
        holder = observed.holders.get(instance.name)
        if not holder or (make_room and displace.makes_room(holder.unit, instance, observed)):
            continue
        owner = instance_name(holder.unit) or socket_instance(holder.unit)
        moves = holder.unit in named or owner in observed.ours or holder.unit == GATE_SERVICE
        if moves and (not only or owner in only or holder.unit == GATE_SERVICE):
            # A server of this fleet that moves away or leaves: the plan stops it first.
            continue
        stranger = holder.pid is not None or holder.unit or all(each.config for each in observed.running.values())
        yield Problem(
            path=f"instances.{instance.name}.port",
            instance=instance.name,
            # Who may not look at the fleet's own servers cannot tell them from strangers, and cannot apply either.
            severity=Severity.ERROR if stranger else Severity.WARNING,
            message=f"{instance.listen} is taken by {holder}",
            hint="that server frees it when the whole spec is applied, without --only" if moves else holder.way_out,
        )


def _rivals(fleet: Fleet, observed: Observed, only: Collection[str]) -> Iterable[Problem]:
    """Units that will want a server's port, though they may not hold it now: whichever starts first at boot wins."""
    leaving = {unit for unit, _ in displace.takers(fleet, only)}
    for instance in fleet.instances:
        for rival in observed.rivals:
            if rival.unit in leaving:
                continue
            holder = observed.holders.get(instance.name)
            if rival.port != instance.port or not overlap(rival.host, instance.host):
                continue
            if holder and holder.unit == rival.unit:
                continue
            idle = not rival.enabled and not rival.up
            systemctl = "systemctl --user" if observed.facts.layout.user else "sudo systemctl"
            away = f"so that nobody starts it: {systemctl} mask" if idle else f"{systemctl} disable --now"
            yield Problem(
                path=f"instances.{instance.name}.port",
                instance=instance.name,
                severity=Severity.ERROR if rival.enabled else Severity.NOTE if idle else Severity.WARNING,
                message=f"{rival.unit} is set to listen on {instance.listen} too"
                + (", and is started at boot" if rival.enabled else ", but nothing starts it" if idle else ""),
                hint=f"{away} {rival.unit}, or choose another port in the spec",
            )


def _same_store(fleet: Fleet, observed: Observed) -> Iterable[Problem]:
    """Servers of somebody else's on the fleet's own store: theirs is a writable one."""
    leaving = {unit for unit, _ in displace.takers(fleet)}
    systemctl = "systemctl --user" if observed.facts.layout.user else "sudo systemctl"
    for rival in observed.rivals if fleet.instances else ():
        if fleet.models_dir in rival.stores and (rival.enabled or rival.up) and rival.unit not in leaving:
            yield Problem(
                path="ollama.models",
                severity=Severity.WARNING,
                message=f"{rival.unit} has the same store, {fleet.models_dir}: "
                "whoever reaches it may delete models that the fleet serves",
                hint=f"if the fleet is to be alone: {systemctl} disable --now {rival.unit}, or have apply do that:"
                f" replaces: [{rival.unit}]",
            )


def _environment_files(fleet: Fleet, observed: Observed) -> Iterable[Problem]:
    for instance in fleet.instances:
        place = f"instances.{instance.name}.environment_files"
        for path, why in observed.unreadable.get(instance.name, {}).items():
            # An image may get it later, and so may a server that is not started yet.
            later = observed.offline or instance.state is State.STOPPED
            yield Problem(
                path=place,
                instance=instance.name,
                severity=Severity.WARNING if later else Severity.ERROR,
                message=f"{path}: {why}, so systemd cannot start {instance.name}",
                hint="create it, or take it out of the spec",
            )
        running = observed.running.get(instance.name)
        for path in running.undated_files if running else ():
            yield Problem(
                path=place,
                instance=instance.name,
                severity=Severity.WARNING,
                message=f"{path} was changed at a time to come, so nobody can tell whether {instance.name} has it",
                hint=f"set the clock right, then touch {path} and apply again",
            )


def _no_gate(fleet: Fleet, observed: Observed) -> Iterable[Problem]:
    """A user's manager makes no network of a server's own that somebody else could be let into."""
    for instance in fleet.instances:
        if instance.gated and observed.facts.layout.user:
            yield Problem(
                path=f"instances.{instance.name}.{'on_demand' if instance.sleeps else 'network'}",
                instance=instance.name,
                message="your own service manager cannot keep a server behind the gate",
                hint="remove it, or have the system run this fleet: the same command with sudo and without --user",
            )


def _given_up(fleet: Fleet) -> Iterable[Problem]:
    """What a step back from the defaults costs, and whom it endangers; said once for all that take it."""
    takers: dict[str, list[str]] = {}
    for instance in fleet.instances:
        for words in _losses(instance):
            takers.setdefault(words, []).append(instance.name)
    for words, names in takers.items():
        yield Problem(
            path=f"instances.{names[0]}" if len(names) == 1 else "instances",
            instance=names[0] if len(names) == 1 else "",
            # Whoever listens beyond loopback needs `allow`: no step back that could be left out.
            severity=Severity.NOTE if words == _BOTH_WAYS else Severity.WARNING,
            message=words if len(names) == 1 else f"{listed(names)}: {words}",
        )


_BOTH_WAYS = (
    "allow opens both directions: clients in those networks reach the port, and the server reaches them "
    "(IPAddressAllow=, systemd.resource-control(5))"
)


def _losses(instance: Instance) -> Iterable[str]:
    if instance.store is Store.WRITABLE:
        yield "store: writable lets whoever reaches the port delete and overwrite the models of the whole fleet"
    if instance.store is Store.SHARED:
        yield "store: shared serves every model of the store, not only those declared"
    if instance.hardening is Hardening.OFF:
        yield "hardening: off lets the server read and change whatever its user may, outside the store and its siblings"
    if instance.hardening is Hardening.COMPAT:
        yield "hardening: compat allows what some GPU drivers need: executable memory, all system calls, all of /proc"
    if instance.egress is Egress.OPEN:
        yield "egress: open lets the server reach any machine: it can pull, and it can send what it was told"
    if instance.allow and instance.allow != ("any",):
        yield _BOTH_WAYS
    if instance.allow == ("any",):
        yield "allow: [any] lets every machine that can route here use the port; Ollama asks for no password"


def weaker(facts: Facts, plan: Plan) -> Iterable[Problem]:
    """What the servers of a user's own manager lack, once, where something is to be done."""
    if facts.layout.user and plan.changes:
        from ollamactl.units import render

        short = ", ".join(text.partition(" (")[0] for text in render.lacks(facts))
        yield Problem(
            message=f"your own service manager gives a server {short}",
            hint=f"what each means stands in {facts.layout.unit_dir}/{TEMPLATE}",
            severity=Severity.NOTE,
            path="--user",
        )
