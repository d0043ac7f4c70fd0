"""The values of single keys: from what the spec says to what the model holds. Each reader raises WrongValueError."""

import math
import re
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any

from ollamactl import quantity
from ollamactl.errors import WrongValueError
from ollamactl.model import (
    GATE_UNITS,
    HEAL_SERVICE,
    Backend,
    Egress,
    Hardening,
    Network,
    RestartPolicy,
    State,
    Store,
    Toggle,
    instance_name,
)
from ollamactl.spec import suggest
from ollamactl.spec.specaddress import host, network, registry
from ollamactl.spec.specmodel import model, served

_PCI = re.compile(r"(?:([0-9a-f]{4,8}):)?([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])")
_UUID = re.compile(r"GPU-[0-9a-f]{4,12}(?:-[0-9a-f]{1,12}){0,4}|GPU-[0-9a-f]{16,32}", re.IGNORECASE)
_ORIGIN = re.compile(r"(https?|(chrome|safari|moz|ms-browser)-extension)://[^/]")
_UNIT = re.compile(
    r"[A-Za-z0-9:_.\\@-]+\.(service|socket|target|mount|automount|swap|device|path|timer|slice|scope)", re.ASCII
)
_CPUS = re.compile(r"[0-9]{1,4}(-[0-9]{1,4})?([, ]+[0-9]{1,4}(-[0-9]{1,4})?)*")

_LONGEST_PERIOD = 86400.0

# Looking for the nearest of thousands of names takes longer than a user waits.
_MAX_SUGGESTED = 200


def duration(value: str | int) -> float:
    """Seconds; infinite for `forever`."""
    if isinstance(value, int):
        if value < 0:
            raise WrongValueError(f"{value} is not a duration", "write forever")
        value = str(value)
    try:
        return quantity.parse_duration(value)
    except ValueError as error:
        hint = "write forever" if value.startswith("-") else "write a duration such as 90s, 5m, 1h30m or forever"
        with suppress(ValueError):
            quantity.parse_duration(value.lower())
            hint = f"write {value.lower()}"
        raise WrongValueError(str(error), hint) from None


def finite(value: str | int) -> float:
    """Seconds, not forever."""
    seconds = duration(value)
    if math.isinf(seconds):
        raise WrongValueError("cannot be forever", "write a duration such as 90s")
    return seconds


def positive(value: str | int) -> float:
    """Seconds, more than 0."""
    seconds = duration(value)
    if seconds <= 0:
        raise WrongValueError("must be more than 0", "write a duration such as 5m, or forever")
    return seconds


def until(value: str | int) -> float:
    """Seconds until something is done, more than 0; infinite for `never`."""
    seconds = math.inf if value == "never" else duration(value)
    if seconds <= 0:
        raise WrongValueError("must be more than 0", "write a duration such as 5m, or never")
    return seconds


def period(value: str | int) -> float:
    """Seconds between two of what is done again and again."""
    seconds = finite(value)
    if not 1 <= seconds <= _LONGEST_PERIOD:
        raise WrongValueError("must be from 1s to 24h", "write a duration such as 1m")
    return seconds


def size(value: str | int) -> int:
    """Bytes."""
    try:
        number = value if isinstance(value, int) else quantity.parse_size(value)
    except ValueError as error:
        hint = "write a size such as 512M or 24G"
        with suppress(ValueError):
            quantity.parse_size(str(value).upper())
            hint = f"write {str(value).upper()}"
        raise WrongValueError(str(error), hint) from None
    if not 0 < number < 1 << 60:
        raise WrongValueError(f"{value} is not a size from 1 byte to 1 EiB", "write a size such as 512M or 24G")
    return number


def allow(value: str | list[str]) -> tuple[str, ...]:
    """Networks, each once, or ("any",)."""
    return tuple(dict.fromkeys(each(network)(value)))


def card(value: str | int) -> str:
    """One card: an index, a UUID, or a PCI address as sysfs writes it."""
    if isinstance(value, int):
        if not 0 <= value < 1024:
            hint = "write gpus: none for no card" if value < 0 else "the cards of this host: ollamactl gpus"
            raise WrongValueError(f"{value} is not the index of a card", hint)
        return str(value)
    text = value.strip()
    if re.fullmatch(r"[0-9]{1,3}", text):
        return str(int(text))
    if match := _PCI.fullmatch(text.lower()):
        domain, bus, device, function = match.groups()
        # nvidia-smi writes the domain with eight digits, sysfs with at least four.
        return f"{int(domain or '0', 16):04x}:{bus}:{device}.{function}"
    if _UUID.fullmatch(text):
        return f"GPU-{text[4:].lower()}"
    if text.upper().startswith("MIG-"):
        raise WrongValueError("a slice of a card (MIG) cannot be pinned yet", "name the whole card: ollamactl gpus")
    if text.lower() in ("all", "none"):
        raise WrongValueError(f"{text} cannot stand in a list", f"write gpus: {text.lower()}")
    hint = (
        f"write [{text}]" if re.fullmatch(r"[0-9]+(\s*,\s*[0-9]+)+", text) else "the cards of this host: ollamactl gpus"
    )
    raise WrongValueError(f"{text!r} is not a card: neither an index, a UUID (GPU-...) nor a PCI address", hint)


def gpus(value: str | int | list[str | int]) -> tuple[str, ...] | None:
    """Cards; () is none, None is all."""
    if value == "all":
        return None
    return () if value == "none" else each(card)(value)


def origin(text: str) -> str:
    """A web origin that Ollama takes; with others it panics at start (gin-contrib/cors, Config.Validate)."""
    if "," in text or " " in text or not text:
        raise WrongValueError(f"{text!r} is not a web origin", "write one item for each origin")
    if text.count("*") > 1:
        raise WrongValueError(f"{text!r} contains more than one *", "write one * at most")
    if "*" not in text and not _ORIGIN.match(text):
        raise WrongValueError(f"{text!r} has no scheme that Ollama accepts", f"write http://{text} or https://{text}")
    return text


def preload(value: bool | str | list[str]) -> tuple[str, ...] | bool:
    """Models' short names, or True for all; () for none."""
    return value or () if isinstance(value, bool) else each(model)(value)


def path(text: str) -> str:
    """An absolute path, normalised."""
    if not text.startswith("/"):
        hint = "write the whole path, from / on" + (": systemd does not know ~" if text.startswith("~") else "")
        raise WrongValueError(f"{text!r} is not an absolute path", hint)
    normal = "/" + "/".join(part for part in text.split("/") if part not in ("", "."))
    if normal != text or "/../" in f"{text}/":
        hint = "write it without //, /./ and /../, and without a / at its end"
        raise WrongValueError(f"{text!r} is not in its plain form", hint)
    if len(text.encode()) > 4000:
        raise WrongValueError("is longer than a path can be")
    return text


def program(text: str) -> str:
    """The absolute path of a program that a unit can start."""
    if found := [char for char in "\"'\\" if char in text]:
        message = f"{text!r} contains {found[0]}, which systemd does not allow in a program's path"
        raise WrongValueError(message, "rename it")
    return path(text)


def unit(text: str, instances: Collection[str] = ()) -> str:
    """A unit's full name (systemd.unit(5)); `instances` are what else could have been meant."""
    if not _UNIT.fullmatch(text) or len(text) > 255 or "@." in text:
        full = text.replace("@.", "@NAME.") if "." in text else f"{text}.service"
        near = suggest.hint(text, instances) if len(instances) <= _MAX_SUGGESTED else ""
        hint = near or f"add the instance, or write a unit's full name: {full}"
        raise WrongValueError(f"{text!r} is neither an instance of this spec nor a unit", hint)
    return text


def service(text: str) -> str:
    """The full name of a service that is not ollamactl's own (systemd.unit(5))."""
    full = text if "." in text else f"{text}.service"
    if not _UNIT.fullmatch(full) or not full.endswith(".service") or len(full) > 255 or "@." in full:
        raise WrongValueError(f"{text!r} is not a service", "write its full name: ollama.service")
    if full != text:
        raise WrongValueError(f"{text!r} is not the full name of a service", f"write {full}")
    if instance_name(text) or text in (HEAL_SERVICE, *GATE_UNITS):
        raise WrongValueError(f"{text} is a name of ollamactl's own, so nothing can make room for it", "remove it")
    return text


def cpu_quota(text: str) -> int:
    """Per cent of one CPU."""
    match = re.fullmatch(r"([0-9]{1,6})\s*%", text)
    if not match or not int(match[1]):
        raise WrongValueError(f"{text!r} is not a share of CPU time", "write it as a percentage of one CPU: 150%")
    return int(match[1])


def cpus(text: str) -> str:
    """A list of CPUs, with commas."""
    if not _CPUS.fullmatch(text):
        raise WrongValueError(f"{text!r} is not a list of CPUs", 'write it as "0-3,8"')
    parts = re.split(r"[, ]+", text)
    for part in parts:
        first, dash, last = part.partition("-")
        if dash and int(first) > int(last):
            raise WrongValueError(f"{part!r} runs backwards", f"write {last}-{first}")
    return ",".join(parts)


def context_length(value: str | int) -> int | None:
    """Tokens; None for `auto`."""
    return value if isinstance(value, int) else None


def each(read: Callable[[Any], str]) -> Callable[[Any], tuple[str, ...]]:
    """A reader for one value or a list of them."""

    def read_all(value: Any) -> tuple[str, ...]:
        if not isinstance(value, list):
            return (read(value),)
        result, wrong = [], []
        for at, item in enumerate(value):
            try:
                result.append(read(item))
            except WrongValueError as error:
                wrong.append(WrongValueError(str(error), error.hint, at))
        if wrong:
            wrong[0].others = tuple(wrong[1:])
            raise wrong[0]
        return tuple(result)

    return read_all


READERS: dict[str, Callable[[Any], Any]] = {
    "host": host,
    "store": Store,
    "egress": Egress,
    "network": Network,
    "hardening": Hardening,
    "gpus": gpus,
    "backend": Backend,
    "allow": allow,
    "origins": each(origin),
    "binary": program,
    "keep_alive": duration,
    "context_length": context_length,
    "load_timeout": positive,
    "flash_attention": Toggle,
    "vram_reserve": size,
    "vram": size,
    "environment_files": each(path),
    "state": State,
    "models": each(served),
    "replaces": each(service),
    "preload": preload,
}
"""By the key of an instance; a key that is not here is taken as it is, and null too."""

RESTART: dict[str, Callable[[Any], Any]] = {
    "policy": RestartPolicy,
    "delay": finite,
    "max_delay": finite,
    "within": positive,
}
ON_DEMAND: dict[str, Callable[[Any], Any]] = {"stop_after": until, "unload_after": until, "max_wait": positive}
HEALTH: dict[str, Callable[[Any], Any]] = {"every": period}
PULL: dict[str, Callable[[Any], Any]] = {"insecure": each(registry)}
LIMITS: dict[str, Callable[[Any], Any]] = {
    "memory_high": size,
    "memory_max": size,
    "cpu_quota": cpu_quota,
    "cpus": cpus,
}
