"""Model stores and homes that servers share, and what is left lying in them. Pure."""

from collections.abc import Iterator

from ollamactl.doctor import mend
from ollamactl.doctor.finding import Finding, Trap
from ollamactl.doctor.host import Host, Server
from ollamactl.errors import Severity, listed
from ollamactl.units import envconfig


def findings(host: Host) -> Iterator[Finding]:
    """Every trap of this kind."""
    for server in host.servers:
        yield from _prunes(server, host)


def _prunes(server: Server, host: Host) -> Iterator[Finding]:
    """At its start, and after a pull, a server deletes the blobs that no manifest names (PruneLayers)."""
    others = [other.unit for other in host.on_store(server.store) if other is not server] if server.store else []
    value = server.environment.get("OLLAMA_NOPRUNE")
    if not others or envconfig.truth(value) or not (value or server.environment.lacks("OLLAMA_NOPRUNE")):
        return
    are = "is" if len(others) == 1 else "are"
    yield Finding(
        trap=Trap.PRUNES_SHARED_STORE,
        severity=Severity.ERROR,
        unit=server.unit,
        path=server.store,
        message=f"each start of it may delete what {listed(others)} {are} pulling: they share a store, and it prunes",
        evidence=(server.environment.told("OLLAMA_NOPRUNE"), f"{server.store} is also the store of {listed(others)}"),
        mend=mend.assign(server, "OLLAMA_NOPRUNE", "1"),
    )
