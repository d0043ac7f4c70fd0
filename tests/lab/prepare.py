"""Build everything that the containers need, side by side where nothing waits for anything else."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.lab import binaries, models
from tests.lab.host import ensure_tools
from tests.lab.roots import SUITES, root

BIG_MODEL = "big-model"
"""Not part of a plain `prepare`: half a gigabyte that only a few tests need."""
TARGETS = (*SUITES, BIG_MODEL)


def prepare(targets: Sequence[str] = SUITES) -> None:
    """Make the cache complete for these targets (of TARGETS); near-instant when it is already.

    The models need sid's root and Ollama: they are made there, whatever the targets are.
    """
    ensure_tools()
    suites = [target for target in targets if target in SUITES]
    with ThreadPoolExecutor() as pool:
        # Ollama first: it takes longest, and compiles on all cores.  Its second version then only links.
        jobs = [
            pool.submit(lambda: [binaries.ollama().ensure(), binaries.ollama_next().ensure()]),
            *(pool.submit(root(suite).ensure) for suite in dict.fromkeys([*suites, models.SUITE])),
            pool.submit(models.ggufs().ensure),
            pool.submit(lambda: [binaries.shim().ensure(), binaries.standin().ensure()]),
        ]
        for job in jobs:
            job.result()
    models.store_layer()
    if BIG_MODEL in targets:
        models.big_store_layer()
