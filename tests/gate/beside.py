"""Sends the same bytes through the gate and through nginx, before servers that write down what reaches them."""

import asyncio
import socket
import subprocess
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import h11

from ollamactl.gate.backend import Pool
from ollamactl.gate.clock import Clock
from ollamactl.gate.decide import Listener
from ollamactl.gate.dialing import Direct
from ollamactl.gate.gate import Door
from ollamactl.gate.limits import Limits
from tests.lab import web

QUIET = 3.0
"""Seconds without a byte after which nothing more comes; all cases run at once."""
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
PLAIN = {b"host", b"connection", b"content-length", b"transfer-encoding"}
NGINX = """
daemon off; master_process off; worker_processes 1; pid pid; error_log error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_body_temp_path 1; proxy_temp_path 2; fastcgi_temp_path 3; uwsgi_temp_path 4; scgi_temp_path 5;
  proxy_http_version 1.1; proxy_buffering off; proxy_request_buffering off; proxy_set_header Connection "";
{}
}}
"""
SERVER = "  server {{ listen unix:{0}/n{1}; location / {{ proxy_pass http://unix:{0}/s{1}:; }} }}"


@dataclass(frozen=True, kw_only=True)
class Case:
    """Bytes of a client, and those that the server answers each request with."""

    send: bytes
    answer: bytes = ANSWER

    @property
    def methods(self) -> list[bytes]:
        return [b"HEAD" if self.send.startswith(b"HEAD") else b"GET"]


class Recorder:
    """A server that writes down each request as h11 understands it, and answers as the case says, then closes if that
    names no length."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self._requests: list[str] = []
        self._whole: list[bool] = []

    @property
    def seen(self) -> list[str]:
        """Each request, and whether it came to its end."""
        return [
            text if whole else f"{text} BROKEN OFF" for text, whole in zip(self._requests, self._whole, strict=True)
        ]

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.CancelledError):
            await self._serve(reader, writer)
        writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=2**20)
        at = -1
        while True:
            try:
                event = connection.next_event()
            except h11.RemoteProtocolError:
                if at < 0:
                    self._requests.append("nonsense")
                    self._whole.append(True)
                return
            if event is h11.NEED_DATA:
                connection.receive_data(await reader.read(65536))
            elif isinstance(event, h11.Request):
                at = len(self._requests)
                odd = sorted(f"{n.decode()}: {v.decode('latin-1')}" for n, v in event.headers if n not in PLAIN)
                target = event.target.decode() + (f" {{{', '.join(odd)}}}" if odd else "")
                self._requests.append(f"{event.method.decode()} {target}")
                self._whole.append(False)
            elif isinstance(event, h11.Data) and event.data:
                arrow = "" if " <- " in self._requests[at] else " <- "
                self._requests[at] += arrow + bytes(event.data).decode("latin-1")[:60]
            elif isinstance(event, h11.EndOfMessage):
                self._whole[at] = True
                writer.write(self.case.answer)
                await writer.drain()
                if b"\r\nContent-Length:" not in self.case.answer or connection.their_state is h11.MUST_CLOSE:
                    return
                connection.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
                connection.send(h11.EndOfMessage())
                connection.start_next_cycle()
                at = -1
            else:
                return


async def ask(place: str, case: Case) -> str:
    """What a client gets: the answers, and whether the connection is closed, reset or open at the end."""
    reader, writer = await asyncio.open_unix_connection(place)
    writer.write(case.send)
    data, end = b"", "open"
    try:
        while True:
            async with asyncio.timeout(QUIET):
                piece = await reader.read(65536)
            if not piece:
                end = "closed"
                break
            data += piece
    except TimeoutError:
        pass
    except ConnectionError:
        end = "closed"
    writer.close()
    return " ".join([*answers(data, case, closed=end == "closed"), end])


def answers(data: bytes, case: Case, *, closed: bool) -> Iterable[str]:
    """Each answer in the data as h11 understands it: its status, and its content where it is 200."""
    while data:
        connection = h11.Connection(h11.CLIENT)
        connection.send(h11.Request(method=case.methods[0], target="/", headers=[("Host", "a")]))
        connection.send(h11.EndOfMessage())
        connection.receive_data(data)
        if closed:
            connection.receive_data(b"")
        status, content = 0, ""
        try:
            while not isinstance(event := connection.next_event(), h11.EndOfMessage):
                if event is h11.NEED_DATA:
                    yield f"{status or ''} UNFINISHED".strip()
                    return
                if isinstance(event, h11.InformationalResponse):
                    yield str(event.status_code)
                elif isinstance(event, h11.Response):
                    status = event.status_code
                elif isinstance(event, h11.Data):
                    content += bytes(event.data).decode("latin-1")
        except h11.RemoteProtocolError:
            yield f"{status or ''} BROKEN OFF".strip()
            return
        yield f"{status} {content}".strip() if status == 200 else str(status)
        data = connection.trailing_data[0]


async def through_both(cases: Sequence[Case], scratch: Path) -> list[tuple[list[str], list[str]]]:
    """For each case what the client got and the server saw, by the gate and by nginx."""
    clock = Clock(asyncio.get_running_loop(), 1.0)
    recorders = [(Recorder(case), Recorder(case)) for case in cases]
    servers = []
    for number, (by_gate, by_nginx) in enumerate(recorders):
        server = await asyncio.start_server(by_gate, "127.0.0.1", 0)
        servers += [server, await asyncio.start_unix_server(by_nginx, scratch / f"s{number}")]
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(str(scratch / f"g{number}"))
        await Door(Pool(Direct(server.sockets[0].getsockname()), clock, Limits()), clock, Listener()).open(sock)
    async with nginx(len(cases), scratch):
        got = await asyncio.gather(
            *(ask(f"{scratch}/{by}{number}", case) for number, case in enumerate(cases) for by in "gn")
        )
    for server in servers:
        server.close()
    return [
        ([gate, *one.seen], [other, *two.seen])
        for (one, two), gate, other in zip(recorders, got[::2], got[1::2], strict=True)
    ]


@asynccontextmanager
async def nginx(count: int, scratch: Path) -> AsyncIterator[None]:
    """One nginx with a server for each case."""
    config = scratch / "nginx.conf"
    config.write_text(NGINX.format("\n".join(SERVER.format(scratch, number) for number in range(count))))
    process = subprocess.Popen([web.nginx(), "-p", str(scratch), "-c", str(config)], stderr=subprocess.PIPE)
    try:
        while not (scratch / "pid").exists():
            assert process.poll() is None, process.communicate()
            await asyncio.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.communicate()
