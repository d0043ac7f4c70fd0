"""Processes of Ollama's that no unit looks after: servers started by hand, runners whose server has gone."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from ollamactl.doctor.host import Stray
from ollamactl.doctor.server import Server
from ollamactl.host import processes, runners
from ollamactl.host.rivals import is_server

_PROC = Path("/proc")
_CONTAINER = re.compile(r"(docker|libpod|crio|cri-containerd|machine|lxc|nspawn)")


def read(servers: Sequence[Server], *, user: bool) -> tuple[tuple[Stray, ...], tuple[Stray, ...]]:
    """Servers without a unit, and orphaned runners; for the user's own manager only among the user's processes."""
    units = {server.unit for server in servers}
    words = {pid: arguments for pid in _pids(user) if (arguments := processes.arguments(pid))}
    roots = {pid for pid, argv in words.items() if is_server(argv)}
    held = {pid for root in roots for pid in processes.family(root)}
    loose = [_stray(pid) for pid in sorted(roots - {s.state.main_pid for s in servers}) if _left_alone(pid, units)]
    orphans = [_stray(pid) for pid in sorted(words.keys() - held) if runners.is_runner(words[pid])]
    return tuple(loose), tuple(stray for stray in orphans if stray.unit in units or stray.unit.startswith("ollama"))


def _left_alone(pid: int, units: set[str]) -> bool:
    """It belongs to a session or to nothing: not to a service of any manager, nor to a container."""
    unit = processes.unit_of(pid) or ""
    return unit not in units and not unit.endswith(".service") and not _CONTAINER.match(unit)


def _stray(pid: int) -> Stray:
    found = processes.describe(pid)
    return Stray(pid=pid, command=found.command, unit=found.unit or "")


def _pids(user: bool) -> Iterator[int]:
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            try:
                if not user or entry.stat().st_uid == os.getuid():
                    yield int(entry.name)
            except OSError:
                continue
