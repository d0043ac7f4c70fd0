"""What servers said, written down, and the locks by which a gate tells the next one for whom it still works."""

import fcntl
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from ollamactl.gate.record import Records


class Memory:
    """One folder of the gate's own (StateDirectory=); without one nothing is kept."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._held: list[int] = []

    def read(self, name: str, records: Records) -> None:
        """What was written down of a server, as far as it still holds."""
        if self._folder:
            with suppress(OSError):
                records.load((self._folder / f"{name}.json").read_bytes())

    def write(self, name: str, records: Records) -> None:
        """Writes it down anew where something has changed; a full disk costs a start at most."""
        if not self._folder or not records.changed:
            return
        records.changed = False
        place, new = self._folder / f"{name}.json", self._folder / f".{name}.json"
        with suppress(OSError):
            new.write_bytes(records.dump())
            new.rename(place)

    def hold(self, names: Iterable[str]) -> None:
        """Says until this process ends that it works for these servers (flock(2))."""
        for name in names:
            if (fd := self._lock(name)) is not None:
                fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
                self._held.append(fd)

    def held(self, name: str) -> bool:
        """Whether another process says so."""
        fd = self._lock(name)
        if fd is None:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    def _lock(self, name: str) -> int | None:
        if not self._folder:
            return None
        try:
            return os.open(self._folder / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return None
