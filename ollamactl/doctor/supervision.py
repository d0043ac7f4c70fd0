"""How systemd keeps a server running, or does not: crash loops, limits, masks, files that it has not read. Pure."""

from collections.abc import Iterator

from ollamactl.doctor import mend
from ollamactl.doctor.finding import Finding, Mend, Trap
from ollamactl.doctor.host import STOCK, Host, Server
from ollamactl.errors import Severity
from ollamactl.observed import Active
from ollamactl.quantity import format_duration

MANY = 3
"""Automatic restarts that are more than bad luck."""
FRESH = 60.0
"""Seconds; a server that has been up for longer has got over its crashes."""
_LIMIT = "[Unit]\nStartLimitIntervalSec=5min\nStartLimitBurst=5\n"


def findings(host: Host) -> Iterator[Finding]:
    """Every trap of this kind."""
    for server in host.servers:
        yield from _loops(server)
        yield from _endless(server)
        yield from _unread(server)
    yield from _masked(host)


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


def _unread(server: Server) -> Iterator[Finding]:
    if server.state.need_reload:
        yield Finding(
            trap=Trap.NEEDS_RELOAD,
            unit=server.unit,
            message="its files were changed, and systemd has not read them since",
            evidence=(f"NeedDaemonReload=yes; it is read from {', '.join(server.settings.files)}",),
            mend=Mend(f"`{server.systemctl} daemon-reload`, then {mend.restart(server)}"),
        )


def _masked(host: Host) -> Iterator[Finding]:
    """A stock service that is masked where another server runs is masked on purpose, so that install.sh leaves it."""
    systemctl = "systemctl --user" if host.user_manager else "sudo systemctl"
    for masked in host.masked:
        if masked.wanted or (masked.unit == STOCK and not host.servers):
            yield Finding(
                trap=Trap.MASKED,
                severity=Severity.ERROR,
                unit=masked.unit,
                message="it is masked, so systemd refuses to start it",
                evidence=("LoadState=masked",),
                mend=Mend(f"`{systemctl} unmask {masked.unit}`, then `{systemctl} start {masked.unit}`"),
            )
