"""Where a spec's text comes from: a path, standard input, or the usual places."""

import os
from dataclasses import dataclass
from pathlib import Path

from ollamactl.errors import NotPermitted, Problem, SpecError, UsageError

USUAL = ("fleet.yaml", "/etc/ollamactl/fleet.yaml")
_MAX_BYTES = 1 << 24
"""Read at most; the parser refuses far less, with a better message than a full memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A spec's bytes, and what they are called."""

    name: str
    """As the user named it; messages begin with it."""
    path: str = ""
    """The absolute path, empty for standard input; a link stays one, since what it leads to changes."""
    data: bytes


def read(path: str | None, *, home: str = "") -> Source:
    """The text at a path, on standard input (`-`), or at the first of the usual places.

    `home` is where it will lie: what is planned for it there is planned for it now.
    Raises UsageError where there is no spec, NotPermitted where the caller may not read it, and SpecError where it
    cannot be read at all.
    """
    if path is None:
        path = next(filter(_there, USUAL), None)
        if path is None:
            raise UsageError(
                f"no spec given, and there is neither {' nor '.join(USUAL)}",
                hint="name the file, or write a first one with: ollamactl init > fleet.yaml",
            )
    try:
        if path == "-":
            with open(0, "rb", closefd=False) as stream:
                return Source(name="<stdin>", path=_absolute(home), data=stream.read(_MAX_BYTES))
        with Path(path).open("rb") as stream:
            return Source(name=path, path=_absolute(home or path), data=stream.read(_MAX_BYTES))
    except PermissionError as error:
        raise NotPermitted(
            f"{path}: only its owner may read this spec", hint="type the same command with sudo"
        ) from error
    except OSError as error:
        problem = Problem(path=path, message=f"cannot read the spec: {error.strerror}", hint="name another file")
        raise SpecError([problem]) from error


def _absolute(path: str) -> str:
    return str(Path(path).absolute()) if path else ""


def _there(name: str) -> bool:
    """Whether there is such a file; one that the caller may not look for is taken to be there, and then told."""
    try:
        return Path(name).exists()
    except PermissionError:
        return True


def same_file(old: str, new: str) -> bool | None:
    """Whether two specs' paths, empty for standard input, are one file; None where the old one is no more."""
    if old == new or not old:
        return True if old == new else None
    try:
        there = Path(old).stat()
        return bool(new) and os.path.samestat(there, Path(new).stat())
    except PermissionError:
        return False  # it may well be there, and another; root will know
    except OSError:
        return None
