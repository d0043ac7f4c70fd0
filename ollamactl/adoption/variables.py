"""A server's environment as keys of the spec, read as Ollama reads it. Pure."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ollamactl.adoption.entry import Entry, Left, quoted
from ollamactl.errors import WrongValueError
from ollamactl.quantity import format_duration, format_size
from ollamactl.spec import specaddress, specvalue, varchecks
from ollamactl.spec.schema import load as load_schema
from ollamactl.spec.yamltree import unsafe
from ollamactl.units import envconfig
from ollamactl.units.ollama_env import RESERVED, VARIABLES

CARDS = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL")
"""What pins a server to cards; the first that is set tells which."""
_UNIT_SETS = ("PATH", "LANG", "USER", "LOGNAME", "SHELL", "INVOCATION_ID", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID")
_BACKENDS = ("cuda", "rocm", "vulkan", "cpu")
_NO_TEXT = re.compile("[\ud800-\udfff\N{REPLACEMENT CHARACTER}]")
"""What becomes of bytes that are no UTF-8."""
_MIB = 1 << 20
_FOREVER = 86400.0 * 365 * 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A variable as the server gets it."""

    text: str
    where: str
    """File and line, or who gave it."""
    inherited: bool = False
    """The manager gives it to every unit."""


def translate(
    given: Mapping[str, Value], *, allow: Sequence[str] | None, cards: int, secrets: bool
) -> Iterator[Entry | Left]:
    """Every variable but OLLAMA_MODELS, and what Ollama does where one is not set.

    `allow` are the networks that the unit lets in, None where it lets in everybody; `cards` how many there are.
    """
    yield from _address(given.get("OLLAMA_HOST"), allow)
    for name, key, default, why in _unset(cards):
        if name not in given or not envconfig.word(given[name].text):
            yield Entry(key=key, value=default, where=f"{name} is not set: {why}")
    yield from _cards(given, cards)
    for name, value in sorted(given.items()):
        if name in _UNIT_SETS or name in RESERVED or (value.inherited and name not in VARIABLES):
            if not value.inherited:
                why = "each server has its own" if name in RESERVED else "the new unit has systemd's own"
                yield Left(what=name, where=value.where, why=why)
        elif name in ("OLLAMA_HOST", "OLLAMA_MODELS", *CARDS):
            continue
        elif name in _KEYS:
            if envconfig.word(value.text):
                yield from _keyed(name, value)
        elif name in _SELF_EVIDENT:
            yield Left(what=name, where=value.where, why=_SELF_EVIDENT[name])
        else:
            yield _free(name, value, secrets=secrets)


def _address(value: Value | None, allow: Sequence[str] | None) -> Iterator[Entry | Left]:
    where = value.where if value else "OLLAMA_HOST is not set: Ollama's own"
    told = f"OLLAMA_HOST in {where}" if value else where
    at = envconfig.listen(value.text if value else "")
    yield Entry(key="port", value=str(at.port), where=f"{told}; {at.bad_port!r} is no port" if at.bad_port else told)
    host = "127.0.0.1" if at.host == "localhost" else at.host
    try:
        host = specaddress.host(host)
    except WrongValueError as error:
        yield Left(what="OLLAMA_HOST", where=where, why=f"{error}; 127.0.0.1 is written: {error.hint}")
        return
    yield Entry(key="host", value=quoted(host), where=told)
    if envconfig.is_loopback(host):
        return
    if allow is None:
        yield Entry(key="allow", value="[any]", where="as it was: everybody; better name networks: [192.168.1.0/24]")
    else:
        networks = ", ".join(map(quoted, allow or ("127.0.0.1",)))
        yield Entry(key="allow", value=f"[{networks}]", where="IPAddressAllow=")


def _unset(cards: int) -> Iterator[tuple[str, str, str, str]]:
    """Where Ollama's own default is not ollamactl's: the variable, its key, the value that keeps what was, why."""
    yield "OLLAMA_CONTEXT_LENGTH", "context_length", "auto", "Ollama chooses by the VRAM"
    yield "OLLAMA_MAX_LOADED_MODELS", "max_loaded_models", str(3 * max(1, cards)), "Ollama takes 3 for each card"


def _cards(given: Mapping[str, Value], cards: int) -> Iterator[Entry | Left]:
    if "OLLAMA_LLM_LIBRARY" in given and _backend_of(given["OLLAMA_LLM_LIBRARY"].text) == "cpu":
        yield Entry(key="gpus", value="none", where=f"OLLAMA_LLM_LIBRARY in {given['OLLAMA_LLM_LIBRARY'].where}")
        return
    pins = [name for name in CARDS if name in given and (given[name].text or name == CARDS[0])]
    if not pins:
        return
    name, text, where = pins[0], envconfig.word(given[pins[0]].text), given[pins[0]].where
    for other in pins[1:]:
        if envconfig.word(given[other].text) != text:
            yield Left(what=other, where=given[other].where, why=f"gpus is one list, and {name} says otherwise")
    if text in ("", "-1", "none", "NoDevFiles"):
        yield Entry(key="gpus", value="none", where=f"{name} in {where}")
        return
    try:
        found = specvalue.gpus([word.strip() for word in text.split(",")]) or ()
    except WrongValueError as error:
        yield Left(what=name, where=where, why=f"{error}; without gpus it gets every card: {error.hint}")
        return
    told = f"{name} in {where}"
    by_number = any(card.isdigit() for card in found)
    if by_number and name == CARDS[0] and cards > 1 and "CUDA_DEVICE_ORDER" not in given:
        told += "; CUDA counted the fastest first, ollamactl as nvidia-smi does: compare with `ollamactl gpus`"
    yield Entry(key="gpus", value=f"[{', '.join(quoted(card) for card in found)}]", where=told)


def _free(name: str, value: Value, *, secrets: bool) -> Entry | Left:
    """A variable that no key stands for."""
    if unsafe(value.text) or _NO_TEXT.search(value.text):
        why = "it has a line break, a control character or a byte that is no UTF-8: use a file for environment_files:"
        return Left(what=name, where=value.where, why=why)
    secret = varchecks.looks_secret(name, value.text)
    where, text = value.where, value.text
    if name in VARIABLES and VARIABLES[name].boolean and envconfig.word(text):
        if not envconfig.is_boolean(text):
            where += "; Ollama takes it for true"
        text = "1" if envconfig.truth(text) else "0"
    group = "secrets" if secret else "environment"
    return Entry(key=f"{group}.{name}", value=quoted(text), where=where, hidden=secret and not secrets)


def _keyed(name: str, value: Value) -> Iterator[Entry | Left]:
    key, read = _KEYS[name]
    try:
        yield Entry(key=key, value=read(value.text), where=f"{name} in {value.where}")
    except (WrongValueError, ValueError) as error:
        yield Left(what=name, where=value.where, why=f"{error}; {key} keeps its default")


def _duration(text: str) -> str:
    """Less than nothing is for ever, both for KEEP_ALIVE and for LOAD_TIMEOUT."""
    seconds = envconfig.duration(text)
    if seconds is None:
        raise ValueError("Ollama cannot read it as a duration, and takes 5m")
    return "forever" if seconds < 0 or seconds > _FOREVER else format_duration(seconds)


def _timeout(text: str) -> str:
    found = _duration(text)
    return "forever" if found == "0s" else found


def _count(text: str) -> str:
    found = envconfig.number(text)
    if not found:
        raise ValueError("0 leaves it to Ollama" if found == 0 else "Ollama cannot read it as a number")
    return str(found)


def _context(text: str) -> str:
    return str(envconfig.number(text) or "auto")


def _toggle(text: str) -> str:
    return "on" if envconfig.truth(text) else "off"


def _switch(text: str) -> str:
    return "true" if envconfig.truth(text) else "false"


def _cache(text: str) -> str:
    known = load_schema()["$defs"]["instance"]["properties"]["kv_cache_type"]["enum"]
    word = envconfig.word(text).lower()
    if word not in known:
        raise ValueError("it is none of Ollama's types")
    return word


def _reserve_mib(text: str) -> str:
    return format_size(specvalue.size(int(_count(text)) * _MIB))


def _origins(text: str) -> str:
    found = [specvalue.origin(word.strip()) for word in envconfig.word(text).split(",")]
    return f"[{', '.join(map(quoted, found))}]"


def _backend(text: str) -> str:
    if not (found := _backend_of(text)):
        raise ValueError("it is no library that a backend stands for")
    return found


def _backend_of(text: str) -> str:
    word = envconfig.word(text).lower()
    return next((backend for backend in _BACKENDS if word.startswith(backend)), "")


_KEYS: Mapping[str, tuple[str, Callable[[str], str]]] = {
    "OLLAMA_KEEP_ALIVE": ("keep_alive", _duration),
    "OLLAMA_CONTEXT_LENGTH": ("context_length", _context),
    "OLLAMA_NUM_PARALLEL": ("parallel", _count),
    "OLLAMA_MAX_LOADED_MODELS": ("max_loaded_models", _count),
    "OLLAMA_MAX_QUEUE": ("max_queue", _count),
    "OLLAMA_LOAD_TIMEOUT": ("load_timeout", _timeout),
    "OLLAMA_FLASH_ATTENTION": ("flash_attention", _toggle),
    "OLLAMA_KV_CACHE_TYPE": ("kv_cache_type", _cache),
    "OLLAMA_SCHED_SPREAD": ("spread", _switch),
    "LLAMA_ARG_FIT_TARGET": ("vram_reserve", _reserve_mib),
    "OLLAMA_ORIGINS": ("origins", _origins),
    "OLLAMA_LLM_LIBRARY": ("backend", _backend),
}
_SELF_EVIDENT = {
    "OLLAMA_NOPRUNE": "no server of the fleet prunes the store",
    "OLLAMA_NO_CLOUD": "no server of the fleet asks ollama.com",
    "OLLAMA_VULKAN": "gpus and backend set it",
    "OLLAMA_GPU_OVERHEAD": "today's Ollama reserves nothing for it; vram_reserve does",
    "CUDA_DEVICE_ORDER": "gpus sets it",
    "GGML_VK_VISIBLE_DEVICES": "gpus sets it",
}
