"""Values that Ollama reads otherwise than they were meant, or not at all. Pure."""

import re
from collections.abc import Iterator

from ollamactl.doctor import mend
from ollamactl.doctor.finding import Finding, Mend, Trap
from ollamactl.doctor.host import Host
from ollamactl.doctor.server import Server
from ollamactl.errors import Severity, listed
from ollamactl.quantity import format_duration, parse_duration
from ollamactl.spec import suggest
from ollamactl.units import envconfig, envfile
from ollamactl.units.ollama_env import KNOWN, VARIABLES

_YES = ("on", "yes", "y", "enable", "enabled")
"""Words that are not read, and come out as they were meant."""
_DURATIONS = ("OLLAMA_KEEP_ALIVE", "OLLAMA_LOAD_TIMEOUT")
_NUMBERS = {
    "OLLAMA_CONTEXT_LENGTH": "decides by the VRAM that it sees",
    "OLLAMA_NUM_PARALLEL": "takes 1",
    "OLLAMA_MAX_LOADED_MODELS": "takes three for each card",
    "OLLAMA_MAX_QUEUE": "takes 512",
    "OLLAMA_MAX_TRANSFER_STREAMS": "takes 4",
}
"""What Ollama does about a value that is no number (envconfig/config.go, Uint)."""
_CACHE_TYPES = ("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1")
"""--cache-type-k of llama-server, which gets the value as it is."""
_CLIENTS = ("OLLAMA_DOT_COM_URL", "OLLAMA_APP_DB_PATH", "OLLAMA_AGENT_DISABLE_WEBSEARCH", "OLLAMA_AGENT_DISABLE_SHELL")
"""Read by Ollama's other programs."""
_OTHERS = {
    "OLLAMA_PORT": "the port stands in OLLAMA_HOST, as in 127.0.0.1:11434",
    "OLLAMA_NUM_GPU": "num_gpu is a parameter of a model or a request",
    "OLLAMA_NUM_THREADS": "num_thread is a parameter of a model or a request",
    "OLLAMA_NUM_THREAD": "num_thread is a parameter of a model or a request",
    "OLLAMA_CUDA_VISIBLE_DEVICES": "did you mean CUDA_VISIBLE_DEVICES?",
}
_MIB = 1 << 20


def findings(host: Host) -> Iterator[Finding]:
    """Every trap of this kind."""
    for server in host.servers:
        yield from _files(server)
        yield from _booleans(server)
        yield from _unknown(server)
        yield from _durations(server)
        yield from _numbers(server)
        yield from _library(server)
        yield from _cache_type(server)
        yield from _overhead(server)


def _files(server: Server) -> Iterator[Finding]:
    files = server.environment_files
    for file in files:
        if file.missing and not file.optional:
            kept = "".join(f"EnvironmentFile={'-' if f.optional or f.missing else ''}{f.path}\n" for f in files)
            yield Finding(
                trap=Trap.FILE_MISSING,
                severity=Severity.ERROR,
                unit=server.unit,
                path=file.path,
                message=f"it can't start: its environment file {file.path} is not there",
                evidence=(f"EnvironmentFile={file.path}, without a dash before it that would let it be missing",),
                mend=mend.edit(server, f"[Service]\nEnvironmentFile=\n{kept}", why="or put the file there"),
            )
        names = [name for name in envfile.exported(file.text or "") if name in VARIABLES or name.startswith("OLLAMA_")]
        if names:
            yield Finding(
                trap=Trap.FILE_FOR_SHELL,
                severity=Severity.ERROR,
                unit=server.unit,
                path=file.path,
                message=f"systemd passes over lines with `export`, so {listed(names)} of {file.path} are not set",
                evidence=tuple(f"export {name}=... in {file.path}" for name in names),
                mend=Mend(
                    rf"`{mend.sudo(server)}sed -i 's/^\s*export\s\s*//' {mend.quoted(file.path)}`, "
                    f"then {mend.restart(server)}"
                ),
            )


def _booleans(server: Server) -> Iterator[Finding]:
    for name, variable in VARIABLES.items():
        value = server.environment.get(name)
        if variable.boolean and not envconfig.is_boolean(value) and value.lower() not in _YES:
            yield Finding(
                trap=Trap.BOOLEAN_OPPOSITE,
                severity=Severity.ERROR,
                unit=server.unit,
                message=f"{name} is on: Ollama takes every value that it cannot read for true",
                evidence=(server.environment.told(name),),
                mend=mend.assign(server, name, "0", why="or 1 where on is meant"),
            )


def _unknown(server: Server) -> Iterator[Finding]:
    """Without the value, which may be a password."""
    for name, given in server.environment.given.items():
        if name.startswith("OLLAMA_") and name not in (*VARIABLES, *_CLIENTS):
            meant = suggest.nearest(name.removeprefix("OLLAMA_"), [n.removeprefix("OLLAMA_") for n in KNOWN])
            why = _OTHERS.get(name) or (f"did you mean OLLAMA_{meant}?" if meant else "")
            yield Finding(
                trap=Trap.UNKNOWN_VARIABLE,
                unit=server.unit,
                message=f"{name} does nothing: Ollama reads no variable of that name",
                evidence=(f"{name} is set{f' in {given.where}' if given.where else ''}",),
                mend=mend.remove(server, name, why=why),
            )


def _durations(server: Server) -> Iterator[Finding]:
    for name in _DURATIONS:
        value = server.environment.get(name)
        if value and envconfig.duration(value) is None:
            yield Finding(
                trap=Trap.UNREADABLE_DURATION,
                severity=Severity.ERROR,
                unit=server.unit,
                message=f"{name} is five minutes: Ollama cannot read the value, and takes its default without a word",
                evidence=(server.environment.told(name),),
                mend=mend.assign(server, name, _duration(value), why="Ollama reads 90s, 30m, 1h30m, and -1 for ever"),
            )


def _duration(value: str) -> str:
    """What was probably meant, as Go reads it."""
    try:
        text = format_duration(parse_duration(value))
    except ValueError:
        return "5m"
    return "-1" if text == "forever" else text


def _numbers(server: Server) -> Iterator[Finding]:
    for name, instead in _NUMBERS.items():
        value = server.environment.get(name)
        if value and envconfig.number(value) is None:
            thousands = re.fullmatch(r"(\d{1,6}) ?[kK]", value)
            how = mend.assign(server, name, str(int(thousands[1]) * 1024)) if thousands else mend.remove(server, name)
            yield Finding(
                trap=Trap.UNREADABLE_NUMBER,
                severity=Severity.ERROR,
                unit=server.unit,
                message=f"{name} is not what it says: Ollama reads digits alone, and {instead}",
                evidence=(server.environment.told(name),),
                mend=how,
            )


def _library(server: Server) -> Iterator[Finding]:
    value = server.environment.get("OLLAMA_LLM_LIBRARY")
    if value and server.libraries and value not in server.libraries and not value.startswith("mlx_"):
        yield Finding(
            trap=Trap.UNKNOWN_LIBRARY,
            severity=Severity.ERROR,
            unit=server.unit,
            message="it computes on the CPU without a word: there is no library of the name that it is told to use",
            evidence=(server.environment.told("OLLAMA_LLM_LIBRARY"), f"there are {listed(server.libraries)}"),
            mend=mend.remove(server, "OLLAMA_LLM_LIBRARY"),
        )


def _cache_type(server: Server) -> Iterator[Finding]:
    name = "OLLAMA_KV_CACHE_TYPE"
    value = server.environment.get(name).lower()
    if value and value not in _CACHE_TYPES:
        meant = next((each for each in _CACHE_TYPES if each.startswith(value)), "f16")
        yield Finding(
            trap=Trap.UNKNOWN_CACHE_TYPE,
            severity=Severity.ERROR,
            unit=server.unit,
            message="no model can be loaded: its runner knows no K/V cache of that type, and ends",
            evidence=(server.environment.told(name),),
            mend=mend.assign(server, name, meant, why=f"there are {', '.join(_CACHE_TYPES)}"),
        )


def _overhead(server: Server) -> Iterator[Finding]:
    """It lowers what Ollama plans its default context by, and no more (llm/llama_server.go)."""
    reserve = envconfig.number(server.environment.get("OLLAMA_GPU_OVERHEAD")) or 0
    if reserve and not server.environment.get("LLAMA_ARG_FIT_TARGET"):
        target = f"Environment=LLAMA_ARG_FIT_TARGET={-(-reserve // _MIB)}\n"
        yield Finding(
            trap=Trap.OVERHEAD_IGNORED,
            unit=server.unit,
            message="OLLAMA_GPU_OVERHEAD keeps no VRAM free any more: runners fill the cards by LLAMA_ARG_FIT_TARGET",
            evidence=(server.environment.told("OLLAMA_GPU_OVERHEAD"), "LLAMA_ARG_FIT_TARGET is not set"),
            mend=mend.edit(server, f"[Service]\nUnsetEnvironment=OLLAMA_GPU_OVERHEAD\n{target}", why="in MiB"),
        )
