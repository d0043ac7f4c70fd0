"""ollamactl-broker.service: does for the gate what takes root, and nothing else, so that who reads HTTP has no rights.

It starts and stops the units of the gate's configuration, tells how they are, and hands over connections to their
servers, made within the servers' own networks. A request is a packet of words (unix(7), SOCK_SEQPACKET), and so is
its answer:

    start UNIT                        ok
    stop UNIT                         ok
    state UNIT                        ok ACTIVE MAINPID JOB    JOB is 1 or 0
    find UNIT                         ok                       its network is known from now on
    dial UNIT                         ok ERRNO, and a socket   0: it is connected, EINPROGRESS: it is on the way
    forget UNIT                       ok                       its network is let go
    note UNIT PRIORITY EVENT TEXT     ok
    addresses                         ok ADDRESS...            the host's own

or `no ERRNO TEXT`. Who has a second connection for `dial` waits there for no question to systemd.
"""

import errno
import os
import select
import socket
import struct
import sys
from _thread import allocate_lock, start_new_thread
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from ollamactl.errors import HostError, NotPermitted, OllamactlError
from ollamactl.gate import descriptors, told
from ollamactl.gate.config import Behind
from ollamactl.host import addresses, journalwriter, netns
from ollamactl.host.dbuswire import object_path
from ollamactl.host.privatebus import PrivateBus
from ollamactl.model import GATE_SERVICE, LOOPBACK

LONGEST = 2048
"""Bytes of a packet."""
_SYSTEMD = Path("/proc/1")
_LINGERS_SECONDS = 2.0
"""Without a connection; systemd starts it again for the next."""


class Refused(Exception):
    """What comes back instead of an answer."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(text)
        self.number = number


class Networks:
    """The namespaces of servers that are awake, by unit."""

    def __init__(self, home: int) -> None:
        """`home` is a process in the network where the ports of all are."""
        self._home = home
        self._lock = allocate_lock()
        self._known: dict[str, netns.Namespace] = {}

    def find(self, server: Behind, pid: int) -> None:
        """By the server's main process. Raises Refused where it has none of its own."""
        if not pid:
            raise Refused(errno.ECONNREFUSED, f"{server.unit} does not run")
        there = netns.Namespace(pid)
        # A process that systemd has just made is still where systemd is: there is the port that the gate itself has
        try:
            outside = there.is_of(self._home)
        except BaseException:
            there.close()
            raise
        if outside:
            there.close()
            raise Refused(errno.ECONNREFUSED, f"{server.unit} has no network of its own, or not yet")
        with self._lock:
            before, self._known[server.unit] = self._known.get(server.unit), there
        if before:
            before.close()

    def dial(self, server: Behind) -> tuple[int, socket.socket]:
        """A socket that is connected, or on the way. Raises Refused."""
        with self._lock:
            there = self._known.get(server.unit)
            if there is None:
                raise Refused(errno.ECONNREFUSED, f"the network of {server.unit} is not known")
            sock = there.socket(socket.AF_INET)
        sock.setblocking(False)
        number = sock.connect_ex((LOOPBACK, server.port))
        if number in (0, errno.EINPROGRESS):
            return number, sock
        sock.close()
        if number == errno.ECONNREFUSED:
            self.forget(server)
        raise Refused(number, os.strerror(number).lower())

    def forget(self, server: Behind) -> None:
        """Lets go of it: an empty network namespace would live as long as this process."""
        with self._lock:
            there = self._known.pop(server.unit, None)
            if there:
                there.close()


class Broker:
    """Answers the gate."""

    def __init__(self, servers: Callable[[], Mapping[str, Behind]], bus: PrivateBus, *, home: int = 1) -> None:
        """`servers` reads the gate's configuration: by unit who may be spoken of. `home` is systemd itself."""
        self._servers = servers
        self._bus = bus
        self._asking = allocate_lock()
        self._networks = Networks(home)

    def serve(self, peer: socket.socket) -> None:
        """One connection, until its end."""
        try:
            pid = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
            with self._asking:
                unit = self._bus.unit_of(pid)
            if unit != object_path(GATE_SERVICE):
                return _say(f"process {pid} is none of {GATE_SERVICE}, and gets no answer")
            servers = self._servers()
            while packet := peer.recv(LONGEST):
                self._answer(peer, packet, servers)
        except (HostError, NotPermitted) as error:
            _say(str(error))
        except OSError:
            pass  # it has gone
        finally:
            peer.close()

    def _answer(self, peer: socket.socket, packet: bytes, servers: Mapping[str, Behind]) -> None:
        verb, unit, rest = (*packet.decode(errors="replace").split(" ", 2), "", "")[:3]
        held: socket.socket | None = None
        try:
            if verb == "addresses":
                words = " ".join(addresses.own(_SYSTEMD))
            elif server := servers.get(unit):
                words, held = self._done(verb, server, rest)
            else:
                raise Refused(errno.EPERM, f"{unit} is none of the gate's servers")
            answer = f"ok {words}".rstrip()
        except Refused as error:
            answer = f"no {error.number} {error}"
        except netns.Gone as error:
            answer = f"no {errno.ECONNREFUSED} {error}"
        except OllamactlError as error:
            answer = f"no {errno.EIO} {error}"
        _send(peer, answer, held)

    def _done(self, verb: str, server: Behind, rest: str) -> tuple[str, socket.socket | None]:
        if verb == "dial":
            number, sock = self._networks.dial(server)
            return str(number), sock
        if verb == "forget":
            self._networks.forget(server)
        elif verb == "note":
            _note(server, rest)
        elif verb in ("start", "stop", "state", "find"):
            return self._asked(verb, server), None
        else:
            raise Refused(errno.EINVAL, "no such request")
        return "", None

    def _asked(self, verb: str, server: Behind) -> str:
        """What the manager is asked for."""
        with self._asking:
            if verb == "start":
                self._bus.start(server.unit)
            elif verb == "stop":
                self._bus.stop(server.unit)
            elif verb == "state":
                now = self._bus.now(server.unit)
                return f"{now.active} {now.main_pid} {int(now.job)}"
            else:
                self._networks.find(server, self._bus.main_pid(server.unit))
        return ""


def _send(peer: socket.socket, answer: str, held: socket.socket | None) -> None:
    try:
        socket.send_fds(peer, [answer.encode()[:LONGEST]], [held.fileno()] if held else [])
    finally:
        if held:
            held.close()


def _note(server: Behind, text: str) -> None:
    """To the journal, among the unit's own: only root may speak of another's (systemd.journal-fields(7))."""
    priority, event, words = (*text.split(" ", 2), "", "")[:3]
    if priority not in "34567" or not priority or not event.replace("-", "").isalnum():
        raise Refused(errno.EINVAL, "no priority, or no event")
    message = "".join(each if each.isprintable() else " " for each in words)
    fields = {"INSTANCE": server.name, "UNIT": server.unit, "EVENT": event, "OBJECT_SYSTEMD_UNIT": server.unit}
    journalwriter.write(f"{server.name}: {message}", priority=int(priority), fields=fields)


def main() -> int:
    """`ollamactl broker`; returns the exit status where nobody has been connected for a while."""
    passed = next(iter(descriptors.passed().values()), None)
    if not passed:
        _say("no socket was passed: ollamactl-broker.socket starts it")
        return 78
    listener, broker = passed[0], Broker(told.servers, PrivateBus())
    listening = select.poll()
    listening.register(listener, select.POLLIN)
    peers: set[socket.socket] = set()

    def talk(peer: socket.socket) -> None:
        try:
            broker.serve(peer)
        finally:
            peers.discard(peer)

    while listening.poll(_LINGERS_SECONDS * 1000) or peers:
        with suppress(BlockingIOError):
            peer, _ = listener.accept()
            peer.setblocking(True)
            peers.add(peer)
            start_new_thread(talk, (peer,))
    return 0


def _say(words: str) -> None:
    print(f"ollamactl-broker: {words}", file=sys.stderr)  # noqa: T201
