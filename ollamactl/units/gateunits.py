"""What the templates of the gate and of its sockets are filled with, and what the gate is told of its servers."""

import hashlib
import ipaddress
from collections.abc import Iterable, Mapping, Set

from ollamactl.facts import Facts
from ollamactl.files import File, FileKind
from ollamactl.gate import config
from ollamactl.gate.config import Behind, GateConfig
from ollamactl.model import (
    ALWAYS_ON,
    BROKER_SERVICE,
    BROKER_SOCKET,
    GATE_SERVICE,
    LOOPBACK,
    TARGET,
    WILDCARDS,
    Fleet,
    Instance,
)
from ollamactl.units import cardbudget, unitfile, vram
from ollamactl.units.cardbudget import Need

_HOMES = ("/home/", "/root/", "/run/user/")
_LOOPBACKS = ("127.0.0.1/32", "::1/128")


def service(fleet: Fleet, facts: Facts, files: Iterable[File]) -> Mapping[str, object]:
    """Every name that the template of the gate's service uses; `files` are the fleet's others."""
    return {
        "target": TARGET,
        "program": unitfile.escape_exec_path(facts.program),
        "at_home": facts.program.startswith(_HOMES),
        "at_roots_home": facts.program.startswith("/root/"),
        "program_folder": unitfile.escape_bind(_folder(facts.program)),
        "gate": GATE_SERVICE,
        "broker": BROKER_SERVICE,
        "broker_socket_unit": BROKER_SOCKET,
        "broker_socket": unitfile.escape_path(config.BROKER),
        "record": config.line(told(fleet, facts, files)),
    }


def _folder(program: str) -> str:
    """What of a home the program needs: its checkout, or the prefix of its installation (host.program)."""
    folder, _, name = program.rpartition("/")
    return folder if name.endswith(".sh") else folder.rpartition("/")[0]


def told(fleet: Fleet, facts: Facts, files: Iterable[File]) -> GateConfig:
    """What the gate is to know; of the cards, those that a server which sleeps is on."""
    prints = _fingerprints(files)
    needs = {need.instance.name: need for need in cardbudget.needs(fleet, facts)}
    used = {card for need in needs.values() if need.instance.sleeps for card in need.cards}
    gated = (each for each in fleet.instances if each.gated)
    return GateConfig(
        servers=tuple(_behind(each, prints[each.name], needs.get(each.name), used) for each in gated),
        cards={card: size for card, size in cardbudget.left(fleet, facts).items() if card in used},
    )


def _behind(instance: Instance, fingerprint: str, need: Need | None, used: Set[str]) -> Behind:
    asked = instance.on_demand or ALWAYS_ON
    names = (*instance.models, *(alias for alias, _ in instance.aliases))
    return Behind(
        name=instance.name,
        unit=instance.unit,
        port=instance.port,
        binary=instance.binary,
        models=names,
        fingerprint=fingerprint,
        preload=instance.preload,
        stop_after=asked.stop_after,
        unload_after=instance.keep_alive if asked.unload_after is None else asked.unload_after,
        max_wait=asked.max_wait,
        cards=tuple(card for card in need.cards if card in used) if need else (),
        vram=need.size if need and not used.isdisjoint(need.cards) else 0,
        loads=vram.loads(instance) if need and not need.declared and instance.sleeps else 0,
    )


def _fingerprints(files: Iterable[File]) -> Mapping[str, str]:
    """By instance: a digest of all that its server's answers about itself come from."""
    states: dict[str, hashlib._Hash] = {}
    for file in files:
        if file.kind in (FileKind.DROP_IN, FileKind.VIEW, FileKind.SECRETS):
            state = states.setdefault(file.instance, hashlib.sha256())
            state.update(f"{file.path}\0{len(file.data)}\0".encode() + file.data)
    return {name: state.hexdigest()[:16] for name, state in states.items()}


def socket(instance: Instance) -> Mapping[str, object]:
    """Every name that the template of a socket uses."""
    wild = instance.host in WILDCARDS
    return {
        "name": instance.name,
        "target": TARGET,
        "service": GATE_SERVICE,
        # Go listens on IPv6, too, where it is told 0.0.0.0 (net.Listen, "literal unspecified IP address")
        "listen": f"[::]:{instance.port}" if wild else instance.listen,
        "both": wild,
        # The address may come later than the socket
        "free": not (wild or ipaddress.ip_address(instance.host).is_loopback),
        "addresses": "" if "any" in instance.allow else " ".join(_reached_from(instance)),
    }


def _reached_from(instance: Instance) -> Iterable[str]:
    own = () if instance.host in (*WILDCARDS, LOOPBACK, "::1") else (str(ipaddress.ip_network(instance.host)),)
    return dict.fromkeys((*_LOOPBACKS, *own, *instance.allow))
