"""Reads how large a store's models become in memory: the head of each one's file, and no more of it."""

import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from ollamactl import gguf, manifest
from ollamactl.facts import Manifest, Shape


def shapes(models_dir: Path, manifests: Iterable[Manifest]) -> Mapping[str, Shape]:
    """By the manifest's digest; what cannot be read, or is no GGUF, is left out."""
    found = {}
    for each in manifests:
        weights = manifest.weights(each.data)
        head = _head(models_dir / "blobs" / weights.replace(":", "-")) if weights else b""
        if shape := gguf.shape(head):
            found[each.digest] = shape
    return found


def _head(path: Path) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return b""
    try:
        return os.read(fd, gguf.HEAD) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
    except OSError:
        return b""
    finally:
        os.close(fd)
