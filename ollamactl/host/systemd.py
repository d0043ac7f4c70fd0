"""The service manager, over one D-Bus connection; the only importer of pystemd.

Raw calls on one connection are used throughout: pystemd's `Unit.load()` introspects every object, which costs 5 ms a
unit. The interface is org.freedesktop.systemd1(5).
"""

import os
import re
import select
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ollamactl.errors import HostError, NotPermitted
from ollamactl.host import jobs as queue
from ollamactl.host import managererrors, usermanager
from ollamactl.model import instance_name
from ollamactl.observed import Active, UnitState
from ollamactl.protocols import Job, JobDone

_NAME = b"org.freedesktop.systemd1"
_ROOT = b"/org/freedesktop/systemd1"
_MANAGER = b"org.freedesktop.systemd1.Manager"
_UNIT = b"org.freedesktop.systemd1.Unit"
_SERVICE = b"org.freedesktop.systemd1.Service"
_PROPERTIES = b"org.freedesktop.DBus.Properties"

_GREETING_SECONDS = 25.0
"""As long as the library lets a call take (sd_bus_set_method_call_timeout(3))."""
_SELECT_SECONDS = 1.0
"""One wait at most: an empty answer may only mean that the library did work of its own, with more in its queue."""


class Manager:
    """The system's service manager, or the user's own."""

    def __init__(self, *, user: bool = False) -> None:
        """Connects; raises HostError where no manager answers."""
        from pystemd import dbusexc, dbuslib

        self.user = user
        self._error: type[Exception] = dbusexc.DBusBaseError
        self._append = dbuslib.apply_signature
        self._encode = dbuslib.path_encode
        self._bus = self._open(dbuslib)
        self._subscribed = False

    def _open(self, dbuslib: Any) -> Any:
        """The manager's private socket where we may use it, as systemctl does: it needs no bus daemon."""
        runtime = usermanager.runtime() if self.user else "/run"
        private = f"{runtime}/systemd/private"
        self._private = os.access(private, os.W_OK)
        if self._private:
            bus = dbuslib.DBusAddress(f"unix:path={private}".encode(), peer_to_peer=True)
        elif self.user:
            bus = dbuslib.DBusAddress(f"unix:path={runtime}/bus".encode())
        else:
            bus = dbuslib.DBus()
        try:
            bus.open()
        except self._error as error:
            if self.user:
                raise usermanager.unreachable(runtime, _reason(error)) from error
            raise managererrors.unreachable(_reason(error)) from error
        # The answer to the greeting: the library would wait for it by itself, and for 90 s.
        if not select.select([bus.get_fd()], [], [], _GREETING_SECONDS)[0]:
            raise managererrors.silent(_GREETING_SECONDS)
        return bus

    def close(self) -> None:
        """Ends the connection."""
        self._bus.close()

    def _call(
        self, method: str, signature: str = "", *arguments: Any, path: bytes = _ROOT, on: bytes = _MANAGER
    ) -> Any:
        try:
            args = self._append(signature.encode(), list(arguments)) if signature else []
            return self._bus.call_method(_NAME, path, on, method.encode(), args).body
        except self._error as error:
            raise self._translated(method, arguments, error) from error

    def _translated(self, method: str, arguments: tuple[Any, ...], error: Exception) -> HostError | NotPermitted:
        name, message = (_text(getattr(error, each, "")) for each in ("err_name", "err_message"))
        what = " ".join([method, *(argument for argument in arguments if isinstance(argument, str))])
        number = getattr(error, "errno", None) or 0
        return managererrors.translated(what, number, name, message or _reason(error))

    def _property(self, name: str, signature: str, path: str | bytes = _ROOT, on: bytes = _MANAGER) -> Any:
        at = path.encode() if isinstance(path, str) else path
        try:
            return self._bus.get_property(_NAME, at, on, name.encode(), signature.encode())
        except self._error as error:
            raise self._translated(f"Get {name}", (), error) from error

    def version(self) -> int:
        """The running manager's major version, such as 252."""
        text = _text(self._property("Version", "s"))
        number = re.search(r"\d+", text)
        return int(number[0]) if number else 0

    def units(self, patterns: Sequence[str], *, restarts: bool = True) -> tuple[UnitState, ...]:
        """Loaded units whose names match (ListUnitsByPatterns), with what apply must know of each.

        `restarts` asks for NRestarts too: a property costs as much for each unit as the list of a few.
        """
        states = []
        for state in self.names(patterns):
            service = state.name.endswith(".service")
            stale = self._property("NeedDaemonReload", "b", state.path, _UNIT)
            states.append(
                replace(
                    state,
                    main_pid=self._property("MainPID", "u", state.path, _SERVICE) if service else 0,
                    restarts=self._property("NRestarts", "u", state.path, _SERVICE) if service and restarts else 0,
                    need_reload=stale,
                    requires=self._requires(state.path) if stale else None,
                )
            )
        return tuple(states)

    def names(self, patterns: Sequence[str]) -> tuple[UnitState, ...]:
        """The same without what each unit must be asked for."""
        states = []
        for row in self._call("ListUnitsByPatterns", "asas", [], list(patterns)) or []:
            name, _, load, active, sub, _, path, *_ = (_text(cell) for cell in row)
            states.append(UnitState(name=name, load_state=load, active=Active(active), sub_state=sub, path=path))
        return tuple(states)

    def unit_files(self, patterns: Sequence[str]) -> Mapping[str, str]:
        """Unit files on disk whose names match, path -> `enabled`, `masked`, ... (ListUnitFilesByPatterns)."""
        rows = self._call("ListUnitFilesByPatterns", "asas", [], list(patterns)) or []
        return {_text(path): _text(state) for path, state in rows}

    def details(self, path: str, names: dict[str, tuple[str, str]]) -> dict[str, Any]:
        """Further properties of one unit: `{name: (interface's last word, signature)}`, bytes decoded."""
        return {
            name: _text(self._property(name, signature, path, f"{_NAME.decode()}.{interface}".encode()))
            for name, (interface, signature) in names.items()
        }

    def drop_ins(self, path: str) -> tuple[str, ...]:
        """The drop-ins that a loaded unit was read from, by its object path, in systemd's order."""
        return tuple(_text(self._property("DropInPaths", "as", path, _UNIT)) or ())

    def _requires(self, path: str) -> tuple[str, ...]:
        names = _text(self._property("Requires", "as", path, _UNIT)) or ()
        return tuple(name for name in names if instance_name(name))

    def wants(self, path: str) -> tuple[str, ...]:
        """The units that a loaded unit pulls in (Wants)."""
        return tuple(_text(self._property("Wants", "as", path, _UNIT)) or ())

    def environment(self, path: str) -> dict[str, str]:
        """The variables that a loaded service is set to give its process, but for files (Environment)."""
        words = _text(self._property("Environment", "as", path, _SERVICE)) or ()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def unit_path(self) -> tuple[str, ...]:
        """The folders in which the manager looks for units, the first wins (UnitPath)."""
        return tuple(_text(self._property("UnitPath", "as")) or ())

    def enable(self, units: Sequence[str]) -> None:
        """Makes the links that [Install] asks for (EnableUnitFiles, not runtime, no force)."""
        self._call("EnableUnitFiles", "asbb", list(units), False, False)

    def disable(self, units: Sequence[str]) -> None:
        """Removes those links (DisableUnitFiles)."""
        self._call("DisableUnitFiles", "asb", list(units), False)

    def reload(self) -> None:
        """Reads every unit file again (Reload)."""
        self._call("Reload")

    def reset_failed(self, unit: str) -> None:
        """Forgets failures, so that the start limit does not count starts that were asked for (ResetFailedUnit)."""
        try:
            self._call("ResetFailedUnit", "s", unit)
        except HostError as error:
            # A unit that was never loaded has nothing to forget.
            if "not loaded" not in str(error) and "NoSuchUnit" not in str(error):
                raise

    def run(self, jobs: Iterable[Job], *, timeout: float) -> Iterator[JobDone]:
        """Queues the jobs and tells the end of each (jobs.run)."""
        self.subscribe()
        yield from queue.run(self, jobs, timeout=timeout)

    def ask(self, job: Job) -> str:
        """Queues a job in the place of another one of its unit; returns its object path."""
        return str(_text(self._call(job.method, "ss", job.unit, "replace")))

    def jobs(self) -> Mapping[str, str]:
        """The object paths of the jobs that (re)start a unit and have not ended, by unit (ListJobs)."""
        rows = _text(self._call("ListJobs")) or []
        return {unit: path for _, unit, kind, _, path, _ in rows if kind != "stop"}

    def ended(self, seconds: float) -> Iterator[tuple[str, str]]:
        """Object paths and results of jobs that have ended (JobRemoved), after waiting at most so long."""
        for message in self._messages(seconds):
            if message.is_signal(_MANAGER, b"JobRemoved"):
                message.process_reply(False)
                _, path, _, result = _text(message.body)
                yield path, result

    def subscribe(self) -> None:
        """Asks for signals (Subscribe), once; on a bus, also the bus itself (AddMatch)."""
        if self._subscribed:
            return
        if not self._private:
            rule = "type='signal',sender='org.freedesktop.systemd1'"
            self._bus.call_method(
                b"org.freedesktop.DBus",
                b"/org/freedesktop/DBus",
                b"org.freedesktop.DBus",
                b"AddMatch",
                self._append(b"s", [rule]),
            )
        self._call("Subscribe")
        self._subscribed = True

    def changed(self, seconds: float, wake: int) -> Iterator[str]:
        """Object paths whose properties changed (PropertiesChanged), after waiting at most so long.

        Ends the wait, too, when the file descriptor `wake` becomes readable.
        """
        self.subscribe()
        for message in self._messages(seconds, wake):
            if message.is_signal(_PROPERTIES, b"PropertiesChanged"):
                message.process_reply(True)
                yield _text(message.headers["Path"])

    def object_path(self, unit: str) -> str:
        """The unit's D-Bus object path (sd_bus_path_encode(3))."""
        return str(_text(self._encode(_ROOT + b"/unit", unit.encode())))

    def _messages(self, seconds: float, wake: int | None = None) -> Iterator[Any]:
        """Messages that are there, waiting for the first at most so long.

        Waits in select(), which lets other threads run; sd_bus_wait() through pystemd would hold the interpreter.
        """
        message = self._bus.process()
        if message.is_empty():
            sources = [self._bus.get_fd()] + ([wake] if wake is not None else [])
            ready, _, _ = select.select(sources, [], [], max(0.0, min(seconds, _SELECT_SECONDS)))
            if wake in ready:
                os.read(wake or 0, 8)
            message = self._bus.process()
        while not message.is_empty():
            yield message
            message = self._bus.process()


def _reason(error: Exception) -> str:
    """The system's word for it: pystemd's own are for who writes programs."""
    number = abs(getattr(error, "errno", None) or 0)
    return os.strerror(number).lower() if number else str(error).partition("\n")[0]


def _text(value: Any) -> Any:
    """Strings come from pystemd as bytes; everything else as it is."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, list | tuple):
        return [_text(item) for item in value]
    return value
