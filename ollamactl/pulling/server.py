"""The server that pulls: brought up in a unit of its own, asked through Ollama's API, gone when the block ends."""

# ruff: noqa: PTH102, PTH211
import http.client
import os
import random
import select
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from ollamactl.errors import HostError
from ollamactl.host import atomic, journal
from ollamactl.host.oserrors import translate
from ollamactl.model import Pull
from ollamactl.observed import UP, Active, UnitState
from ollamactl.protocols import Job, JobDone
from ollamactl.pulling import asking, unit
from ollamactl.pulling.identity import Key
from ollamactl.pulling.moment import Moment, Phase, PullError, read, stalled
from ollamactl.pulling.offer import Offer, offered
from ollamactl.pulling.staging import Staging
from ollamactl.units.unitfile import quote_env_file

_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
_OFFER_SECONDS = 30.0
_PAUSE = 0.01
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

    def __init__(self, address: str, port: int, staging: Staging, uid: int, said: int) -> None:
        self.address, self.port, self.uid = address, port, uid
        self._staging, self._said = staging, said

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

        connection = http.client.HTTPConnection(self.address, self.port, timeout=patience)
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
    _stop(manager)  # one whose ollamactl was killed takes its last seconds
    address, port = _address()
    life, said = _lay_out(places, staging, blobs, binary, _variables(places, settings, staging, address, port, user))
    try:
        if settings.identity:
            key.lend(places.home)
        python = _python(user=user)
        _start(unit.command(places, binary, user=user, key=settings.identity, python=python, asked=asked))
        _wait(manager, address, port)
        if settings.identity:
            key.keep(places.home)
        yield Server(address, port, staging, _user(manager), said)
    finally:
        _stop(manager)
        os.close(life)
        os.close(said)
        with suppress(OSError):
            shutil.rmtree(folder)


def _address() -> tuple[str, int]:
    """An address of loopback's that no server of a fleet can reach (only 127.0.0.1 is open to them), and a port."""
    address = f"127.{random.randint(64, 254)}.{random.randint(0, 255)}.{random.randint(1, 254)}"  # noqa: S311
    with socket.socket() as free:
        free.bind((address, 0))
        return address, int(free.getsockname()[1])


def _variables(
    places: unit.Places, settings: Pull, staging: Staging, address: str, port: int, user: bool
) -> Mapping[str, str]:
    return {
        "HOME": unit.home(places, user=user, key=settings.identity),
        **dict(settings.environment),
        **dict(settings.secrets),
        "OLLAMA_HOST": f"{address}:{port}",
        "OLLAMA_MODELS": staging.path if user else unit.MODELS,
        # What is unfinished shall stay for the next time
        "OLLAMA_NOPRUNE": "1",
        "OLLAMA_NO_CLOUD": "1",
        "GIN_MODE": "release",
        # It looks for no cards
        "CUDA_VISIBLE_DEVICES": "-1",
        "ROCR_VISIBLE_DEVICES": "-1",
        "OLLAMA_VULKAN": "0",
    }


def _python(*, user: bool) -> str:
    """A Python that the unit sees; empty where there is none."""
    found = (os.path.realpath(sys.executable), "/usr/bin/python3")
    return next((path for path in found if os.access(path, os.X_OK) and (user or not unit.hidden(path))), "")


def _lay_out(
    places: unit.Places, staging: Staging, blobs: str, binary: str, variables: Mapping[str, str]
) -> tuple[int, int]:
    """The folder; returns the pipe that keeps the unit alive, and the one by which it answers."""
    try:
        atomic.make_folders(os.path.dirname(places.folder))  # noqa: PTH120
        with suppress(FileNotFoundError):
            shutil.rmtree(places.folder)
        os.mkdir(places.folder, 0o700)
        for link, target in (
            (places.models, staging.path),
            (places.blobs, blobs),
            (places.program, binary),
            (places.libraries, unit.libraries(binary)),
        ):
            os.symlink(target, link)
        os.mkdir(places.temporary, 0o700)
        text = "".join(f"{quote_env_file(name, value)}\n" for name, value in variables.items())
        program = Path(asking.__file__).read_bytes()
        atomic.write([
            atomic.Write(places.environment, text.encode(), 0o600), atomic.Write(places.asking, program, 0o644),
        ])  # fmt: skip
        for pipe in (places.life, places.said):
            os.mkfifo(pipe, 0o600)
        return os.open(places.life, os.O_RDWR | os.O_CLOEXEC), os.open(places.said, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise translate(error, "lay out a pull", places.folder) from error


def _start(command: list[str]) -> None:
    # Signals of the terminal are for ollamactl alone
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, start_new_session=True
    )
    if done.returncode:
        words = " ".join(done.stderr.split()) or f"systemd-run ended with {done.returncode}"
        raise HostError(f"the server that pulls does not start: {words}", hint=_LOG)


def _wait(manager: Manager, address: str, port: int) -> None:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until:
        with suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection(address, port, timeout=5)
            connection.request("GET", "/")
            connection.getresponse().read()
            connection.close()
            return
        if _state(manager) not in UP:
            last = journal.tail(unit.UNIT, lines=3, user=manager.user)
            raise HostError(f"the server that pulls has ended: {' | '.join(last) or 'it left no word'}", hint=_LOG)
        time.sleep(_PAUSE)
    raise HostError(f"the server that pulls did not answer within {_START_SECONDS:.0f} s", hint=_LOG)


def _user(manager: Manager) -> int:
    """The user that the server runs as, which systemd may have made for it."""
    (state,) = manager.units([unit.UNIT])
    return os.stat(f"/proc/{state.main_pid}").st_uid  # noqa: PTH116


def _state(manager: Manager) -> Active:
    return next((state.active for state in manager.names([unit.UNIT])), Active.INACTIVE)


def _stop(manager: Manager) -> None:
    """Ends the unit where it is; what it does with the disk is over then."""
    if _state(manager) is not Active.INACTIVE:
        for _ in manager.run([Job("StopUnit", unit.UNIT)], timeout=_STOP_SECONDS):
            pass
