"""A unit's own directives as keys of the spec: restart policy, limits, order, boot. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ollamactl.adoption.directives import Directive, last
from ollamactl.adoption.entry import Entry, Left, quoted
from ollamactl.doctor.server import Server
from ollamactl.errors import WrongValueError
from ollamactl.model import Restart
from ollamactl.quantity import format_duration, format_size
from ollamactl.spec import restartcheck, specvalue
from ollamactl.spec.yamltree import unsafe

_HANDLED = (
    "Environment", "EnvironmentFile", "UnsetEnvironment", "PassEnvironment", "ExecStart", "WantedBy", "RequiredBy",
    "Restart", "RestartSec", "IPAddressDeny", "IPAddressAllow", "Description", "Documentation", "After", "Wants",
    "Alias", "Type",
)  # fmt: skip
"""What has a place of its own, here or in another module, or means nothing for the server."""
_USERS = ("User", "Group", "SupplementaryGroups", "DynamicUser")
_LOOPS = ("StartLimitIntervalSec", "StartLimitInterval", "StartLimitBurst")
_SANDBOX = (
    "Protect", "Private", "NoNewPrivileges", "Restrict", "SystemCall", "Capability", "AmbientCap", "Lock",
    "MemoryDeny",
    "Device", "ReadWrite", "ReadOnly", "Inaccessible", "Remove", "UMask", "Bind",
)  # fmt: skip
_POLICIES = {"no": "never", "always": "always"}


def _number(text: str) -> str:
    return str(int(text))


def _size(text: str) -> str:
    return format_size(specvalue.size(text))


_LIMITS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "MemoryHigh": ("memory_high", _size),
    "MemoryMax": ("memory_max", _size),
    "CPUQuota": ("cpu_quota", lambda text: f"{specvalue.cpu_quota(text)}%"),
    "AllowedCPUs": ("cpus", lambda text: quoted(specvalue.cpus(text))),
    "Nice": ("nice", _number),
    "IOWeight": ("io_weight", _number),
    "TasksMax": ("tasks_max", _number),
    "LimitNOFILE": ("nofile", _number),
    "OOMScoreAdjust": ("oom_score_adjust", _number),
}


def translate(server: Server, directives: Sequence[Directive]) -> Iterator[Entry | Left]:
    """Everything but the environment and the program."""
    if (described := last(directives, "Description")) and not unsafe(described.value):
        yield Entry(key="description", value=quoted(described.value), where=described.place)
    yield from _restart(server, directives)
    yield from _limits(directives)
    yield from _order(server, directives)
    if not server.settings.enabled:
        yield Entry(key="enabled", value="false", where=f"{server.unit} is not enabled: it does not start at boot")
    for each in directives:
        if each.name not in (*_HANDLED, *_LIMITS) and not each.name.startswith("X-"):
            yield Left(what=f"{each.name}=", where=each.place, why=_why(each.name))


def _restart(server: Server, directives: Sequence[Directive]) -> Iterator[Entry]:
    """The delay is the manager's own word: systemd has one where nothing is written."""
    settings, written = server.settings, last(directives, "Restart")
    policy = _POLICIES.get(settings.restart, "on-failure")
    where = f"Restart={settings.restart} {f'in {written.place}' if written else 'is what systemd does unless told'}"
    yield Entry(key="restart.policy", value=policy, where=where)
    if policy == "never":
        return
    given, usual = last(directives, "RestartSec"), Restart()
    delay = settings.restart_delay
    where = f"RestartSec= in {given.place}" if given else "systemd's own RestartSec="
    yield Entry(key="restart.delay", value=format_duration(delay), where=where)
    whole = replace(usual, delay=delay, max_delay=max(delay, usual.max_delay))
    if delay > usual.max_delay:
        yield Entry(key="restart.max_delay", value=format_duration(delay), where="not less than delay")
    if (span := restartcheck.loop(whole)) >= usual.within:
        yield Entry(key="restart.within", value=format_duration(2 * span), where="so long that a crash loop ends")


def _limits(directives: Sequence[Directive]) -> Iterator[Entry | Left]:
    for name, (key, read) in _LIMITS.items():
        if not (given := last(directives, name)):
            continue
        try:
            yield Entry(key=f"limits.{key}", value=read(given.value), where=f"{name}= in {given.place}")
        except (WrongValueError, ValueError):
            why = f"its value cannot stand in limits.{key}; `systemctl edit` the new unit after apply"
            yield Left(what=f"{name}=", where=given.place, why=why)


def _order(server: Server, directives: Sequence[Directive]) -> Iterator[Entry]:
    """What it starts after; other units that run Ollama are of the fleet then, or gone."""
    given = [each for each in directives if each.name == "After"]
    units = dict.fromkeys(unit for each in given for unit in each.value.split() if _may_name(unit, server))
    if units:
        where = ", ".join(each.place for each in given)
        yield Entry(key="after", value=f"[{', '.join(map(quoted, units))}]", where=where)


def _may_name(unit: str, server: Server) -> bool:
    try:
        specvalue.unit(unit)
    except WrongValueError:
        return False
    return unit != server.unit and not unit.startswith("ollama")


def _why(name: str) -> str:
    if name in _USERS:
        return "each server of the fleet runs as a user of its own"
    if name in _LOOPS:
        return "restart.tries and restart.within end a crash loop, by default after 5 starts in 5 minutes"
    if name.startswith("Exec"):
        return "the spec runs no other command; `systemctl edit` the new unit after apply, where it is still needed"
    if name in ("Requires", "BindsTo", "Requisite"):
        return "write requires: where that unit is still there beside the fleet"
    if name.startswith(_SANDBOX):
        return "the new units have a sandbox of their own: hardening"
    return "no key of the spec stands for it; `systemctl edit` the new unit after apply, where it is still needed"
