"""Build everything that the containers need, side by side where nothing waits for anything else."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.lab import binaries, deb, models
from tests.lab.cache import Artifact
from tests.lab.host import ensure_tools
from tests.lab.roots import SUITES, root, settings

BIG_MODEL = "big-model"
"""Not part of a plain `prepare`: half a gigabyte that only a few tests need."""
PACKAGE = "package"
"""What the Debian package is built in."""
TARGETS = (*SUITES, BIG_MODEL, PACKAGE)


def prepare(targets: Sequence[str] = SUITES) -> None:
    """Make the cache complete for these targets (of TARGETS); near-instant when it is already.

    The models need sid's root and Ollama: they are made there, whatever the targets are.
    """
    ensure_tools()
    others = [_root(target) for target in targets if target in SUITES and target != models.SUITE]
    if PACKAGE in targets:
        others.append([deb.root(deb.SUITES[0])])
    with ThreadPoolExecutor() as pool:
        # Ollama first: it takes longest, and compiles on all cores.  Its second version then only links.
        for_the_models = [
            pool.submit(_ensure_all, artifacts)
            for artifacts in (
                [binaries.ollama(), binaries.ollama_next()],
                _root(models.SUITE),
                [binaries.shim(), binaries.standin(), models.ggufs(), binaries.registry()],
            )
        ]
        meanwhile = [pool.submit(_ensure_all, artifacts) for artifacts in others]
        for job in for_the_models:
            job.result()
        models.store_layer()
        for job in meanwhile:
            job.result()
    if BIG_MODEL in targets:
        models.big_store_layer()


def _root(suite: str) -> list[Artifact]:
    return [root(suite), settings(suite)]


def _ensure_all(artifacts: Sequence[Artifact]) -> None:
    for artifact in artifacts:
        artifact.ensure()
