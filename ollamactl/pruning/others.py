"""Who else may be using a store, or writing to it: servers that are none of the fleet's, whoever started them."""

# ruff: noqa: PTH115, PTH116, PTH117, PTH208
import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from ollamactl.host import processes, rivals
from ollamactl.units import envconfig


def of(models_dir: str, ours: Collection[str], proc: Path = Path("/proc")) -> tuple[str, ...]:
    """Servers on the store, in words; `ours` are units that are no strangers, since they can only read it.

    Without root only the caller's own servers are seen; those of others can't write where only the caller may.
    """
    try:
        about = os.stat(models_dir)
    except OSError:
        return ()
    return tuple(_others((about.st_dev, about.st_ino), ours, proc))


def _others(store: tuple[int, int], ours: Collection[str], proc: Path) -> Iterator[str]:
    for pid in sorted(int(name) for name in os.listdir(proc) if name.isdecimal()):
        if not rivals.is_server(processes.arguments(pid, proc)) or processes.unit_of(pid, proc) in ours:
            continue
        with suppress(OSError):
            # As the process sees it: it may live in a container
            about = os.stat(f"{proc}/{pid}/root{_models(pid, proc)}")
            if (about.st_dev, about.st_ino) == store:
                who = processes.describe(pid, proc)
                yield f"pid {pid} ({who.command}){f' of {who.unit}' if who.unit else ''}"


def _models(pid: int, proc: Path) -> str:
    """Where a server has its models (envconfig/config.go in Ollama)."""
    variables = processes.variables(pid, proc) or {}
    path = envconfig.word(variables.get("OLLAMA_MODELS", "")) or f"{variables.get('HOME', '')}/.ollama/models"
    return path if os.path.isabs(path) else f"{os.readlink(f'{proc}/{pid}/cwd')}/{path}"
