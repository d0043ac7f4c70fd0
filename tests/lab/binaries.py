"""The programs under test as layers: each artifact is a small tree that an overlay puts on top of a root."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from tests.lab.cache import Artifact
from tests.lab.host import call, go_command

CHECKOUT = Path(__file__).resolve().parents[2]
STANDIN_SOURCE = CHECKOUT / "tests" / "standin"

OLLAMA_SOURCE = "v0.34.0"
OLLAMA_VERSION = "0.34.0"
OLLAMA_NEXT_VERSION = "0.34.1"
"""The same source under another version number: what an upgrade looks like from outside."""

REGISTRY_SOURCE = "github.com/distribution/distribution/v3/cmd/registry@v3.0.0"

OLLAMA = "/usr/local/bin/ollama"
OLLAMA_NEXT = f"/usr/local/lib/ollamactl-test/ollama-{OLLAMA_NEXT_VERSION}"
STANDIN = "/usr/local/bin/ollama-standin"
SOURCE_IN_CONTAINER = "/opt/ollamactl-src"
PYCACHE_IN_CONTAINER = "/var/cache/ollamactl-pycache"

SHIM = f"""#!/bin/sh
# -P keeps the working directory off sys.path; the checkout is read-only, so compiled modules go elsewhere.
export PYTHONPATH={SOURCE_IN_CONTAINER} PYTHONPYCACHEPREFIX={PYCACHE_IN_CONTAINER}
exec /usr/bin/python3 -P -m ollamactl "$@"
"""


def _ollama(name: str, version: str, place: str) -> Artifact:
    flags = f"-s -w -X=github.com/ollama/ollama/version.Version={version}"  # -s -w: a third smaller, faster to copy

    def build(directory: Path) -> None:
        target = directory / place.lstrip("/")
        target.parent.mkdir(parents=True)
        bin_directory = directory / "gobin"
        module = f"github.com/ollama/ollama@{OLLAMA_SOURCE}"
        # cgo is what Ollama needs; the host's own module and build caches make a second build take seconds.
        call(
            [go_command(), "install", "-trimpath", f"-ldflags={flags}", module],
            env={"GOBIN": str(bin_directory), "CGO_ENABLED": "1"},
        )
        (bin_directory / "ollama").rename(target)
        bin_directory.rmdir()

    says = f"go install ollama {OLLAMA_SOURCE} as {version}"
    return Artifact(name=name, says=says, recipe=repr((OLLAMA_SOURCE, flags, place)), build=build)


def ollama() -> Artifact:
    """The real Ollama at /usr/local/bin/ollama."""
    return _ollama("ollama", OLLAMA_VERSION, OLLAMA)


def ollama_next() -> Artifact:
    """The real Ollama of a later version, where no PATH finds it: a test copies it over the first."""
    return _ollama("ollama-next", OLLAMA_NEXT_VERSION, OLLAMA_NEXT)


def standin() -> Artifact:
    """The stand-in server at /usr/local/bin/ollama-standin."""
    sources = sorted(path for path in STANDIN_SOURCE.iterdir() if path.suffix in {".go", ".mod"})

    def build(directory: Path) -> None:
        target = directory / STANDIN.lstrip("/")
        target.parent.mkdir(parents=True)
        call(
            [go_command(), "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", str(target), "."],
            env={"CGO_ENABLED": "0", "GOWORK": "off"},
            cwd=STANDIN_SOURCE,
        )

    recipe = "".join(f"{path.name}\n{path.read_text()}" for path in sources)
    return Artifact(name="standin", says="go build the stand-in server", recipe=recipe, build=build)


def registry() -> Artifact:
    """The registry of the Distribution project at /usr/local/bin/registry: a layer of its own, for who pulls."""

    def build(directory: Path) -> None:
        target = directory / "usr/local/bin"
        target.mkdir(parents=True)
        flags = ["-trimpath", "-ldflags=-s -w"]
        call([go_command(), "install", *flags, REGISTRY_SOURCE], env={"GOBIN": str(target), "CGO_ENABLED": "0"})

    return Artifact(name="registry", says=f"go install {REGISTRY_SOURCE}", recipe=REGISTRY_SOURCE, build=build)


def shim() -> Artifact:
    """The command `ollamactl`, which runs the checkout that is bound into the container."""

    def build(directory: Path) -> None:
        command = directory / "usr/local/bin/ollamactl"
        command.parent.mkdir(parents=True)
        command.write_text(SHIM)
        command.chmod(0o755)
        for mount_point in (SOURCE_IN_CONTAINER, PYCACHE_IN_CONTAINER):
            (directory / mount_point.lstrip("/")).mkdir(parents=True)

    return Artifact(name="shim", says="write the ollamactl command", recipe=SHIM, build=build)


BINARIES: tuple[Callable[[], Artifact], ...] = (shim, standin, ollama_next, ollama)


def layers() -> list[Path]:
    """The layers that every container has, uppermost first, built where missing."""
    return [artifact().ensure() for artifact in BINARIES]


def copy_tree(source: Path, target: Path) -> None:
    """Copy a tree with owners, modes and times, as shutil cannot."""
    target.parent.mkdir(parents=True, exist_ok=True)
    call([shutil.which("cp") or "/bin/cp", "-a", "--reflink=auto", str(source), str(target)])
