"""The targets of the Makefile, from `make test` to `make deb-check`: installs what a machine lacks, then runs.

Runs with Debian's own Python before anything is installed, so it uses the standard library alone.
"""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tests.lab.cache import Artifact, LabError, locked
from tests.lab.host import call, make_venv

CHECKOUT = Path(__file__).resolve().parent.parent
PYTHON = "/usr/bin/python3"
MODULES = {  # what the program and its unit tests import -> Debian's package
    "click": "python3-click", "httpx": "python3-httpx", "jinja2": "python3-jinja2", "jsonschema": "python3-jsonschema",
    "pystemd": "python3-pystemd", "rich": "python3-rich", "yaml": "python3-yaml", "pytest": "python3-pytest",
    "xdist": "python3-pytest-xdist", "hypothesis": "python3-hypothesis",
}  # fmt: skip
COMMANDS = {"systemd-analyze": "systemd", "git": "git", "groff": "groff-base"}
SSH = {"ssh": "openssh-client", "dpkg-deb": "dpkg"}
MORE_COMMANDS = {"deb-check": SSH, "bench-ansible": SSH}
"""What a target needs besides."""
LINTERS = ("ruff==0.17.6", "mypy==2.4.1", "types-PyYAML==6.0.12.20261113", "types-jsonschema==4.26.0.20261006")
"""Pinned: a new release of a linter must not turn an old commit red."""


def main(target: str) -> int:
    """Runs a target of the Makefile, `all` for its `test`; returns the exit status."""
    os.chdir(CHECKOUT)
    ensure_packages({**COMMANDS, **MORE_COMMANDS.get(target, {})})
    steps = {
        "unit": [unit], "lint": [lint], "all": [lint, unit, system], "demo": [demo], "bench": [bench], "soak": [soak],
        "bench-gate": [bench_gate], "bench-ansible": [bench_ansible], "docs": [docs],
        "deb": [package], "deb-check": [package_checked],
    }  # fmt: skip
    started = time.monotonic()
    for step in steps[target]:
        if status := step():
            return status
    if target == "all":
        reason = obstacle()
        if reason:
            print(f"NOT RUN: the system tests, because {reason}; all others passed.")
        else:
            print(f"All tests passed in {time.monotonic() - started:.0f} s.")
    return 0


def ensure_packages(commands: Mapping[str, str]) -> None:
    """Debian packages that the program and its tests import; costs 0.2 s when all are there."""
    missing = {package for module, package in MODULES.items() if not _imports(module)}
    missing |= {
        package
        for command, package in commands.items()
        if subprocess.run(["which", command], capture_output=True).returncode
    }
    if not missing:
        return
    if os.geteuid() != 0:
        raise LabError(f"missing on this machine: sudo apt install {' '.join(sorted(missing))}")
    with locked("apt"):
        environment = {"DEBIAN_FRONTEND": "noninteractive"}
        call(["apt-get", "update", "-q"], env=environment)
        call(["apt-get", "install", "-q", "-y", "--no-install-recommends", *sorted(missing)], env=environment)


def _imports(module: str) -> bool:
    code = f"import importlib.util as u, sys; sys.exit(u.find_spec({module!r}) is None)"
    return subprocess.run([PYTHON, "-c", code]).returncode == 0


def lint() -> int:
    """ruff, mypy --strict; the versions are pinned in a virtual environment of the cache."""
    tools = LINT_VENV.ensure() / "bin"
    python = str(tools / "python3")
    commands = (
        [python, "-m", "ruff", "check", "."],
        [python, "-m", "ruff", "format", "--check", "."],
        [python, "-m", "mypy", "--python-executable", PYTHON],
        [PYTHON, "-m", "pytest", "-q", "tests/test_docs.py", "tests/test_pages.py"],
    )
    for command in commands:
        print("+", *command[2:], flush=True)
        if status := subprocess.run(command, cwd=CHECKOUT).returncode:
            return status
    return 0


def unit() -> int:
    """Everything that needs neither root nor containers."""
    return pytest("-m", "not system", "-n", "2", "tests")


def system() -> int:
    """The scenarios on a real systemd with a real Ollama; what a machine cannot run is told, and fails in CI."""
    if reason := obstacle():
        if os.environ.get("CI") != "true":
            return 0
        print(f"NOT RUN: the system tests, because {reason}.", flush=True)
        return 1
    subprocess.run([PYTHON, "-m", "tests.lab", "prepare", "bookworm", "sid", "package"], cwd=CHECKOUT, check=True)
    return pytest("-m", "system", "-n", "2", "--dist", "loadgroup", "tests/system", "tests/soak")


def obstacle() -> str:
    """Why containers cannot be booted here, or nothing."""
    if os.geteuid() != 0:
        return "they boot containers and need root (sudo make test)"
    if subprocess.run(["unshare", "--mount", "--net", "--pid", "--fork", "true"], capture_output=True).returncode:
        return "this machine allows no new namespaces"
    return ""


def docs() -> int:
    """What of docs/ is made: the reference, and the pictures where containers can be booted."""
    if status := subprocess.run([PYTHON, "packaging/pages.py", "docs"], cwd=CHECKOUT).returncode:
        return status
    if reason := obstacle():
        print(f"NOT DONE: the pictures, because {reason}.")
        return 1
    subprocess.run([PYTHON, "-m", "tests.lab", "prepare", "sid"], cwd=CHECKOUT, check=True)
    return subprocess.run([PYTHON, "-m", "tests.pictures"], cwd=CHECKOUT).returncode


def demo() -> int:
    """The tour."""
    subprocess.run([PYTHON, "-m", "tests.lab", "prepare", "sid"], cwd=CHECKOUT, check=True)
    return subprocess.run([PYTHON, "-m", "tests.demo"], cwd=CHECKOUT).returncode


def bench() -> int:
    """The speed table."""
    subprocess.run([PYTHON, "-m", "tests.lab", "prepare", "bookworm"], cwd=CHECKOUT, check=True)
    found = [
        subprocess.run([PYTHON, "-m", name], cwd=CHECKOUT).returncode for name in ("tests.bench", "tests.bench.pull")
    ]
    return max(found)


def bench_gate() -> int:
    """What the gate adds, beside nginx."""
    return subprocess.run([PYTHON, "-m", "tests.bench.gate"], cwd=CHECKOUT).returncode


def bench_ansible() -> int:
    """The role beside a play by hand."""
    return subprocess.run([PYTHON, "-m", "tests.bench.ansible"], cwd=CHECKOUT).returncode


def soak() -> int:
    """All of what every `make test` runs a small share of; variables of the Makefile say how many."""
    subprocess.run([PYTHON, "-m", "tests.lab", "prepare"], cwd=CHECKOUT, check=True)
    return pytest("-n", "2", "--dist", "loadgroup", "tests/soak", "tests/system/test_killed.py")


def package() -> int:
    """The .deb of each suite in dist/."""
    return subprocess.run([PYTHON, "-m", "tests.lab", "deb"], cwd=CHECKOUT).returncode


def package_checked() -> int:
    """What Debian asks of a package, on both suites."""
    return pytest("tests/package")


def pytest(*arguments: str) -> int:
    """Debian's pytest with Debian's libraries: what users of the package run."""
    return subprocess.run([PYTHON, "-m", "pytest", "-q", *arguments], cwd=CHECKOUT).returncode


LINT_VENV = Artifact(
    name="linters",
    says="the linters from PyPI",
    recipe=" ".join(LINTERS),
    build=lambda directory: make_venv(directory, *LINTERS),
)

if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1]))
    except LabError as error:
        print(f"tests: {error}", file=sys.stderr)
        sys.exit(1)
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
