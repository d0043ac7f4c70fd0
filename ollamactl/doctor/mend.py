"""How a finding is mended: the commands and drop-in lines for a unit, in the words of its manager. Pure."""

import shlex

from ollamactl.doctor.finding import Mend
from ollamactl.doctor.server import Server
from ollamactl.observed import Active


def edit(server: Server, lines: str, *, why: str = "") -> Mend:
    """Lines to add to the unit, and the restart that makes them count."""
    hint = f"`{server.systemctl} edit {server.unit}` with the lines below, then {restart(server)}"
    return Mend(_with(hint, why), lines)


def assign(server: Server, name: str, value: str, *, why: str = "") -> Mend:
    """Another value for a variable, in the file that has the last word on it."""
    where = environment_file(server, name)
    if not where:
        return edit(server, f"[Service]\nEnvironment={name}={value}\n", why=why)
    line = shlex.quote(rf"s|^\s*{name}\s*=.*|{name}={value}|")
    return Mend(_with(f"`{sudo(server)}sed -i {line} {shlex.quote(where)}`, then {restart(server)}", why))


def remove(server: Server, name: str, *, why: str = "") -> Mend:
    """A variable taken away, wherever it was given."""
    return edit(server, f"[Service]\nUnsetEnvironment={name}\n", why=why)


def restart(server: Server) -> str:
    """The command, in backquotes; where starts have failed, their count goes first, or systemd may refuse another."""
    state = server.state
    again = f"`{server.systemctl} restart {server.unit}`"
    if state.active is Active.FAILED or state.restarts or state.crash_looping:
        return f"`{server.systemctl} reset-failed {server.unit}`, {again}"
    return again


def sudo(server: Server) -> str:
    """What stands before a command that changes what the unit's manager reads."""
    return "" if server.user_manager else "sudo "


def quoted(path: str) -> str:
    """A path as a shell reads it back."""
    return shlex.quote(path)


def environment_file(server: Server, name: str) -> str:
    """The environment file that gives the variable, which beats Environment= in any drop-in; empty where none does."""
    given = server.environment.given.get(name)
    paths = {file.path for file in server.environment_files}
    return given.where if given and given.where in paths else ""


def _with(hint: str, why: str) -> str:
    return f"{hint}; {why}" if why else hint
