"""The service manager by its private socket, for one who starts and stops a few units, and must be there at once.

pystemd, by which everybody else speaks to it (host.systemd), takes 60 ms and 6 MB to load, and keeps the interpreter to
itself while the manager does not answer.
"""

import os
import socket
import struct
from typing import NamedTuple

from ollamactl.errors import HostError
from ollamactl.host import dbuswire, managererrors
from ollamactl.host.dbuswire import Value, object_path

SOCKET = "/run/systemd/private"
_SECONDS = 25.0
"""For an answer, as sd_bus_set_method_call_timeout(3)."""
_SYSTEMD = "org.freedesktop.systemd1"
_MANAGER = f"{_SYSTEMD}.Manager"
_ROOT = "/org/freedesktop/systemd1"


class Now(NamedTuple):
    """A unit at one moment."""

    active: str
    """systemd's word."""
    main_pid: int
    job: bool
    """One is queued or running for it."""


class PrivateBus:
    """One connection, made anew where the manager has ended it (systemctl daemon-reexec). For one thread at a time.

    All raise HostError or NotPermitted.
    """

    def __init__(self, place: str = SOCKET) -> None:
        """Connects at the first question."""
        self._place = place
        self._socket: socket.socket | None = None
        self._serial = 0

    def start(self, unit: str) -> None:
        """StartUnit; failures are forgotten first, since start limits count starts that were asked for, too."""
        try:
            self._ask(_ROOT, _MANAGER, "ResetFailedUnit", unit)
        except HostError as error:
            # A unit that was never loaded has nothing to forget.
            if "not loaded" not in str(error) and "NoSuchUnit" not in str(error):
                raise
        self._ask(_ROOT, _MANAGER, "StartUnit", unit, "replace")

    def stop(self, unit: str) -> None:
        """StopUnit."""
        self._ask(_ROOT, _MANAGER, "StopUnit", unit, "replace")

    def now(self, unit: str) -> Now:
        """How the unit is."""
        path = object_path(unit)
        return Now(
            active=str(self._property(path, "Unit", "ActiveState")),
            main_pid=int(self._property(path, "Service", "MainPID")),
            job=bool(self._property(path, "Unit", "Job")),
        )

    def main_pid(self, unit: str) -> int:
        """Its main process, 0 for none."""
        return int(self._property(object_path(unit), "Service", "MainPID"))

    def unit_of(self, pid: int) -> str:
        """The object path of the unit that a process belongs to."""
        return str(self._ask(_ROOT, _MANAGER, "GetUnitByPID", pid))

    def close(self) -> None:
        """Ends the connection."""
        if self._socket:
            self._socket.close()
            self._socket = None

    def _property(self, path: str, interface: str, name: str) -> Value:
        found = self._ask(path, "org.freedesktop.DBus.Properties", "Get", f"{_SYSTEMD}.{interface}", name)
        if found is None:
            raise HostError(f"systemd: {name}: no value that is known")
        return found

    def _ask(self, path: str, interface: str, member: str, *arguments: Value) -> Value | None:
        """Twice, where the connection has ended: whatever is asked here may be asked again."""
        for last in (False, True):
            try:
                reply = self._answer(path, interface, member, arguments)
            except TimeoutError as error:
                self.close()
                raise managererrors.silent(_SECONDS) from error
            except (OSError, ValueError, struct.error) as error:
                self.close()
                if last:
                    raise managererrors.unreachable(str(error).lower()) from error
            else:
                break
        if reply.kind == dbuswire.ERROR:
            what = " ".join([member, *(each for each in arguments if isinstance(each, str))])
            raise managererrors.translated(what, 0, reply.error, str(reply.value or ""))
        return reply.value

    def _answer(self, path: str, interface: str, member: str, arguments: tuple[Value, ...]) -> dbuswire.Reply:
        if self._socket is None:
            self._socket = self._connected()
        self._serial += 1
        self._socket.sendall(dbuswire.call(self._serial, path, interface, member, *arguments))
        while True:
            start = self._exactly(self._socket, 16)
            reply = dbuswire.read(start + self._exactly(self._socket, dbuswire.length(start) - len(start)))
            if reply.serial == self._serial and reply.kind in (dbuswire.RETURN, dbuswire.ERROR):
                return reply

    def _connected(self) -> socket.socket:
        """Who we are the kernel tells (the D-Bus Specification, "Authentication Protocol").

        All in one piece, as libsystemd does: what systemd gets in one with BEGIN, but after it, it looks at only when
        still more comes.
        """
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(_SECONDS)
            sock.connect(self._place)
            who = str(os.geteuid()).encode().hex().encode()
            sock.sendall(b"\0AUTH EXTERNAL %s\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n" % who)
            for word in (b"OK", b"AGREE_UNIX_FD"):
                line = b""
                while not line.endswith(b"\r\n"):
                    line += self._exactly(sock, 1)
                if not line.startswith(word):
                    raise ConnectionRefusedError(line.decode(errors="replace").strip())
        except BaseException:
            sock.close()
            raise
        return sock

    @staticmethod
    def _exactly(sock: socket.socket, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = sock.recv(size - len(data))
            if not more:
                raise ConnectionResetError("systemd has ended the connection")
            data += more
        return data
