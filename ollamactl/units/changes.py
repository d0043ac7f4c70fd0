"""What differs between two texts of a unit file, in the spec's words, and whether a running server must know of it."""

import hashlib
import math
import re
from collections.abc import Iterable
from functools import lru_cache

from ollamactl.manifest import short
from ollamactl.quantity import format_duration, format_size
from ollamactl.units import record
from ollamactl.units.environment import SPEC_KEYS
from ollamactl.units.unitfile import Directive, parse, unquote_environment

CONFIG = "OLLAMACTL_CONFIG"
"""The variable that holds `restart_digest`: /proc/PID/environ tells which configuration a server was started with."""

# Only [Service] makes the process, and of it systemd heeds these from the next reload on: some by their nature, those
# of the cgroup because unit_deserialize() in systemd's src/core/unit-serialize.c has them all realized anew.
_LIVE = re.compile(
    r"Restart\w*|Timeout\w+|KillMode|SuccessExitStatus|SyslogIdentifier"
    r"|IPAddress(?:Allow|Deny)|Memory(?:High|Max)|CPUQuota|AllowedCPUs|IOWeight|TasksMax"
)
_WORDS = {
    "Description": "description",
    "After": "after",
    "Requires": "requires",
    "EnvironmentFile": "environment_files",
    "Restart": "restart.policy",
    "RestartSec": "restart.delay",
    "RestartMaxDelaySec": "restart.max_delay",
    "StartLimitBurst": "restart.tries",
    "StartLimitIntervalSec": "restart.within",
    "MemoryHigh": "limits.memory_high",
    "MemoryMax": "limits.memory_max",
    "CPUQuota": "limits.cpu_quota",
    "AllowedCPUs": "limits.cpus",
    "Nice": "limits.nice",
    "IOWeight": "limits.io_weight",
    "TasksMax": "limits.tasks_max",
    "LimitNOFILE": "limits.nofile",
    "OOMScoreAdjust": "limits.oom_score_adjust",
    "OnUnitActiveSec": "health.every",
}
_FOLLOWS = {
    "RestartSteps": "restart.max_delay",
    "DeviceAllow": "gpus",
    "PrivateDevices": "gpus",
    "ExecStartPre": "gpus",
    "ExecStartPost": "preload",
    "SupplementaryGroups": "gpus",
    "RequiresMountsFor": "ollama.models",
    "OnActiveSec": "health.every",
}
"""Directives that change along with a key which is told already, or else are told by its name alone."""
_LEVEL = re.compile(r"^# (store|egress|hardening): ([a-z]+)", re.MULTILINE)
_STORE = ("TemporaryFileSystem", "BindReadOnlyPaths", "BindPaths", "DynamicUser", "User", "UMask", "ProtectHome")
_PLACE = "source"
_RECORDED = {
    record.INSTANCE: {
        "models": "models",
        "preload": "preload",
        "backend": "backend",
        "state": "state",
        "enabled": "enabled",
        "replaces": "replaces",
        "vram": "vram",
    },
    record.FLEET: {"binary": "ollama.binary", "models_dir": "ollama.models", "source": _PLACE},
}
_UNSET = {
    "allow": "any",
    "backend": "auto",
    "binary": "ollama.binary",
    "context_length": "auto",
    "enabled": "true",
    "flash_attention": "auto",
    "gpus": "all",
    "hardening": "strict",
    "spread": "off",
    "state": "running",
    "vram": "estimated",
}
_CONSEQUENCE = re.compile(  # of host, gpus, egress, allow, on_demand and limits.memory_max, which are told
    r"(?:After|Wants)=(?:network-online\.target|modprobe@.*)|BindReadOnlyPaths=-/sys/fs/cgroup/.*"
    r"|ProtectControlGroups=strict|IPAddressDeny=(?:any)?|Wants=ollama-gate\.service|PrivateNetwork=yes|FreeBind=yes"
)
_VULKAN = "OLLAMA_VULKAN"
_LOOPBACK = "127.0.0.1/32 ::1/128"
_SECRETS_FILE = re.compile(r"/secrets/[^/]+\.env$")
_SECRET = re.compile(r"TOKEN|SECRET|PASS|KEY|CREDENTIAL|AUTH", re.IGNORECASE)


def restart_digest(template_text: str, dropin_text: str, manifests: Iterable[tuple[str, str]]) -> str:
    """16 hex digits over all that a running server depends on: another value says that it must be started again.

    `manifests` are path and digest of each. Comments, what systemd does around the process (restarts, time-outs,
    ordering, enablement) and what a daemon-reload applies to a running unit (addresses, cgroup limits) do not count.
    """
    state = hashlib.sha256(_relevant(template_text))
    state.update(_relevant_uncached(dropin_text))
    for path, digest in sorted(manifests):
        state.update(f"{path}\0{digest}\0".encode())
    return state.hexdigest()[:16]


def looks_secret(variable: str) -> bool:
    """Whether a variable's value had better not be shown, by its name."""
    return _SECRET.search(variable) is not None


def restarts(text: str) -> bool:
    """Whether a drop-in says anything that only a start heeds."""
    return any(_matters(at) for at in parse(text))


def _relevant_uncached(text: str) -> bytes:
    return "\0".join(f"{at.key}={at.value}" for at in parse(text) if _matters(at)).encode() + b"\1"


_relevant = lru_cache(maxsize=4)(_relevant_uncached)


def _matters(at: Directive) -> bool:
    if at.section != "Service" or _LIVE.fullmatch(at.key):
        return False
    return not (at.key == "Environment" and at.value.startswith(f"{CONFIG}="))


def describe(old: str, new: str) -> tuple[str, ...]:
    """Why a unit file changes: `context_length 4096 -> 8192`, `environment FOO "a" -> "b"`, `Slice= changed`.

    Nothing for texts that differ in comments only. The values of variables that look secret are left out.
    """
    before, after = _Reading(old), _Reading(new)
    moved = _moved(before.words, after.words)
    causes = _pairs(before.words, after.words) + moved
    told = {cause.split(" ", 1)[0] for cause in causes}
    if "egress" in told:
        causes = [cause for cause in causes if not cause.startswith("allow ")]
    for name in _changed(before.environment, after.environment):
        if name == _VULKAN and told & {"gpus", "backend"}:
            continue  # it closes every pin's back door, so it goes with them
        causes.append(_variable(name, before.environment.get(name), after.environment.get(name)))
    for key in _changed(before.others, after.others):
        if key in _FOLLOWS:
            word = _FOLLOWS[key]
            # `hardening: off` has no fence round devices, whatever the cards
            if word not in told and not (word == "gpus" and "hardening" in told):
                causes.append(f"{word} changed")
        elif "hardening" not in told and not (key in _STORE and told & {"store", "ollama.models", "binary"}):
            causes.append(f"{key}= changed")
    return tuple(dict.fromkeys(causes))


class _Reading:
    """One text: what the spec has a key for, the user's own variables, and every other directive."""

    def __init__(self, text: str) -> None:
        self.words: dict[str, str] = dict(_LEVEL.findall(text))
        self.environment: dict[str, str] = {}
        self.others: dict[str, str] = {}
        for section, key, value in parse(text):
            if section == record.SECTION:
                self._record(key, value)
                continue
            if key == "Environment":
                self._variable(*unquote_environment(value))
            elif key == "ExecStart":
                self.words["binary"] = value.removesuffix(" serve")
            elif key == "EnvironmentFile" and _SECRETS_FILE.search(value):
                self.words["secrets"] = "set"
            elif _CONSEQUENCE.fullmatch(f"{key}={value}"):
                pass
            elif key == "ListenStream":
                self.words["port"] = value.rpartition(":")[2]
            elif key == "IPAddressAllow":
                self.words["allow"] = value.removeprefix(_LOOPBACK).strip() or "none"
            elif word := _WORDS.get(key):
                self.words[word] = f"{self.words[word]} {value}" if self.words.get(word) else value
            else:
                self.others[key] = f"{self.others.get(key, '')}\n{value}"

    def _record(self, key: str, value: str) -> None:
        """What no directive shows; all else of the record repeats what they say."""
        values = record.read(value) or {}
        if isinstance(health := values.get("health"), dict):
            self.words["health.failures"] = str(health.get("failures"))
        if isinstance(asked := values.get("on_demand"), dict):
            self.words |= {f"on_demand.{key}": _until(each) for key, each in asked.items()}
        for name, word in _RECORDED.get(f"{key}=", {}).items():
            if name in values:
                found = values[name]
                text = str(found).lower() if isinstance(found, bool) else str(found)
                if name == "vram" and isinstance(found, int):
                    text = format_size(found)
                self.words[word] = ", ".join(map(str, found)) if isinstance(found, list) else text
        if fixed := _mapping(values.get("digests")):
            models = {each: fixed.get(each) for each in self.words.get("models", "").split(", ")}
            self.words["models"] = ", ".join(f"{name}@{short(to)}" if to else name for name, to in models.items())
        if aliases := _mapping(values.get("aliases")):
            self.words["aliases"] = ", ".join(f"{alias} ({model})" for alias, model in aliases.items())
        if values and "gpus" not in values and values.get("backend") == "vulkan":
            self.words["gpus"] = "all"  # hidden from CUDA and ROCm, but all the same every card

    def _variable(self, name: str, value: str) -> None:
        if name == "OLLAMA_HOST":
            host, _, self.words["port"] = value.rpartition(":")
            self.words["host"] = host.strip("[]")
        elif name.endswith("_VISIBLE_DEVICES"):
            if value != "-1" or "gpus" not in self.words:  # -1 hides the other vendor's cards, or all
                self.words["gpus"] = _spelling("gpus", value)
        elif name != _VULKAN and (word := SPEC_KEYS.get(name)):
            self.words[word] = _spelling(word, value)
        elif name not in (CONFIG, "CUDA_DEVICE_ORDER"):
            self.environment[name] = value


def _until(seconds: object) -> str:
    if not isinstance(seconds, int | float):
        return "keep_alive"
    return "never" if math.isinf(seconds) else format_duration(seconds)


def _mapping(pairs: object) -> dict[str, str]:
    """What a record says by name; nothing where somebody has written something else there."""
    rows = pairs if isinstance(pairs, list) else []
    return {str(row[0]): str(row[1]) for row in rows if isinstance(row, list) and len(row) == 2}


def _spelling(word: str, value: str) -> str:
    if value == "-1" and word in ("keep_alive", "load_timeout"):
        return "forever"
    if value == "-1" and word == "gpus":
        return "none"
    if word in ("flash_attention", "spread"):
        return "on" if value == "1" else "off"
    return value


def _pairs(before: dict[str, str], after: dict[str, str]) -> list[str]:
    return [
        f"{word} {before.get(word, _UNSET.get(word, 'none'))} -> {after.get(word, _UNSET.get(word, 'none'))}"
        for word in _changed(before, after)
    ]


def _moved(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """The spec's own place is no key of it; takes it from both, so that it is told once."""
    old, new = before.pop(_PLACE, None), after.pop(_PLACE, None)
    if old == new or new is None:
        return []
    now = f"the spec is now at {new}" if new else "the spec now comes from standard input"
    return [now if old is None else f"{now}, was at {old}" if old else f"{now}, came from standard input"]


def _changed(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """The keys that differ, those of the new text first, in its order."""
    return [key for key in {**after, **before} if before.get(key) != after.get(key)]


def _variable(name: str, before: str | None, after: str | None) -> str:
    if looks_secret(name):
        return f"environment {name} changed"
    if before is None:
        return f'environment {name} "{after}" added'
    return f'environment {name} "{before}" removed' if after is None else f'environment {name} "{before}" -> "{after}"'
