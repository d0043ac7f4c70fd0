"""The server that pulls: brought up in a unit of its own, asked through Ollama's API, gone when the block ends."""

import http.client
import os
import select
import socket
import subprocess
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import Any, Protocol

from ollamactl.errors import HostError
from ollamactl.host import journal, listeners
from ollamactl.model import Pull
from ollamactl.observed import UP, Active, UnitState
from ollamactl.protocols import Job, JobDone
from ollamactl.pulling import door, layout, unit
from ollamactl.pulling.door import Door, StrangersError
from ollamactl.pulling.identity import Key
from ollamactl.pulling.moment import Moment, Phase, PullError, read, stalled
from ollamactl.pulling.offer import Offer, offered
from ollamactl.pulling.staging import Staging

_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
_OFFER_SECONDS = 30.0
_ANSWER_SECONDS = 5.0
_PAUSE = 0.01
_TRIES = 3
"""Of starts, where somebody is quicker than we are."""
_SETTLE_SECONDS = 2.0
"""How long Ollama may take to write down how far it came, once its client has gone (downloadChunk)."""


class Manager(Protocol):
    """What is asked of systemd.Manager."""

    user: bool

    def names(self, patterns: Sequence[str]) -> tuple[UnitState, ...]:
        """Loaded units whose names match."""

    def units(self, patterns: Sequence[str]) -> tuple[UnitState, ...]:
        """The same, with their main processes."""

    def run(self, jobs: Sequence[Job], *, timeout: float) -> Iterator[JobDone]:
        """Queues jobs and tells the end of each."""


class Server:
    """The API of the server that pulls."""

    def __init__(self, way: Door, staging: Staging, uid: int, said: int) -> None:
        self.uid = uid
        self._door, self._staging, self._said = way, staging, said

    @property
    def closed(self) -> bool:
        """Whether nobody else can speak to it."""
        return self._door.closed

    def offers(self) -> Mapping[str, Offer]:
        """What registries have, of those models that they told of in time; nothing is fetched for that."""
        until, data = time.monotonic() + _OFFER_SECONDS, b""
        while not (b"\n" + data).endswith(b"\n\n") and (left := until - time.monotonic()) > 0:
            if select.select([self._said], [], [], left)[0]:
                data += os.read(self._said, 1 << 16)
        return {offer.model: offer for line in data.splitlines() if (offer := offered(line))}

    def pull(self, model: str, *, insecure: bool, patience: float) -> Generator[Moment, None, None]:
        """Pulls a model and tells each moment; ends with DONE.

        Raises PullError where it fails, and where no byte has come for `patience` seconds.
        """
        return self._stream(model, "/api/pull", {"model": model, "insecure": insecure}, patience)

    def create(self, model: str, body: Mapping[str, Any]) -> Generator[Moment, None, None]:
        """Makes a model, likewise; that may take as long as it does."""
        return self._stream(model, "/api/create", body, None)

    def _stream(
        self, model: str, path: str, body: Mapping[str, Any], patience: float | None
    ) -> Generator[Moment, None, None]:
        import json

        connection = _Connection(self._door, patience)
        moved, far, last = time.monotonic(), -1, ""
        try:
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            plug = connection.sock
            for line in connection.getresponse():
                moment = read(model, line, "made" if patience is None else "pulled")
                yield moment
                if moment.phase is Phase.DONE:
                    return
                waits = moment.phase in (Phase.ASKING, Phase.PULLING)
                if (moment.digest, moment.completed) != (last, far):
                    moved, last, far = time.monotonic(), moment.digest, moment.completed
                if patience and waits and time.monotonic() - moved > patience:
                    raise stalled(model, patience)
                # Digests of tens of gigabytes take minutes, in which the server says nothing
                plug.settimeout(patience if waits else None)
        except TimeoutError:
            raise stalled(model, patience or 0) from None
        except (OSError, http.client.HTTPException) as error:
            raise PullError(f"{model}: the server that pulls has gone: {error}", hint=_LOG) from error
        finally:
            before = self._staging.written_down()
            connection.close()
            self._settle(before)
        raise PullError(f"{model}: the server that pulls broke off", hint=_LOG)

    def _settle(self, before: frozenset[tuple[str, int]]) -> None:
        """Where its client has gone, Ollama writes down how far each part has come; that is waited for."""
        until = time.monotonic() + _SETTLE_SECONDS
        while before and self._staging.written_down() == before and time.monotonic() < until:
            time.sleep(_PAUSE)


class _Connection(http.client.HTTPConnection):
    """HTTP through the door."""

    def __init__(self, way: Door, timeout: float | None) -> None:
        super().__init__("localhost", timeout=timeout)
        self._door, self._patience = way, timeout

    def connect(self) -> None:
        """Makes the connection. Raises OSError."""
        self.sock = self._door.connect(self._patience)

    def close(self) -> None:
        """Ends it, once nothing more gets through in its name."""
        self._door.shut()
        super().close()


_LOG = "its log: journalctl -u ollamactl-pull"


@contextmanager
def running(
    manager: Manager,
    binary: str,
    settings: Pull,
    staging: Staging,
    blobs: str,
    folder: str,
    key: Key,
    asked: Sequence[tuple[str, str]] = (),
) -> Iterator[Server]:
    """The server while the block runs; `folder` is made for its pipes and its variables, and removed.

    `asked` are the models of which registries are asked what they have (`Server.offers`), with their manifests' URLs.

    `key` is what registries know it by, where the settings want one to stay; it is made where there is none.

    It ends with this process, too, whatever ends that. Raises HostError where it does not come up.
    """
    user, places = manager.user, unit.Places(folder=folder)
    python = layout.python(user=user)
    command = unit.command(places, binary, user=user, key=settings.identity, python=python, asked=asked)
    with ExitStack() as held:
        for _ in range(_TRIES):
            _stop(manager)  # one whose ollamactl was killed takes its last seconds
            there = _free()
            variables = layout.variables(places, settings, staging, there, user=user)
            said = held.enter_context(layout.laid_out(places, staging, blobs, binary, variables))
            if settings.identity:
                key.lend(places.home)
            held.callback(_stop, manager)
            _start(command)
            try:
                way = held.enter_context(closing(_way(manager, *there)))
            except StrangersError:
                held.close()
                continue
            _wait(manager, way)
            if settings.identity:
                key.keep(places.home)
            yield Server(way, staging, os.stat(f"/proc/{_pid(manager)}").st_uid, said)  # noqa: PTH116
            return
    raise HostError("somebody connects to each server that pulls before we can", hint="see who: ss -tnp state all")


def _free() -> tuple[str, int]:
    """An address and a port for the server."""
    with socket.socket() as free:
        free.bind((door.random_address(), 0))
        address, port = free.getsockname()
        return str(address), int(port)


def _way(manager: Manager, address: str, port: int) -> Door:
    """The way to the server, closed to all others as soon as it listens. Raises HostError, and StrangersError."""
    for _ in _patience(manager):
        if any((each.address, each.port) == (address, port) for each in listeners.read()):
            try:
                return door.closed(_pid(manager), address, port)
            except OSError as error:
                if manager.user:
                    return Door(address, port)
                raise HostError(
                    f"the server that pulls cannot be closed to other users of this machine: {error.strerror or error}",
                    hint="that needs Linux 5.6, and a kernel.yama.ptrace_scope below 3",
                ) from error
    raise AssertionError  # patience ends in an error


def _start(command: list[str]) -> None:
    # Signals of the terminal are for ollamactl alone
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, start_new_session=True
    )
    if done.returncode:
        words = " ".join(done.stderr.split()) or f"systemd-run ended with {done.returncode}"
        raise HostError(f"the server that pulls does not start: {words}", hint=_LOG)


def _wait(manager: Manager, way: Door) -> None:
    """Until it answers. Raises HostError."""
    for _ in _patience(manager):
        with suppress(OSError, http.client.HTTPException), closing(_Connection(way, _ANSWER_SECONDS)) as connection:
            connection.request("GET", "/")
            connection.getresponse().read()
            return


def _patience(manager: Manager) -> Iterator[None]:
    """Time after time, as long as the server may need to come up. Raises HostError where it has ended, or is late."""
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until:
        yield
        if _state(manager) not in UP:
            last = journal.tail(unit.UNIT, lines=3, user=manager.user)
            raise HostError(f"the server that pulls has ended: {' | '.join(last) or 'it left no word'}", hint=_LOG)
        time.sleep(_PAUSE)
    raise HostError(f"the server that pulls did not answer within {_START_SECONDS:.0f} s", hint=_LOG)


def _pid(manager: Manager) -> int:
    """Of the server, whose user systemd may have made for it."""
    return next((state.main_pid for state in manager.units([unit.UNIT])), 0)


def _state(manager: Manager) -> Active:
    return next((state.active for state in manager.names([unit.UNIT])), Active.INACTIVE)


def _stop(manager: Manager) -> None:
    """Ends the unit where it is; what it does with the disk is over then."""
    if _state(manager) is not Active.INACTIVE:
        for _ in manager.run([Job("StopUnit", unit.UNIT)], timeout=_STOP_SECONDS):
            pass
