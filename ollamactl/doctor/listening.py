"""Where servers listen: addresses that are taken, that mean something else, or that everybody reaches. Pure."""

from collections.abc import Iterator

from ollamactl.doctor import mend
from ollamactl.doctor.finding import Finding, Mend, Trap
from ollamactl.doctor.host import Host, Server
from ollamactl.errors import Severity
from ollamactl.model import WILDCARDS
from ollamactl.observed import PortHolder
from ollamactl.units import envconfig


def findings(host: Host) -> Iterator[Finding]:
    """Every trap of this kind."""
    for server in host.servers:
        yield from _taken(server)
        yield from _open(server)


def written(host: str, port: int) -> str:
    """`127.0.0.1:11434`, `[::1]:11434`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _taken(server: Server) -> Iterator[Finding]:
    if server.holder and server.address:
        yield Finding(
            trap=Trap.PORT_TAKEN,
            severity=Severity.ERROR,
            unit=server.unit,
            message=f"{written(*server.address)}, where it is to listen, is taken",
            evidence=(f"by {server.holder}", server.environment.told("OLLAMA_HOST")),
            mend=Mend(f"{_away(server.holder)}; or give this one another port (OLLAMA_HOST)"),
        )


def _away(holder: PortHolder) -> str:
    """What to do about who is there; what belongs to no unit is the operator's to end."""
    if holder.unit.endswith(".service"):
        return f"if that one is not wanted: `sudo systemctl disable --now {holder.unit}`"
    if holder.pid == 1:
        return "a socket unit holds it: systemctl list-sockets names it"
    if holder.pid is None:
        return f"see who it is: sudo ss -ltnp 'sport = :{holder.port}'"
    return f"if that program is not wanted: `sudo kill {holder.pid}`"


def _open(server: Server) -> Iterator[Finding]:
    """By what it listens on where that is seen, else by what it is set to."""
    if server.settings.fenced or server.settings.private_network or server.ours:
        return
    addresses = server.process.listens or ((server.address,) if server.address else ())
    reached = [each for each in addresses if not _loopback(each[0])]
    if not reached:
        return
    host, port = reached[0]
    verb = "listens" if server.process.listens else "is set to listen"
    who = "every machine that can route here" if host in WILDCARDS else f"every machine that reaches {host}"
    yield Finding(
        trap=Trap.OPEN_TO_NETWORK,
        severity=Severity.ERROR,
        unit=server.unit,
        message=f"{who} may use it, and pull and delete models: Ollama asks for no password",
        evidence=(
            f"{verb} on {written(host, port)}, without IPAddressDeny= (a firewall was not looked at)",
            server.environment.told("OLLAMA_HOST"),
        ),
        mend=mend.assign(server, "OLLAMA_HOST", written("127.0.0.1", port), why="or keep strangers out by a firewall"),
    )


def _loopback(host: str) -> bool:
    return (envconfig.is_address(host) and host.startswith("127.")) or host in ("::1", "localhost")
