"""What a unit wrote to the journal, through journalctl(1)."""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ollamactl.quantity import parse_duration

_TIMEOUT = 5.0
_PLACES = (Path("/var/log/journal"), Path("/run/log/journal"))


def readable(*, user: bool, places: Sequence[Path] = _PLACES) -> bool:
    """Whether the caller may read what units wrote; also where there is no journal, which journalctl tells itself.

    A user's own units may be in a journal that is kept for that user (journald.conf(5), SplitMode=).
    """
    found = False
    for folder in (entry for place in places if place.is_dir() for entry in place.iterdir()):
        try:
            names = os.listdir(folder)  # noqa: PTH208
        except NotADirectoryError:
            continue
        except PermissionError:
            found = True
            continue
        for name in names:
            if name.startswith("system") or (user and name.startswith(f"user-{os.geteuid()}")):
                found = True
                if os.access(folder / name, os.R_OK, effective_ids=True):
                    return True
    return not found


def tail(unit: str, *, lines: int = 10, invocation: str | None = None, user: bool = False) -> tuple[str, ...]:
    """The last lines of a unit, or of one run of it; () where the journal can't be read.

    `invocation` is the unit's InvocationID: the lines of that run, and what the manager said of it
    (systemd.journal-fields(7)).
    """
    import subprocess

    command = ["journalctl", "--quiet", "--no-pager", "--output=cat", f"--lines={lines}"]
    if invocation:
        told = "USER_INVOCATION_ID" if user else "INVOCATION_ID"
        command += [f"_SYSTEMD_INVOCATION_ID={invocation}", "+", f"{told}={invocation}"]
    else:
        command.append(_unit_option(unit, user))
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return tuple(_printable(line) for line in done.stdout.decode(errors="replace").splitlines() if line.strip())


def follow_command(
    units: Sequence[str],
    *,
    follow: bool = False,
    lines: int | None = None,
    since: str | None = None,
    user: bool = False,
) -> list[str]:
    """The journalctl command that shows the units' logs, for `logs` to become; several are told apart by their unit.

    `since` is a time as journalctl reads it (systemd.time(7)), or a duration back from now.
    """
    command = ["journalctl"]
    if len(units) > 1:
        command.append("--output=with-unit")  # else every line would just say "ollama"
    if follow:
        command.append("--follow")
    if lines is not None:
        command.append(f"--lines={lines}")
    if since:
        with suppress(ValueError):
            parse_duration(since)
            since = f"-{since}"
        command.append(f"--since={since}")
    return [*command, *(_unit_option(unit, user) for unit in units)]


def _unit_option(unit: str, user: bool) -> str:
    # Without --user: journals that are not kept per user hold the lines of user units too.
    return f"--user-unit={unit}" if user else f"--unit={unit}"


def _printable(line: str) -> str:
    """The line without what would change a terminal."""
    return "".join(letter if letter.isprintable() or letter == "\t" else "\N{REPLACEMENT CHARACTER}" for letter in line)
