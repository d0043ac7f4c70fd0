"""Requests that a server has taken and not begun to answer, as the kernel's TCP sockets show them (ss(8)).

A queue lies in the server, where nobody can ask for it, while its runner is idle between two requests. But the kernel
counts for each connection: whose last bytes came in after the last ones went out waits for an answer. An idle
connection that is kept open for later is the other way round.
"""

import re
import subprocess

from ollamactl.host import listeners, netns

_SECONDS = 5.0
_NUMBERS = re.compile(r"\b(bytes_received|bytes_sent|lastsnd|lastrcv):(\d+)")


def unanswered(server: int) -> int:
    """How many requests wait for the server of this process; 0 where ss is missing or says nothing.

    Raises NotPermitted where the process has a network namespace of its own, and the caller may not enter it.
    """
    ports = listeners.ports(server)
    if not ports:
        return 0
    where = " or ".join(f"sport = :{port}" for port in sorted(ports))
    command = ["ss", "-OHtin", "state", "established", f"( {where} )"]
    try:
        with netns.entered(server):
            done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired, netns.Gone):
        return 0
    return sum(map(_waits, done.stdout.splitlines()))


def _waits(line: str) -> bool:
    numbers = {name: int(value) for name, value in _NUMBERS.findall(line)}
    if not numbers.get("bytes_received"):
        return False
    # Milliseconds ago, in steps of the kernel's clock: what was answered at once has both alike
    return not numbers.get("bytes_sent") or numbers.get("lastrcv", 0) < numbers.get("lastsnd", 0)
