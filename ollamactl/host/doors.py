"""The ports that systemd holds for the gate: what its socket units are set to, and what the kernel shows of them.

The two may differ: a reload reads a new address, and lets go of the old one, but listens on none (systemd.socket(5)).
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from ollamactl.host import listeners, processes
from ollamactl.host.systemd import Manager
from ollamactl.model import GATE_SERVICE, Fleet, Instance, gate_socket, overlap, socket_instance
from ollamactl.observed import UP, Active, PortHolder, UnitState

Door = tuple[str, str, int]
"""A socket unit, and where it listens."""
_LISTEN = {"Listen": ("Socket", "a(ss)")}
_SYSTEMD = 1


def loaded(manager: Manager, units: Iterable[UnitState]) -> Iterator[Door]:
    """Where those that are up listen, as systemd has read them."""
    for unit in units:
        if socket_instance(unit.name) and unit.active in UP:
            for _, address in manager.details(unit.path, _LISTEN)["Listen"]:
                host, _, port = address.rpartition(":")
                yield unit.name, host.strip("[]"), int(port)


def installed(fleet: Fleet, units: Mapping[str, UnitState]) -> Iterator[Door]:
    """Where they listen by their files."""
    for instance in fleet.instances:
        unit = units.get(gate_socket(instance.name))
        if instance.gated and unit and unit.active in UP:
            yield unit.name, instance.host, instance.port


def named(found: PortHolder, doors: Iterable[Door]) -> PortHolder:
    """Whoever holds a port for the gate, systemd or the gate itself, as the socket unit that it belongs to."""
    if found.pid not in (None, _SYSTEMD) and found.unit != GATE_SERVICE:
        return found
    units = (unit for unit, host, port in doors if port == found.port and overlap(host, found.address))
    return next((replace(found, unit=unit) for unit in units), found)


def shut(instances: Iterable[Instance], units: Mapping[str, UnitState]) -> frozenset[str]:
    """Instances whose socket is up, and does not listen; none where the caller may not look at systemd."""
    asked = [i for i in instances if i.gated and _up(units.get(gate_socket(i.name)))]
    if not asked or not os.access(f"/proc/{_SYSTEMD}/fd", os.R_OK | os.X_OK):
        return frozenset()
    sockets = listeners.read()
    return frozenset(i.name for i in asked if not _held(sockets, i))


def _up(unit: UnitState | None) -> bool:
    return unit is not None and unit.active is Active.ACTIVE


def _held(sockets: Iterable[listeners.Listener], instance: Instance) -> bool:
    inodes = {each.inode for each in listeners.serving(sockets, instance.host, instance.port)}
    return bool(inodes) and processes.holds_socket(_SYSTEMD, inodes) is not None
