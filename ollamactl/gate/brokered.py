"""The broker from the gate's side: the service manager and the way to servers, for one who has no rights of its own."""

import asyncio
import errno
import socket
from collections import deque
from contextlib import suppress

from ollamactl.errors import HostError
from ollamactl.gate.config import BROKER
from ollamactl.gate.dialing import Address, connected

_LONGEST = 2048
_AHEAD = 32
"""Questions that may be on their way at once; their sum must fit into a socket's buffer."""
_SECONDS = 60.0
"""For an answer: the broker itself gives the manager 25 s, twice."""

Answer = tuple[str, socket.socket | None]
"""Words, and what came with them; as an object, so that it is closed where nobody takes it any more."""


class Line:
    """One connection, answered in order; made anew where it has ended, for systemd starts the broker again."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._sock: socket.socket | None = None
        self._asked: deque[asyncio.Future[Answer]] = deque()
        self._turns = asyncio.Semaphore(_AHEAD)
        self._connecting = asyncio.Lock()

    async def ask(self, question: str) -> Answer:
        """Raises HostError with its words, or OSError where it says which. What is lost on the way is asked anew."""
        async with self._turns:
            for last in (False, True):
                try:
                    async with asyncio.timeout(_SECONDS):
                        words, made = await self._put(question)
                    break
                except TimeoutError as error:
                    self.close()
                    raise HostError("ollamactl-broker.service does not answer") from error
                except ConnectionError as error:
                    self.close()
                    if last:
                        raise HostError(f"ollamactl-broker.service cannot be reached: {error}") from error
        verdict, _, rest = words.partition(" ")
        if verdict == "ok":
            return rest, made
        number, _, text = rest.partition(" ")
        if number.isdecimal() and int(number) != errno.EIO:
            raise OSError(int(number), text)
        raise HostError(text or words)

    async def _put(self, question: str) -> Answer:
        async with self._connecting:
            if self._sock is None:
                self._sock = await self._connected()
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        try:
            self._sock.send(question.encode()[:_LONGEST])
        except OSError as error:
            raise ConnectionError(str(error)) from error
        self._asked.append(answer)
        return await answer

    async def _connected(self) -> socket.socket:
        loop = asyncio.get_running_loop()
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            sock.setblocking(False)
            await loop.sock_connect(sock, self._place)
        except OSError as error:
            sock.close()
            raise ConnectionError(error.strerror or str(error)) from error
        except BaseException:
            sock.close()
            raise
        loop.add_reader(sock, self._read, sock)
        return sock

    def _read(self, sock: socket.socket) -> None:
        try:
            data, fds, _, _ = socket.recv_fds(sock, _LONGEST, 1)
        except BlockingIOError:
            return
        except OSError:
            data, fds = b"", []
        if not data:
            self.close()
            return
        made = socket.socket(fileno=fds[0]) if fds else None
        answer = self._asked.popleft() if self._asked else None
        if answer and not answer.done():
            answer.set_result((data.decode(errors="replace"), made))
        elif made:
            made.close()  # who asked has gone

    def close(self) -> None:
        """Ends it; questions that have no answer yet fail."""
        if self._sock:
            with suppress(RuntimeError):
                asyncio.get_running_loop().remove_reader(self._sock)
            self._sock.close()
            self._sock = None
        asked, self._asked = self._asked, deque()
        for answer in asked:
            if not answer.done():
                answer.set_exception(ConnectionResetError("it has ended the connection"))


class Broker:
    """Starts, stops and tells units (waking.Units), and leads to their servers."""

    def __init__(self, place: str = BROKER) -> None:
        self._manager = Line(place)
        self._dials = Line(place)
        """Of its own: no new connection to a server that is awake waits for systemd."""

    async def start(self, unit: str) -> None:
        """StartUnit."""
        await self._manage(f"start {unit}")

    async def stop(self, unit: str) -> None:
        """StopUnit."""
        await self._manage(f"stop {unit}")

    async def hopeless(self, unit: str) -> str:
        """Why the unit will not come up by itself; nothing while it may."""
        active, _, job = (await self._manage(f"state {unit}")).split()
        if active == "failed":
            return f"{unit} has failed; see journalctl -u {unit}"
        if active == "inactive" and job == "0":
            return f"{unit} was not started; see systemctl status {unit}"
        return ""

    async def active(self, unit: str) -> str:
        """systemd's word for how it is: active, activating, inactive, failed, ..."""
        return (await self._manage(f"state {unit}")).split()[0]

    async def note(self, unit: str, priority: int, event: str, text: str) -> None:
        """An entry of the journal, among the unit's own."""
        await self._manage(f"note {unit} {priority} {event} {text}")

    async def addresses(self) -> list[str]:
        """The host's own, which the gate does not see."""
        return (await self._manage("addresses")).split()

    async def _manage(self, question: str) -> str:
        try:
            words, _ = await self._manager.ask(question)
        except OSError as error:
            raise HostError(error.strerror or str(error)) from error
        return words

    def way(self, unit: str, address: Address) -> "Way":
        """To one server."""
        return Way(unit, address, self._manager, self._dials)

    def close(self) -> None:
        """Ends its connections; a child that goes on after fork(2) must do so before it asks for anything."""
        self._manager.close()
        self._dials.close()


class Way:
    """To a server in its own network (dialing.Dialer)."""

    def __init__(self, unit: str, address: Address, manager: Line, dials: Line) -> None:
        self.address = address
        self._unit = unit
        self._manager = manager
        self._dials = dials
        self._forgetting: asyncio.Task[None] | None = None

    async def dial(self) -> socket.socket:
        """By the dialer. The server may have been restarted, and have another network than the one that is known."""
        try:
            try:
                return await self._dial()
            except ConnectionRefusedError:
                await self._manager.ask(f"find {self._unit}")
                return await self._dial()
        except HostError as error:
            raise ConnectionRefusedError(str(error)) from error

    async def _dial(self) -> socket.socket:
        words, sock = await self._dials.ask(f"dial {self._unit}")
        if sock is None:
            raise HostError(f"ollamactl-broker.service gave no socket: {words}")
        sock.setblocking(False)
        return sock if words == "0" else await connected(sock, self.address)

    def forget(self) -> None:
        """By the dialer."""
        self._forgetting = asyncio.get_running_loop().create_task(self._forget())

    async def _forget(self) -> None:
        with suppress(OSError, HostError):
            await self._dials.ask(f"forget {self._unit}")
