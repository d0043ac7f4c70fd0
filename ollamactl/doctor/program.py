"""What is run, and as whom: the command, its program, its user and home, and what runs beside every unit. Pure."""

from collections.abc import Iterator

from ollamactl.doctor import mend, rights
from ollamactl.doctor.finding import Finding, Mend, Trap
from ollamactl.doctor.host import STOCK, Host
from ollamactl.doctor.server import Server
from ollamactl.errors import Severity, listed

_STARTS = ("serve", "start")


def findings(host: Host) -> Iterator[Finding]:
    """Every trap of this kind."""
    for server in host.servers:
        yield from _options(server)
        yield from _missing(server, host)
        yield from _replaced(server)
        yield from _nobody(server)
        yield from _homeless(server)
    yield from _homes(host)
    yield from _beside(host)


def _options(server: Server) -> Iterator[Finding]:
    """Neither options nor arguments (cmd/cmd.go, serveCmd): the configuration is by environment only."""
    words = [word for word in server.settings.argv[1:] if word not in _STARTS]
    if not words or not server.settings.binary:
        return
    given = dict(zip(words, [*words[1:], ""], strict=True)) | dict(w.split("=", 1) for w in words if "=" in w)
    host, port = given.get("--host", ""), given.get("--port", "")
    listen = f"Environment=OLLAMA_HOST={host or '127.0.0.1'}:{port or 11434}\n" if host or port else ""
    command = f"ExecStart=\nExecStart={server.settings.binary} serve\n"
    yield Finding(
        trap=Trap.SERVE_OPTION,
        severity=Severity.ERROR,
        unit=server.unit,
        message=f"`ollama serve` takes no options, and ends at {words[0]} with an error: it reads variables alone",
        evidence=(f"ExecStart={' '.join(server.settings.argv)}",),
        mend=mend.edit(server, f"[Service]\n{command}{listen}"),
    )


def _missing(server: Server, host: Host) -> Iterator[Finding]:
    if not server.program_lacks:
        return
    if host.programs:
        how = mend.edit(server, f"[Service]\nExecStart=\nExecStart={host.programs[0]} serve\n")
    else:
        how = Mend(f"install Ollama (https://ollama.com/download), then {mend.restart(server)}")
    runs = "; the one that runs can't be started again" if server.runs else ""
    yield Finding(
        trap=Trap.PROGRAM_MISSING,
        severity=Severity.ERROR,
        unit=server.unit,
        path=server.settings.binary,
        message=f"its program {server.program_lacks}, so systemd can't start it (203/EXEC){runs}",
        evidence=(f"ExecStart={' '.join(server.settings.argv)}",),
        mend=how,
    )


def _replaced(server: Server) -> Iterator[Finding]:
    if server.process.same_binary is False and not server.program_lacks:
        answers = f" and answers as version {server.process.version}" if server.process.version else ""
        yield Finding(
            trap=Trap.OLD_PROGRAM,
            unit=server.unit,
            path=server.settings.binary,
            message="its program was replaced since it was started: it runs on with the old one, without its libraries",
            evidence=(f"pid {server.state.main_pid} runs another file than {server.settings.binary} is now{answers}",),
            mend=Mend(mend.restart(server)),
        )


def _nobody(server: Server) -> Iterator[Finding]:
    settings = server.settings
    commands = []
    if server.account_missing:
        home = f"/var/lib/{settings.user}"
        commands.append(f"`sudo useradd --system --create-home --home-dir {home} {settings.user}`")
    commands += [f"`sudo groupadd --system {group}`" for group in server.groups_missing]
    if commands:
        names = [*([settings.user] if server.account_missing else []), *server.groups_missing]
        yield Finding(
            trap=Trap.ACCOUNT_MISSING,
            severity=Severity.ERROR,
            unit=server.unit,
            message=f"there is no {listed(names)} on this host, so systemd can't start it (217/USER, 216/GROUP)",
            evidence=(f"User={settings.user} Group= and SupplementaryGroups={' '.join(settings.groups)}",),
            mend=Mend(f"{', '.join(commands)}, then {mend.restart(server)}"),
        )


def _homeless(server: Server) -> Iterator[Finding]:
    """Every start looks for the key pair in $HOME/.ollama before anything else (initializeKeypair)."""
    own = f"[Service]\n{_own_home(server)}"
    if server.home is None and server.environment.lacks("HOME") and not server.account_missing:
        yield Finding(
            trap=Trap.NO_HOME,
            severity=Severity.ERROR,
            unit=server.unit,
            message="it has no HOME, and Ollama ends without one: systemd sets it only where User= names a user",
            evidence=(f"User={server.settings.user}", server.environment.told("HOME")),
            mend=mend.edit(server, own),
        )
    elif server.keys and (obstacle := rights.obstacle(server.keys, server, rights.WRITE)):
        yield Finding(
            trap=Trap.HOME_CLOSED,
            severity=Severity.ERROR,
            unit=server.unit,
            path=server.keys.path,
            message=f"its user may not write {server.keys.path}, where Ollama keeps its key pair",
            evidence=(rights.words(obstacle), f"User={server.settings.user}"),
            mend=mend.edit(server, own),
        )


def _homes(host: Host) -> Iterator[Finding]:
    """The official service keeps the home; every other gets one of its own, and stays with its models."""
    homes: dict[str, list[Server]] = {}
    for server in sorted(host.servers, key=lambda server: (server.unit != STOCK, server.unit)):
        if server.home:
            homes.setdefault(server.home, []).append(server)
    for path, servers in homes.items():
        for server in servers[1:]:
            others = [each.unit for each in servers if each is not server]
            models = f"Environment=OLLAMA_MODELS={server.store}\n" if server.store else ""
            yield Finding(
                trap=Trap.SHARED_HOME,
                unit=server.unit,
                path=path,
                message=f"it shares its home with {listed(others)}: they write one key pair, and the last writer wins",
                evidence=(f"HOME is {path} for each of {listed([each.unit for each in servers])}",),
                mend=mend.edit(server, f"[Service]\n{_own_home(server)}{models}"),
            )


def _own_home(server: Server) -> str:
    return f"StateDirectory={server.label}\nEnvironment=HOME=%S/{server.label}\n"


def _beside(host: Host) -> Iterator[Finding]:
    for stray in host.loose:
        yield Finding(
            trap=Trap.WITHOUT_UNIT,
            message="a server runs that no unit looks after: it ends with its session, and no boot starts it",
            evidence=(f"pid {stray.pid} ({stray.command}) of {stray.unit or 'no unit'}",),
            mend=Mend(f"if it is not wanted: `{host.sudo}kill {stray.pid}`; else let a unit run it"),
        )
    for stray in host.orphans:
        yield Finding(
            trap=Trap.ORPHANED_RUNNER,
            severity=Severity.ERROR,
            unit=stray.unit,
            message="a runner without a server: it holds its memory and VRAM until somebody ends it",
            evidence=(f"pid {stray.pid} ({stray.command}) of {stray.unit}",),
            mend=Mend(f"`{host.sudo}kill {stray.pid}`"),
        )
