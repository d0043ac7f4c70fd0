"""Where ollamactl itself is, for a unit that runs it."""

import os
from pathlib import Path

from ollamactl.errors import Problem, Severity
from ollamactl.host import reach
from ollamactl.model import HEAL_SERVICE

_PACKAGE = Path(__file__).parents[1]
_CHECKOUT = "ollamactl.sh"
_PACKAGED = "/usr/bin/ollamactl"


def find(root: Path = Path("/")) -> str:
    """The command that runs what runs now: the checkout's ollamactl.sh, or the command of this installation.

    In an image it is what the image has. The package's place where there is none of them: `problem` says so.
    """
    if root != Path("/"):
        places = [_PACKAGED, "/usr/local/bin/ollamactl"]
    else:
        # PREFIX/lib/python3*/*-packages/ollamactl: the package's, pip's, or a virtual environment's
        prefixes = list(_PACKAGE.parents)[3:4]
        places = [str(_PACKAGE.parent / _CHECKOUT), *(f"{prefix}/bin/ollamactl" for prefix in prefixes)]
    return next((path for path in places if _runs(root, path)), _PACKAGED)


def problem(path: str, *, root: Path = Path("/"), user: bool = False) -> Problem | None:
    """Why the program cannot be run, or not be trusted, by a unit; None where all is well."""
    if not _runs(root, path):
        hint = "install the package of ollamactl there, or take `health` out of the spec"
        return Problem(
            message=f"there is no ollamactl at {path}, which {HEAL_SERVICE} would run",
            hint=hint,
            path="health",
            # An image may get the package later
            severity=Severity.WARNING if root != Path("/") else Severity.ERROR,
        )
    if user or root != Path("/"):
        return None
    places = [path] if not path.endswith(_CHECKOUT) else [path, str(_PACKAGE)]
    for place, who in (found for each in places for found in reach.writers(each)):
        return Problem(
            message=f"{who} can change {place}, and so decides what {HEAL_SERVICE} does as root",
            hint="run ollamactl from where only root may write: install its package, or "
            f"sudo chown -R root: {_PACKAGE.parent}",
            path="health",
            severity=Severity.WARNING,
        )
    return None


def _runs(root: Path, path: str) -> bool:
    """Whether there is a program at the path, links followed within the root."""
    real = Path(f"{root}{path}" if root != Path("/") else path)
    return os.access(real, os.X_OK) and real.is_file() if not real.is_symlink() else os.path.lexists(real)
