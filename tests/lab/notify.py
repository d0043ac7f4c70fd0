"""Learn from systemd itself when a container is up: an event, so that nobody polls or sleeps (sd_notify(3))."""

from __future__ import annotations

import os
import selectors
import socket
import time
from pathlib import Path

from tests.lab.cache import LabError


class NotifySocket:
    """The socket behind NOTIFY_SOCKET; systemd-nspawn passes on what the container's PID 1 says."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.bind(self.path)

    def __enter__(self) -> NotifySocket:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        Path(self.path).unlink()

    def wait_ready(self, nspawn: int, timeout: float) -> int:
        """Wait for READY=1 and return the leader's pid; `nspawn` is the process that may die instead.

        Raises LabError when that process ends first or `timeout` seconds are over.
        """
        deadline = time.monotonic() + timeout
        leader = 0
        process = os.pidfd_open(nspawn)
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(self._socket, selectors.EVENT_READ)
                selector.register(process, selectors.EVENT_READ)
                while events := selector.select(deadline - time.monotonic()):
                    if not any(key.fileobj is self._socket for key, _ in events):
                        raise LabError("systemd-nspawn ended during the boot")
                    for line in self._socket.recv(65536).decode(errors="replace").splitlines():
                        key, _, value = line.partition("=")
                        if key == "X_NSPAWN_LEADER_PID":
                            leader = int(value)
                        elif (key, value) == ("READY", "1") and leader:
                            return leader
        finally:
            os.close(process)
        raise LabError(f"it has not booted within {timeout:.0f} s")
