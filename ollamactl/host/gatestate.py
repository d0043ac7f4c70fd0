"""How the gate says that its servers are, on the socket that it has for such questions."""

import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ollamactl.facts import Layout

_SECONDS = 5.0
_MOST_BYTES = 1 << 22


@dataclass(frozen=True, slots=True, kw_only=True)
class GateState:
    """One server, as the gate sees it."""

    state: str
    """asleep, waking, loading, ready, busy or draining."""
    since: float
    """Seconds since the epoch."""
    in_flight: int
    waiting: int
    used: float | None
    """When a request needed it last, in seconds since the epoch."""


def read(layout: Layout) -> Mapping[str, GateState]:
    """By instance; nothing where no gate runs, for then all sleep."""
    try:
        rows = json.loads(_ask(f"{layout.gate_run}/control.sock").partition(b"\r\n\r\n")[2])
        return {str(row["name"]): _state(row) for row in rows}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _ask(place: str) -> bytes:
    answer = b""
    with socket.socket(socket.AF_UNIX) as gate:
        gate.settimeout(_SECONDS)
        gate.connect(place)
        gate.sendall(b"GET /state HTTP/1.1\r\nHost: gate\r\n\r\n")
        while len(answer) < _MOST_BYTES and (more := gate.recv(1 << 16)):
            answer += more
    return answer


def _state(row: Mapping[str, Any]) -> GateState:
    used = row["used"]
    return GateState(
        state=str(row["state"]),
        since=float(row["since"]),
        in_flight=int(row["in_flight"]),
        waiting=int(row["waiting"]),
        used=None if used is None else float(used),
    )
