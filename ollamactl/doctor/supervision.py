"""How systemd keeps a server running, or does not: crash loops, limits, masks, files that it has not read. Pure."""

from collections.abc import Iterator, Mapping

from ollamactl.doctor import mend
from ollamactl.doctor.finding import Finding, Mend, Trap
from ollamactl.doctor.host import STOCK, Host
from ollamactl.doctor.server import Server
from ollamactl.errors import Severity, listed
from ollamactl.observed import Active
from ollamactl.quantity import format_duration
from ollamactl.units.ollama_env import VARIABLES

MANY = 3
"""Automatic restarts that are more than bad luck."""
FRESH = 60.0
"""Seconds; a server that has been up for longer has got over its crashes."""
_LIMIT = "[Unit]\nStartLimitIntervalSec=5min\nStartLimitBurst=5\n"
_TYPES = {
    "notify": "a message that Ollama never sends",
    "notify-reload": "a message that Ollama never sends",
    "dbus": "a name on the bus that Ollama never takes",
    "forking": "the command to end, which it does not",
    "oneshot": "the command to end, which it does not",
}
"""Type= -> what a start waits for."""


def findings(host: Host) -> Iterator[Finding]:
    """Every trap of this kind."""
    for server in host.servers:
        yield from _loops(server)
        yield from _endless(server)
        yield from _type(server)
        yield from _kill_mode(server)
        yield from _unread(server)
        yield from _unheeded(server)
    yield from _masked(host)
    yield from _broken(host)


def _loops(server: Server) -> Iterator[Finding]:
    state, journal = server.state, tuple(f"| {line}" for line in server.journal)
    ended = f"its last run ended with {server.result}, status {server.status}"
    again = state.restarts >= MANY and (server.seconds or 0.0) < FRESH
    if state.crash_looping or again:
        yield Finding(
            trap=Trap.CRASH_LOOP,
            severity=Severity.ERROR,
            unit=server.unit,
            message="it crashes and is started again, over and over; `systemctl start` says nothing of it",
            evidence=(f"{state.words}, {state.restarts} automatic restarts (NRestarts=); {ended}", *journal),
            mend=Mend(
                f"mend what the journal names, then {mend.restart(server)}; "
                f"until then the loop ends with: {server.systemctl} stop {server.unit}"
            ),
        )
    elif state.active is Active.FAILED:
        yield Finding(
            trap=Trap.FAILED,
            severity=Severity.ERROR,
            unit=server.unit,
            message="it has failed, and systemd does not try again",
            evidence=(ended, *journal),
            mend=Mend(f"mend what the journal names, then {mend.restart(server)}"),
        )


def _endless(server: Server) -> Iterator[Finding]:
    """A limit that counts more starts than fit into its interval is never reached (systemd.unit(5))."""
    settings = server.settings
    limited = settings.limit_interval > 0 and settings.limit_burst > 0
    reached = limited and settings.restart_delay * settings.limit_burst < settings.limit_interval
    if settings.restart == "no" or reached:
        return
    interval = format_duration(settings.limit_interval)
    yield Finding(
        trap=Trap.ENDLESS_RESTART,
        unit=server.unit,
        message="a crash loop would go on for ever: its start limit is never reached",
        evidence=(
            f"Restart={settings.restart} RestartSec={format_duration(settings.restart_delay)}, "
            + (f"StartLimitBurst={settings.limit_burst} within {interval}" if limited else "and no start limit"),
        ),
        mend=mend.edit(server, _LIMIT, why="a server that crashes five times in five minutes then ends as failed"),
    )


def _type(server: Server) -> Iterator[Finding]:
    if waits := _TYPES.get(server.settings.type):
        yield Finding(
            trap=Trap.TYPE_WAITS,
            severity=Severity.ERROR,
            unit=server.unit,
            message=f"its start never ends: systemd waits for {waits}, and gives up at the time-out",
            evidence=(f"Type={server.settings.type}, {server.state.words}",),
            mend=mend.edit(server, "[Service]\nType=exec\n"),
        )


def _kill_mode(server: Server) -> Iterator[Finding]:
    if server.settings.kill_mode in ("process", "none"):
        yield Finding(
            trap=Trap.RUNNERS_OUTLIVE,
            unit=server.unit,
            message="a stop or a crash leaves its runners behind, and they keep their memory and VRAM",
            evidence=(f"KillMode={server.settings.kill_mode}",),
            mend=mend.edit(server, "[Service]\nKillMode=control-group\n"),
        )


def _unread(server: Server) -> Iterator[Finding]:
    if server.state.need_reload:
        yield Finding(
            trap=Trap.NEEDS_RELOAD,
            unit=server.unit,
            message="its files were changed, and systemd has not read them since",
            evidence=(f"NeedDaemonReload=yes; it is read from {', '.join(server.settings.files)}",),
            mend=Mend(f"`{server.systemctl} daemon-reload`, then {mend.restart(server)}"),
        )


def _unheeded(server: Server) -> Iterator[Finding]:
    """Names alone: what a variable holds may be a password."""
    process, environment = server.process.environment, server.environment
    if process is None or not environment.complete or server.state.need_reload:
        return
    wanted = {name: given.value for name, given in environment.given.items()}
    names = [name for name in VARIABLES if name in wanted or name in process]
    names += [name for name in ("HOME",) if name in wanted]  # else systemd gives it the user's
    if other := [name for name in names if wanted.get(name) != process.get(name)]:
        yield Finding(
            trap=Trap.NEEDS_RESTART,
            unit=server.unit,
            message=f"it runs without the last change: it was started with other values of {listed(other)}",
            evidence=tuple(f"{name} is {_how(name, process, wanted)}" for name in other),
            mend=Mend(mend.restart(server)),
        )


def _how(name: str, process: Mapping[str, str], wanted: Mapping[str, str]) -> str:
    if name not in wanted:
        return "set in the process, and in the unit no more"
    return "another in the unit than in the process" if name in process else "set in the unit, and not in the process"


def _masked(host: Host) -> Iterator[Finding]:
    """A stock service that is masked where another server runs is masked on purpose, so that install.sh leaves it."""
    for masked in host.masked:
        if masked.wanted or (masked.unit == STOCK and not host.servers):
            yield Finding(
                trap=Trap.MASKED,
                severity=Severity.ERROR,
                unit=masked.unit,
                message="it is masked, so systemd refuses to start it",
                evidence=("LoadState=masked",),
                mend=Mend(f"`{host.systemctl} unmask {masked.unit}`, then `{host.systemctl} start {masked.unit}`"),
            )


def _broken(host: Host) -> Iterator[Finding]:
    for broken in host.broken:
        yield Finding(
            trap=Trap.UNIT_BROKEN,
            severity=Severity.ERROR,
            unit=broken.unit,
            path=broken.file,
            message="systemd can't make sense of its files, and so can't start it",
            evidence=broken.evidence,
            mend=Mend(f"systemd-analyze verify {broken.unit} names the lines; then `{host.systemctl} daemon-reload`"),
        )
