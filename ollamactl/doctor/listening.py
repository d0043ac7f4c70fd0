"""Where servers listen: addresses that are taken, that mean something else, or that everybody reaches. Pure."""

import ipaddress
import re
from collections.abc import Iterator

from ollamactl.doctor import mend
from ollamactl.doctor.finding import Finding, Mend, Trap
from ollamactl.doctor.host import Host
from ollamactl.doctor.server import Server
from ollamactl.errors import Severity
from ollamactl.model import WILDCARDS, overlap
from ollamactl.model import address as written
from ollamactl.observed import PortHolder
from ollamactl.units import envconfig

_HOST = "OLLAMA_HOST"
_LOOPBACK = "127.0.0.1"
_EVERY_ORIGIN = ("*", "http://*", "https://*")


def findings(host: Host) -> Iterator[Finding]:
    """Every trap of this kind."""
    for server in host.servers:
        yield from _taken(server)
        yield from _spelled(server)
        yield from _elsewhere(server, host)
        yield from _open(server, host)
        yield from _origins(server)
    yield from _pairs(host)


def _taken(server: Server) -> Iterator[Finding]:
    if server.holder and server.address:
        yield Finding(
            trap=Trap.PORT_TAKEN,
            severity=Severity.ERROR,
            unit=server.unit,
            message=f"{written(*server.address)}, where it is to listen, is taken",
            evidence=(f"by {server.holder}", server.environment.told(_HOST)),
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


def _spelled(server: Server) -> Iterator[Finding]:
    value = server.environment.get(_HOST)
    at = envconfig.listen(value)
    if at.bad_port:
        yield Finding(
            trap=Trap.INVALID_PORT,
            severity=Severity.ERROR,
            unit=server.unit,
            message=f"{at.bad_port} is no port: Ollama takes {at.port} instead without a word",
            evidence=(server.environment.told(_HOST),),
            mend=mend.assign(server, _HOST, written(at.host, at.port), why="or the port that was meant"),
        )
    elif misread := _misread(value, at):
        words, meant = misread
        yield Finding(
            trap=Trap.HOST_SPELLING,
            severity=Severity.ERROR,
            unit=server.unit,
            message=words,
            evidence=(server.environment.told(_HOST),),
            mend=mend.assign(server, _HOST, meant, why="an address and a port is what cannot be mistaken"),
        )


def _misread(value: str, at: envconfig.Listen) -> tuple[str, str] | None:
    """What Ollama makes of it, in words, and what was probably meant."""
    if value.isdecimal():
        return f"{value} is taken for the name of a host, not for a port", f"{_LOOPBACK}:{value}"
    if re.match(":(?!:)", value):
        return "a port without an address binds every interface", written(_LOOPBACK, at.port)
    if at.scheme and at.port in (80, 443) and not value.endswith(f":{at.port}"):
        return f"{at.scheme}:// without a port means port {at.port}", written(at.host, envconfig.DEFAULT_PORT)
    if at.scheme == "https":
        return "https:// does not make it speak TLS: it serves plain HTTP", written(at.host, at.port)
    if at.host != "localhost" and not envconfig.is_address(at.host):
        words = f"{at.host} is taken for the name of a host: it listens on what that name means at the start, or fails"
        return words, written(_LOOPBACK, _port_at_the_end(value) or at.port)
    return None


def _port_at_the_end(value: str) -> int | None:
    """Of an IPv6 address that lacks its brackets: `::1:11434`."""
    return envconfig.number(value.rpartition(":")[2])


def _elsewhere(server: Server, host: Host) -> Iterator[Finding]:
    if not server.address or not _absent(server, host):
        return
    there = f"this host has {', '.join(host.addresses)}" if host.addresses else "this host has none but loopback's"
    yield Finding(
        trap=Trap.ADDRESS_ELSEWHERE,
        severity=Severity.ERROR,
        unit=server.unit,
        message=f"it can't listen on {server.address[0]}, which is no address of this host",
        evidence=(server.environment.told(_HOST), there),
        mend=mend.assign(server, _HOST, written(_LOOPBACK, server.address[1]), why="or an address that is this host's"),
    )


def _absent(server: Server, host: Host) -> bool:
    """Whether its address is none of this host's; that of one that listens is. One that crashes is up for moments."""
    listens = server.process.listens or (server.process.listens is None and server.runs)
    if not server.address or listens or not envconfig.is_address(server.address[0]):
        return False
    address = ipaddress.ip_address(server.address[0])
    known = address.is_loopback or address.is_unspecified or address.is_link_local
    return not known and str(address) not in host.addresses


def _open(server: Server, host: Host) -> Iterator[Finding]:
    """By what it listens on where that is seen, else by what it is set to."""
    if server.settings.fenced or server.settings.private_network or server.ours:
        return
    verb = "listens" if server.process.listens else "is set to listen"
    addresses = server.process.listens or ((server.address,) if server.address else ())
    reached = [each for each in addresses if envconfig.is_address(each[0]) and not _loopback(each[0])]
    if not reached or (not server.process.listens and _absent(server, host)):
        return
    address, port = reached[0]
    who = "every machine that can route here" if address in WILDCARDS else f"every machine that reaches {address}"
    yield Finding(
        trap=Trap.OPEN_TO_NETWORK,
        severity=Severity.ERROR,
        unit=server.unit,
        message=f"{who} may use it, and pull and delete models: Ollama asks for no password",
        evidence=(
            f"{verb} on {written(address, port)}, without IPAddressDeny= (a firewall was not looked at)",
            server.environment.told(_HOST),
        ),
        mend=mend.assign(server, _HOST, written(_LOOPBACK, port), why="or keep strangers out by a firewall"),
    )


def _loopback(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback


def _origins(server: Server) -> Iterator[Finding]:
    origins = [origin.strip() for origin in server.environment.get("OLLAMA_ORIGINS").split(",")]
    if server.ours or not set(_EVERY_ORIGIN) & set(origins):
        return
    yield Finding(
        trap=Trap.ANY_ORIGIN,
        unit=server.unit,
        message="every web page that a browser here opens may use it, and pull and delete models",
        evidence=(server.environment.told("OLLAMA_ORIGINS"),),
        mend=mend.remove(server, "OLLAMA_ORIGINS", why="or name the pages: OLLAMA_ORIGINS=https://chat.example"),
    )


def _pairs(host: Host) -> Iterator[Finding]:
    """Two that want one address and neither has it: whichever starts first gets it. Else it is told as taken."""
    ports = {server.address[1] for server in host.servers if server.address}
    for at, server in enumerate(host.servers):
        for other in host.servers[:at]:
            if not _clash(server, other) or server.holder or other.holder:
                continue
            free = next(port for port in range(envconfig.DEFAULT_PORT, 65536) if port not in ports)
            ports.add(free)
            yield Finding(
                trap=Trap.SAME_ADDRESS,
                severity=Severity.ERROR,
                unit=server.unit,
                message=f"it is set to listen where {other.unit} is: the one that starts first has the port",
                evidence=tuple(f"{each.unit}: {each.environment.told(_HOST)}" for each in (other, server)),
                mend=mend.assign(server, _HOST, written(_LOOPBACK, free)),
            )


def _clash(one: Server, other: Server) -> bool:
    if not one.address or not other.address or one.address[1] != other.address[1]:
        return False
    if one.settings.private_network or other.settings.private_network:
        return False
    return overlap(one.address[0], other.address[0])
