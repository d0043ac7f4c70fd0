"""What servers took of their cards when they were looked at last: more than an estimate knows."""

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ollamactl.gate.config import Behind

FILE = "vram.json"


class Measured:
    """One file in the gate's own folder; without a folder nothing is kept."""

    def __init__(self, folder: Path | None) -> None:
        self._path = folder / FILE if folder else None
        self._seen: dict[str, dict[str, Any]] = {}
        with suppress(OSError, ValueError):
            found = json.loads(self._path.read_bytes()) if self._path else {}
            self._seen = {name: row for name, row in found.items() if _sound(row)} if isinstance(found, dict) else {}

    def took(self, behind: Behind, models: int, size: int) -> None:
        """The most at once counts, as long as the server's settings and models are the same."""
        row = {"fingerprint": behind.fingerprint, "models": models, "bytes": size}
        old = self._seen.get(behind.name, {})
        if old.get("fingerprint") == behind.fingerprint and (old["models"], old["bytes"]) >= (models, size):
            return
        self._seen[behind.name] = row
        if self._path:
            new = self._path.with_name(f".{FILE}")
            with suppress(OSError):
                new.write_text(json.dumps(self._seen))
                os.replace(new, self._path)  # noqa: PTH105

    def needs(self, servers: Iterable[Behind], cards: Mapping[str, int]) -> Mapping[str, int]:
        """By name what a server needs on each card, as far as that is no longer an estimate."""
        found = {}
        for behind in servers:
            row = self._seen.get(behind.name, {})
            if not behind.loads or row.get("fingerprint") != behind.fingerprint:
                continue
            size, smallest = int(row["bytes"]), min((cards[card] for card in behind.cards if card in cards), default=0)
            if size > smallest:
                size = -(-size // max(len(behind.cards), 1))
            # Of fewer models than it may have at once, it tells only that they need no less.
            found[behind.name] = size if row["models"] >= behind.loads else max(size, behind.vram)
        return found


def _sound(row: Any) -> bool:
    return isinstance(row, dict) and isinstance(row.get("models"), int) and isinstance(row.get("bytes"), int)
