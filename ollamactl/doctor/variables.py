"""Values that Ollama reads otherwise than they were meant, or not at all. Pure."""

from collections.abc import Iterator

from ollamactl.doctor import mend
from ollamactl.doctor.finding import Finding, Trap
from ollamactl.doctor.host import Host, Server
from ollamactl.errors import Severity
from ollamactl.units import envconfig
from ollamactl.units.ollama_env import VARIABLES

_YES = ("on", "yes", "y", "enable", "enabled")
"""Words that are not read, and come out as they were meant."""


def findings(host: Host) -> Iterator[Finding]:
    """Every trap of this kind."""
    for server in host.servers:
        yield from _booleans(server)


def _booleans(server: Server) -> Iterator[Finding]:
    for name, variable in VARIABLES.items():
        value = server.environment.get(name)
        if not variable.boolean or envconfig.is_boolean(value) or value.lower() in _YES:
            continue
        yield Finding(
            trap=Trap.BOOLEAN_OPPOSITE,
            severity=Severity.ERROR,
            unit=server.unit,
            message=f"{name} is on: Ollama takes every value that it cannot read for true",
            evidence=(server.environment.told(name),),
            mend=mend.assign(server, name, "0", why="or 1 where on is meant"),
        )
