"""Reads the host once: units, files, links, processes, sockets, store. The values go to pure code."""

import os
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from ollamactl.facts import Facts, Gpu, Layout, Vendor
from ollamactl.files import ObservedFile
from ollamactl.host import (
    accounts,
    addresses,
    doors,
    envfiles,
    gguf,
    gpus,
    listeners,
    overrides,
    processes,
    program,
    replaced,
    rivals,
    store,
    usermanager,
)
from ollamactl.host.systemd import Manager
from ollamactl.host.unitdir import UnitDir
from ollamactl.model import (
    GATE_UNITS,
    HEAL_SERVICE,
    HEAL_TIMER,
    TARGET,
    WILDCARDS,
    Backend,
    Fleet,
    Instance,
    State,
    Store,
    gate_socket,
    instance_name,
)
from ollamactl.modelname import ModelName
from ollamactl.observed import Observed, PortHolder, Running, UnitState
from ollamactl.planning import dependents, whose
from ollamactl.units import pins, secretfile
from ollamactl.units.record import installed_fleet

PATTERN = "ollama@*.service"
SOCKETS = gate_socket("*")


@dataclass(frozen=True, kw_only=True)
class Host:
    """The ways to the host of one command: where files lie, which manager to speak to."""

    root: Path = Path("/")
    user: bool = False
    systemd: int | None = None
    """--systemd-version: the manager's version where none is asked; 252 is that of Debian 12."""
    layout: Layout = field(default_factory=Layout)

    @property
    def offline(self) -> bool:
        """Preparing an image below --root: files and links only."""
        return self.root != Path("/")

    @cached_property
    def manager(self) -> Manager:
        """The manager's connection, opened at the first use; raises HostError."""
        return Manager(user=self.user)

    @cached_property
    def files(self) -> UnitDir:
        """The files of ours on this host."""
        return UnitDir(self.root, self.layout)


def host(*, root: str = "/", user: bool = False, systemd: int | None = None) -> Host:
    """The host that the command line names; `user` takes the caller's own XDG folders (file-hierarchy(7))."""
    layout = Layout()
    if user:
        home = Path(os.environ.get("HOME") or "/root")
        config = os.environ.get("XDG_CONFIG_HOME") or str(home / ".config")
        state = os.environ.get("XDG_STATE_HOME") or str(home / ".local/state")
        layout = Layout(
            unit_dir=f"{config}/systemd/user",
            state_dir=f"{state}/ollamactl",
            instance_state=f"{state}/ollamactl-instances",
            run_dir=f"{usermanager.runtime()}/ollamactl",
            user=True,
        )
    return Host(root=Path(root), user=user, systemd=systemd, layout=layout)


def read_facts(host: Host, fleet: Fleet) -> Facts:
    """What rendering must know; cards and addresses are looked at only where the spec depends on them."""
    models_dir = host.root / fleet.models_dir.lstrip("/")
    wanted = [ModelName.parse(model) for instance in fleet.instances for model in instance.models]
    cards = _cards(host, fleet)
    manifests = store.read(models_dir, wanted=wanted)
    reckoned = fleet.cards or any(card.memory for card in cards or ())
    return Facts(
        systemd=host.systemd or (252 if host.offline else host.manager.version()),
        layout=host.layout,
        gpus=cards,
        addresses=addresses.own() if any(i.host in WILDCARDS for i in fleet.instances) and not host.offline else (),
        groups=accounts.card_groups(host.root) if any(map(pins.uses_cards, fleet.instances)) else (),
        store_owner=accounts.owner(models_dir, host.root) if any(map(_writes, fleet.instances)) else "",
        program=program.find(host.root) if fleet.health or any(i.gated for i in fleet.instances) else "",
        manifests=manifests,
        shapes=gguf.shapes(models_dir, manifests.values()) if reckoned else {},
    )


def _writes(instance: Instance) -> bool:
    return instance.store is Store.WRITABLE


def _cards(host: Host, fleet: Fleet) -> tuple[Gpu, ...] | None:
    if host.offline:
        return None
    found = gpus.detect_without_tools(host.root)
    # nvidia-smi takes its time, and adds only what the driver's own files do not tell: UUIDs of cards not yet used, and
    # how much memory NVIDIA's have
    known = all(_known(name, found, instance) for instance in fleet.instances for name in instance.gpus or ())
    return found if known and _sizes_known(fleet, found) else gpus.detect(host.root)


def _sizes_known(fleet: Fleet, cards: Iterable[Gpu]) -> bool:
    """As far as anything depends on them."""
    if not any(pins.uses_cards(each) and (each.sleeps or each.vram) for each in fleet.instances):
        return True
    return all(card.memory or any(pins.find(name, [card]) for name, _ in fleet.cards) for card in cards)


def _known(name: str, cards: Iterable[Gpu], instance: Instance) -> bool:
    if instance.backend is Backend.VULKAN and name.isdecimal():
        return True  # a number of Vulkan's own
    named = pins.find(name, cards, instance.backend)
    return bool(named) and all(card.uuid or card.vendor is Vendor.AMD for card in named)


def observe(
    host: Host, fleet: Fleet, facts: Facts, files: Mapping[str, ObservedFile], *, besides: Collection[str] = ()
) -> Observed:
    """One reading of the host for a plan; `files` are those of ours and at our places, as UnitDir.managed tells.

    `besides` are services that made room for this fleet before, which the spec need not name any more.
    """
    observed = Observed(
        facts=facts,
        offline=host.offline,
        files=files,
        wanted=frozenset(host.files.wanted(host.layout)),
        target_enabled=host.files.target_enabled(host.layout),
        unreadable=_unreadable(host, fleet),
    )
    names = [instance.unit for instance in fleet.instances]
    if host.offline:
        return replace(observed, foreign_drop_ins=overrides.below(host.root, host.layout, names))
    patterns = [PATTERN, SOCKETS, TARGET, *GATE_UNITS, HEAL_SERVICE, HEAL_TIMER]
    units = {state.name: state for state in host.manager.units(patterns, restarts=False)}
    by_name = {instance.name: instance for instance in fleet.instances}
    lacking = _lacking(fleet)
    names_replaced = {*besides, *(unit for instance in fleet.instances for unit in instance.replaces)}
    others = replaced.read(host.manager, host.layout.unit_dir, names_replaced)
    ports = [*doors.loaded(host.manager, units.values()), *doors.installed(installed_fleet(files), units)]
    observed = replace(
        observed,
        units={**{name: other.state for name, other in others.items()}, **units},
        replaced=others,
        loaded_wants=_loaded_wants(host, units.get(TARGET)),
        running=running(units, by_name),
        lacking=lacking,
        addresses=addresses.own() if lacking else (),
        holders=holders(fleet, units, ports),
        shut=doors.shut(fleet.instances, units),
        rivals=rivals.read(host.manager),
        foreign_drop_ins=overrides.read(host.manager, host.layout, names, units),
    )
    if all(holder.pid for holder in observed.holders.values()):
        return observed
    return replace(observed, holders=whose.attributed(observed, fleet, installed_fleet(files)))


def _lacking(fleet: Fleet) -> frozenset[str]:
    hosts = {instance.host for instance in fleet.instances if instance.state is State.RUNNING}
    return addresses.lacking(host for host in hosts if host not in WILDCARDS and not host.startswith("127."))


def _loaded_wants(host: Host, target: UnitState | None) -> frozenset[str] | None:
    loaded = target is not None and target.load_state == "loaded"
    return frozenset(host.manager.wants(target.path)) if target and loaded else None


def _unreadable(host: Host, fleet: Fleet) -> Mapping[str, Mapping[str, str]]:
    found = {
        instance.name: {path: why for path in instance.environment_files if (why := envfiles.problem(path, host.root))}
        for instance in fleet.instances
    }
    return {name: paths for name, paths in found.items() if paths}


def running(units: Mapping[str, UnitState], instances: Mapping[str, Instance]) -> Mapping[str, Running]:
    """How each main process was started, by instance name."""
    result = {}
    for unit, state in units.items():
        name = instance_name(unit)
        if not name or not state.main_pid:
            continue
        instance = instances.get(name)
        started = processes.started_at(state.main_pid)
        stale, undated = envfiles.changed(instance.environment_files, started) if instance and started else ((), ())
        result[name] = Running(
            config=processes.environ(state.main_pid, "OLLAMACTL_CONFIG"),
            secrets=processes.environ(state.main_pid, secretfile.VARIABLE),
            same_binary=processes.same_binary(state.main_pid, instance.binary) if instance else None,
            stale_files=stale,
            undated_files=undated,
            age=time.time() - started if started else None,
        )
    return result


def holders(fleet: Fleet, units: Mapping[str, UnitState], ports: Iterable[doors.Door] = ()) -> Mapping[str, PortHolder]:
    """Who listens where an instance wants to, by instance name, unless it is the instance itself."""
    sockets = listeners.read()
    result = {}
    held = list(ports)
    for instance in dependents.to_run(fleet):
        unit = units.get(instance.unit) or UnitState(name=instance.unit)
        if found := holder(sockets, instance.host, instance.port, unit):
            found = doors.named(found, held)
            if not instance.gated or found.unit != gate_socket(instance.name):
                result[instance.name] = found
    return result


def holder(sockets: Iterable[listeners.Listener], host: str, port: int, unit: UnitState) -> PortHolder | None:
    """Who listens on an address that a unit's server wants; None where nobody does, or the server itself."""
    serving = listeners.serving(sockets, host, port)
    inodes = {listener.inode for listener in serving}
    if not inodes or (unit.main_pid and processes.holds_socket(unit.main_pid, inodes) is not None):
        return None
    owner = next(filter(None, (processes.owner(inode) for inode in sorted(inodes))), None)
    if owner and owner.unit == unit.name:
        return None
    return PortHolder(
        address=serving[0].address,
        port=port,
        pid=owner.pid if owner else None,
        command=owner.command if owner else "",
        unit=(owner.unit or "") if owner else "",
    )
