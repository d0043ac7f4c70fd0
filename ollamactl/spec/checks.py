"""The rules that no single value can break: within an instance and across the fleet. Pure."""

import ipaddress
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import fields
from functools import lru_cache
from types import MappingProxyType

from ollamactl.errors import Location, Problem, Severity, listed
from ollamactl.model import Backend, Egress, Fleet, Instance, Restart, Store, overlap
from ollamactl.quantity import format_size
from ollamactl.spec import depchecks, gatechecks, modelchecks, restartcheck, varchecks
from ollamactl.spec.specplace import Path, Place

UNIT_SUFFIXES = (".service", ".socket", ".target", ".timer", ".mount", ".slice", ".scope", ".path", ".device", ".swap")
"""How units end; an instance that ends so would be taken for one."""
# A plain word that systemd takes as it is for %i (systemd.unit(5), "String escaping for inclusion in unit names").
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_OURS = ("/var/lib/ollamactl", "/var/lib/ollamactl-instances")
# A store there is hidden from the units, lost at a boot, or takes the system's own files for its own.
_NO_STORE = ("/", "/bin", "/home", "/lib", "/lib64", "/media", "/mnt", "/opt", "/root", "/run", "/sbin", "/srv", "/usr")
_NO_STORE_BELOW = ("/boot", "/dev", "/etc", "/proc", "/sys", "/tmp", "/var/tmp")  # noqa: S108


def check(
    fleet: Fleet, locations: Mapping[Path, Location], unread: Mapping[str, Set[str]] = MappingProxyType({})
) -> tuple[Problem, ...]:
    """Every problem of a fleet whose single values are right; `locations` is where they stand in the spec.

    `unread` names, by instance, the keys whose value is unknown: rules that look at one of them say nothing.
    """
    place = Place(locations)

    def known(*keys: str) -> list[Instance]:
        return [one for one in fleet.instances if not unread or unread.get(one.name, frozenset()).isdisjoint(keys)]

    found = [
        *_store(fleet, place),
        *_ports(known("host", "port"), place),
        *_cards(known("gpus", "backend"), place),
        *modelchecks.named_after_models(known("models"), place),
        *depchecks.check(fleet, place),
        *gatechecks.needed(fleet, place),
        *varchecks.check_pull(fleet.pull, place),
    ]
    for rule, keys in _RULES:
        for instance in known(*keys):
            found += rule(instance, place)
    # What stands in `defaults` is found once for each instance, and said once.
    return tuple({(problem.path, problem.message): problem for problem in found}.values())


@lru_cache(maxsize=4096)
def _is_loopback(host: str) -> bool:
    return ipaddress.ip_address(host).is_loopback


def _store(fleet: Fleet, place: Place) -> Iterator[Problem]:
    for message, hint in store_faults(fleet.models_dir):
        yield place.problem(("ollama", "models"), message, hint)
    writers = [instance for instance in fleet.instances if instance.store is Store.WRITABLE]
    if len(writers) > 1:
        names = listed([instance.name for instance in writers])
        yield place.problem(
            place.of(writers[1].name, "store"),
            f"{names} can all change the one store: they can remove or overwrite each other's models",
            "keep store: writable for one of them",
            Severity.WARNING,
        )


def store_faults(models: str) -> Iterator[tuple[str, str]]:
    """Why no store can be at a path, and what to do instead."""
    parents = any(_below(ours, models) for ours in _OURS)
    if models in _NO_STORE or parents or any(_below(models, folder) for folder in _NO_STORE_BELOW):
        yield f"{models} cannot hold a store", "the usual one is /var/lib/ollama/models"
    if odd := _odd(models):
        yield f"{models!r} {odd}", "move the store to a path of plain characters"
    for ours in _OURS:
        if _below(models, ours):
            yield f"{models} is inside {ours}, which is ollamactl's own", "choose another folder"


def _odd(models: str) -> str:
    """Why no server finds its models at such a path, whatever quotes are put around it.

    Ollama lists with a glob (manifest/manifest.go) and strips what it reads (envconfig.Var); from 255 on systemd takes
    its own record of TemporaryFileSystem= and BindReadOnlyPaths= apart again without the escapes.
    """
    if found := [char for char in "*?[\\" if char in models]:
        return f"contains {found[0]!r}, which Ollama takes for a pattern"
    if found := [char for char in ':"' if char in models]:
        return f"contains {found[0]!r}, and systemd 255 and later cannot bind such a path"
    return "ends with a character that Ollama strips off" if models[-1] in " \t'" else ""


def _below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def _ports(fleet: Sequence[Instance], place: Place) -> Iterator[Problem]:
    by_port = defaultdict(list)
    for instance in fleet:
        by_port[instance.port].append(instance)
        if instance.port < 1024:
            message = f"{instance.port} is below 1024: only root may listen there, and no server runs as root"
            yield place.problem(place.of(instance.name, "port"), message, "write a port from 1024 to 65535")
    taken = set(by_port)
    for port, instances in by_port.items():
        first: dict[str, Instance] = {}
        for instance in instances:
            clash = next((first[host] for host in first if overlap(host, instance.host)), None)
            first.setdefault(instance.host, instance)
            if clash:
                where = place.line(place.of(clash.name, "port"))
                free = next((number for number in range(max(port, 1024), 65536) if number not in taken), 0)
                taken.add(free)
                yield place.problem(
                    place.of(instance.name, "port"),
                    f"{instance.listen} is taken by {clash.name}{where}"
                    + (f", which listens on {clash.listen}" if clash.host != instance.host else ""),
                    f"write another port, such as {free}" if free else "write another port",
                )


def _cards(fleet: Sequence[Instance], place: Place) -> Iterator[Problem]:
    users = defaultdict(list)
    everything = []
    for instance in fleet:
        if instance.gpus is None:
            everything.append(instance.name)
            continue
        for at, card in enumerate(instance.gpus):
            if card in instance.gpus[:at]:
                path = place.of(instance.name, "gpus", at)
                yield place.problem(path, f"names card {card} twice", "name it once")
            else:
                users[card].append(instance.name)
    for card, names in users.items():
        if len(names) > 1:
            message = f"card {card} is shared by {listed(names)}: they do not see each other's use of its VRAM"
            yield place.problem(place.of(names[1], "gpus"), message, severity=Severity.NOTE)
    if len(everything) > 1:
        message = f"{listed(everything)} may each use every card: they do not see each other's use of the VRAM"
        hint = "give each its own: gpus: [...]; the cards of this host: ollamactl gpus"
        yield place.problem(place.of(everything[1], "gpus"), message, hint, Severity.NOTE)


def _names(instance: Instance, place: Place) -> Iterator[Problem]:
    name = instance.name
    if not _NAME.fullmatch(name):
        yield place.problem(place.of(name), "is not a valid name for an instance", "use letters, digits, _ . and -")
    if name.endswith(UNIT_SUFFIXES):
        message = "is not a valid name for an instance: it ends like a unit's"
        yield place.problem(place.of(name), message, f"write {name.rpartition('.')[0]}")


def _reach(instance: Instance, place: Place) -> Iterator[Problem]:
    name, host, allow = instance.name, instance.host, instance.allow
    if len(allow) > 1 and "any" in allow:
        yield place.problem(place.of(name, "allow"), "any is everybody: the others add nothing", "write allow: [any]")
    if _is_loopback(host):
        if allow and (place.written(name, "allow") or place.written(name, "host")):
            message = f"{host} is loopback: only this host reaches it, whatever allow says"
            hint = "remove allow, or listen on the network: host: 0.0.0.0"
            yield place.problem(place.of(name, "allow"), message, hint, Severity.WARNING)
        return
    path = place.of(name, "host")
    if not allow:
        yield place.problem(
            path,
            f"{host} is reached from other hosts, and Ollama asks for no password: say who may reach it",
            "allow: [any] for everybody (containers on this host too, which cannot reach 127.0.0.1),"
            " or networks: allow: [10.0.0.0/8, 172.17.0.0/16]",
        )
    elif instance.egress is Egress.OPEN and allow != ("any",):
        yield place.problem(
            place.of(name, "egress"),
            f"open cannot be combined with allow: {listed(list(allow))}: one address filter serves both directions"
            " (systemd's IPAddressAllow=), so what keeps clients out would also close the way out",
            "allow: [any], or egress: closed",
        )


def _backend(instance: Instance, place: Place) -> Iterator[Problem]:
    name = instance.name
    if instance.backend is Backend.CPU and instance.gpus != ():
        yield place.problem(place.of(name, "gpus"), "names cards, but backend is cpu", "write gpus: none")
    elif instance.gpus == () and instance.backend not in (Backend.AUTO, Backend.CPU):
        message = f"{instance.backend} needs a card, but gpus is none"
        yield place.problem(place.of(name, "backend"), message, "write backend: cpu, or name a card in gpus")
    if instance.spread and instance.gpus is not None and len(instance.gpus) < 2:
        message = "has no effect with fewer than two cards"
        yield place.problem(place.of(name, "spread"), message, "remove it", Severity.WARNING)


def _limits(instance: Instance, place: Place) -> Iterator[Problem]:
    high, top = instance.limits.memory_high, instance.limits.memory_max
    if high and top and high > top:
        message = f"{format_size(high)} is more than memory_max, {format_size(top)}: it would never take effect"
        yield place.problem(place.of(instance.name, "limits", "memory_high"), message, "write less than memory_max")


_RULES: tuple[tuple[Callable[[Instance, Place], Iterator[Problem]], tuple[str, ...]], ...] = (
    (_names, ("name",)),
    (modelchecks.models, ("models",)),
    (modelchecks.aliases, ("models", "aliases", "store")),
    (modelchecks.preload, ("models", "preload", "keep_alive", "max_loaded_models")),
    (_reach, ("host", "allow", "egress")),
    (gatechecks.door, ("network", "on_demand", "egress")),
    (gatechecks.times, ("on_demand", "on_demand.stop_after", "on_demand.unload_after", "keep_alive")),
    (_backend, ("backend", "gpus", "spread")),
    (_limits, ("limits", "limits.memory_high", "limits.memory_max")),
    (restartcheck.waits, ("restart", "restart.policy", "restart.delay", "restart.max_delay")),
    (restartcheck.loops, ("restart", *(f"restart.{key.name}" for key in fields(Restart)))),
    (varchecks.check, ()),
)
