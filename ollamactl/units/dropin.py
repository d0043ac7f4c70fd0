"""What a drop-in's template is filled with: each value of an instance, spelled for the setting that it stands in."""

import ipaddress
import math
from collections.abc import Iterator
from pathlib import PurePosixPath

from ollamactl.facts import Facts
from ollamactl.model import (
    GATE_SERVICE,
    Egress,
    Fleet,
    Hardening,
    Instance,
    Limits,
    Restart,
    RestartPolicy,
    Store,
    dial_address,
)
from ollamactl.quantity import format_duration, format_size
from ollamactl.units import changes, record, unitfile
from ollamactl.units.environment import environment
from ollamactl.units.identity import user_name
from ollamactl.units.pins import Pin, pin, uses_cards

_HOMES = ("/home", "/root", "/run/user")
_ROOT_HOME = ("/root",)
_HIDDEN = (*_HOMES, "/run", "/tmp", "/var/tmp")  # noqa: S108  names of what the template hides
_LOOPBACK = ("127.0.0.1/32", "::1/128")  # `localhost` would open 127.0.0.53, the resolver, and with it a way out


def context(instance: Instance, fleet: Fleet, facts: Facts) -> dict[str, object]:
    """Every name that the drop-in's template uses, spelled for the setting that it stands in."""
    pinned = pin(instance, facts.gpus, user=facts.layout.user)
    own_binary = instance.binary != fleet.binary
    return {
        "name": instance.name,
        "description": unitfile.plain(instance.description or ""),
        "after": " ".join(map(unitfile.escape_specifiers, instance.after)),
        "needs_network": _needs_network(instance),
        "gate": GATE_SERVICE if instance.gated else "",
        "requires": " ".join(map(unitfile.escape_specifiers, instance.requires)),
        "binary": unitfile.escape_exec_path(instance.binary) if own_binary else "",
        "user_name": _user_name(instance, facts),
        "environment": [
            f"{changes.CONFIG}=",
            *(unitfile.quote_environment(*each) for each in environment(instance, fleet, pinned).items()),
        ],
        "own_environment": [unitfile.quote_environment(*each) for each in instance.environment],
        "environment_files": _environment_files(instance, facts),
        "hardening": instance.hardening.value,
        "limits": list(_limits(instance.limits)),
        "memory_view": _memory_view(instance, facts),
        "protects_cgroups": instance.limits.memory_max is not None and facts.systemd >= 257,
        **_preload(instance),
        **_restart(instance.restart, facts),
        **_store(instance, fleet, facts),
        **_devices(instance, facts, pinned),
        **_network(instance, facts),
        "record": record.instance_line(instance),
    }


def _preload(instance: Instance) -> dict[str, object]:
    """What bash is told: where the server answers, and the models."""
    words = (dial_address(instance.server_host), str(instance.port), *instance.preload)
    return {"preload": " ".join(words) if instance.preload else ""}


def _user_name(instance: Instance, facts: Facts) -> str:
    if facts.layout.user:
        return ""
    return facts.store_owner if _as_owner(instance, facts) else user_name(instance.name)


def _as_owner(instance: Instance, facts: Facts) -> bool:
    """Whether it runs as the store's owner, as it must to write it; `cardchecks` refuses a store of root's."""
    return instance.store is Store.WRITABLE and not facts.layout.user and facts.store_owner not in ("", "root")


def _environment_files(instance: Instance, facts: Facts) -> list[str]:
    secrets = [f"{facts.layout.secrets}/{instance.name}.env"] if instance.secrets else []
    return [unitfile.plain(path) for path in (*secrets, *instance.environment_files)]


def _needs_network(instance: Instance) -> bool:
    """An address of the host's own must be there before the server binds it; loopback and the wildcards always are."""
    address = ipaddress.ip_address(instance.server_host)
    return not (address.is_loopback or address.is_unspecified)


def _restart(restart: Restart, facts: Facts) -> dict[str, object]:
    """RestartSteps= doubles the wait about once a step; managers before 254 do not know it."""
    never = restart.policy is RestartPolicy.NEVER
    grows = facts.systemd >= 254 and not never and 0 < restart.delay < restart.max_delay
    return {
        "restart_policy": "no" if never else restart.policy.value,
        "restart_delay": _span(restart.delay),
        "restart_steps": max(1, math.ceil(math.log2(restart.max_delay / restart.delay))) if grows else 0,
        "restart_max_delay": _span(restart.max_delay),
        "restart_tries": restart.tries,
        "restart_within": _span(restart.within),
    }


def _span(seconds: float) -> str:
    return "infinity" if math.isinf(seconds) else format_duration(seconds)


def _store(instance: Instance, fleet: Fleet, facts: Facts) -> dict[str, object]:
    """The store as the unit sees it, and the program, where the sandbox would hide them."""
    user, models = facts.layout.user, fleet.models_dir
    program = instance.binary if _below(instance.binary, _HIDDEN) and not user else ""
    at_home = _below(models, _HOMES) or _below(program, _HOMES)
    libraries = f"{PurePosixPath(program).parent.parent}/lib/ollama"  # where Ollama looks for its runners
    return {
        "store": instance.store.value,
        "as_owner": _as_owner(instance, facts),
        "models_path": unitfile.escape_path(models),
        "models_temporary": unitfile.escape_temporary(models),
        "models_bind": unitfile.escape_bind(models),
        "view_bind": unitfile.escape_bind(f"{facts.layout.views}/{instance.name}"),
        "mounts_need_user_namespace": user and instance.store is not Store.WRITABLE,
        "protect_home": "tmpfs" if at_home and not user else "",
        "open_root_home": not user and (_below(models, _ROOT_HOME) or _below(program, _ROOT_HOME)),
        "program_binds": [unitfile.escape_bind(program), f"-{unitfile.escape_bind(libraries)}"] if program else [],
    }


def _below(path: str, folders: tuple[str, ...]) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


def _devices(instance: Instance, facts: Facts, pinned: Pin) -> dict[str, object]:
    fenced = instance.hardening is not Hardening.OFF
    modprobe = " ".join(f"-c={minor}" for minor in pinned.nvidia_minors or (0,))
    return {
        "cards_comment": _cards_comment(instance, facts) if fenced else "# gpus: by environment alone (hardening: off)",
        "modules": [f"modprobe@{module}.service" for module in pinned.modules] if not facts.layout.user else [],
        "hide_devices": fenced and not uses_cards(instance),
        "devices": pinned.devices if fenced else (),
        # nvidia-modprobe runs within the unit's device fence and makes nodes; the server has no right to (CAP_MKNOD)
        "access": "rw" if pinned.nvidia_minors is None else "rwm",
        # Nodes of /dev/dri, and with some distributions those of NVIDIA, belong to these groups
        "groups": " ".join(facts.groups) if uses_cards(instance) else "",
        "modprobe": modprobe if pinned.nvidia_minors is not None else "",
    }


def _cards_comment(instance: Instance, facts: Facts) -> str:
    if not uses_cards(instance):
        return "# gpus: none, so it has no card's device"
    if instance.gpus is None:
        return "# gpus: every card"
    written = f"# gpus: {', '.join(instance.gpus)}"
    return (
        f"{written}; this host's cards were not known, so no device keeps it to them" if facts.gpus is None else written
    )


def _network(instance: Instance, facts: Facts) -> dict[str, object]:
    """Who may reach it and be reached: IPAddressAllow= works in both directions, by the other side's address.

    So neither `allow: [any]` nor `egress: open` leaves anything that it could filter.
    """
    if instance.gated:
        return {
            "network_comment": "# egress: closed, for its network is its own, with the gate as the only door",
            "addresses": " ".join(_LOOPBACK),
        }
    if instance.egress is Egress.OPEN:
        return {
            "network_comment": "# egress: open, and so `allow` cannot hold: the filter knows no direction",
            "addresses": "",
        }
    if "any" in instance.allow:
        return {
            "network_comment": "# egress: closed cannot hold with `allow: [any]`: the filter knows no direction",
            "addresses": "",
        }
    address = ipaddress.ip_address(instance.host)
    # Go listens on IPv6, too, where it is told 0.0.0.0 (net.Listen, "literal unspecified IP address")
    own = facts.addresses if address.is_unspecified else (instance.host,)
    networks = [str(ipaddress.ip_network(each)) for each in own]
    return {
        "network_comment": "# egress: closed, so it reaches, and is reached by, these alone",
        "addresses": " ".join(dict.fromkeys((*_LOOPBACK, *networks, *instance.allow))),
    }


def _limits(limits: Limits) -> Iterator[tuple[str, str]]:
    """systemd.resource-control(5) and systemd.exec(5); what is None stays systemd's default."""
    if limits.memory_high is not None:
        yield "MemoryHigh", format_size(limits.memory_high)
    if limits.memory_max is not None:
        yield "MemoryMax", format_size(limits.memory_max)
    if limits.cpu_quota is not None:
        yield "CPUQuota", f"{limits.cpu_quota}%"
    for key, value in (
        ("AllowedCPUs", limits.cpus),
        ("IOWeight", limits.io_weight),
        ("TasksMax", limits.tasks_max),
        ("Nice", limits.nice),
        ("LimitNOFILE", limits.nofile),
        ("OOMScoreAdjust", limits.oom_score_adjust),
    ):
        if value is not None:
            yield key, str(value)


def _memory_view(instance: Instance, facts: Facts) -> str:
    """Ollama reads /sys/fs/cgroup/memory.max, the host's root unless the unit is shown its own cgroup there."""
    if instance.limits.memory_max is None or facts.layout.user:
        return ""
    if facts.systemd >= 257:
        return "ProtectControlGroups=strict"
    return "BindReadOnlyPaths=-/sys/fs/cgroup/system.slice/system-ollama.slice/%n:/sys/fs/cgroup"
