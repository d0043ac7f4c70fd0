"""A server on loopback that says what a test wants, byte for byte or as Ollama does."""

import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ollamactl.model import Instance

Talk = Callable[[socket.socket], None]
"""What a server does with one connection."""


def instance(port: int, *, host: str = "127.0.0.1") -> Instance:
    return Instance(name="x", port=port, host=host, models=("m:latest",))


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody has now."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as one:
        one.bind((host, 0))
        return int(one.getsockname()[1])


@contextmanager
def talking(talk: Talk, *, host: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """Listens, and does the same with every connection; gives the port."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(16)
        ended = threading.Event()

        def serve(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                talk(connection)
                ended.wait(5) if talk is hang else None

        def accept() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield int(listener.getsockname()[1])
        ended.set()
        listener.shutdown(socket.SHUT_RDWR)


def take_request(connection: socket.socket) -> bytes:
    """Reads all of it: closing with something unread would reset the connection. Gives its first line."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: ([0-9]+)", head)
    while length and len(body) < int(length[1]):
        body += connection.recv(65536)
    return head.partition(b"\r\n")[0]


def hang(connection: socket.socket) -> None:
    """Takes the request, and never answers."""
    take_request(connection)


def saying(*parts: bytes) -> Talk:
    """Takes the request, answers these bytes and closes."""

    def talk(connection: socket.socket) -> None:
        take_request(connection)
        for part in parts:
            connection.sendall(part)

    return talk


def http(body: bytes, status: str = "200 OK", length: int | None = None) -> Talk:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body) if length is None else length}\r\n\r\n"
    return saying(head.encode(), body)


@dataclass
class Ollama:
    """As much of a well-behaved server as a proof asks for."""

    version: str = "0.34.0"
    models: dict[str, str] = field(default_factory=lambda: {"m:latest": "a" * 64})
    loaded: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Model -> size and size_vram."""
    room: int = 9
    """How many models it holds at a time."""
    embeds: frozenset[str] = frozenset()
    load_error: str = ""
    load_gate: threading.Event = field(default_factory=threading.Event)
    """A load takes until this is set."""
    asked: list[str] = field(default_factory=list)

    def answer(self, path: str, asked: dict[str, Any]) -> tuple[int, object]:
        self.asked.append(f"{path} {asked.get('model', '')}".rstrip())
        match path:
            case "/api/version":
                return 200, {"version": self.version}
            case "/api/tags":
                return 200, {"models": [{"name": n, "digest": d, "size": 1000} for n, d in self.models.items()]}
            case "/api/ps":
                rows = [{"name": n, "size": size, "size_vram": vram} for n, (size, vram) in self.loaded.items()]
                return 200, {"models": rows}
            case "/api/generate" if asked["model"] in self.embeds:
                return 400, {"error": f"{asked['model']!r} does not support generate"}
            case "/api/generate" | "/api/embed":
                self.load_gate.wait(5)
                if self.load_error:
                    return 500, {"error": self.load_error}
                self.loaded = dict([*self.loaded.items(), (asked["model"], (1000, 0))][-self.room :])
                return 200, {"done_reason": "load"}
        return 404, {"error": "not found"}


@contextmanager
def ollama(behaviour: Ollama, *, port: int = 0, bound_for: float = 0) -> Iterator[int]:
    """Serves it; gives the port, which is bound for so many seconds before HTTP is answered."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._reply({})

        def do_POST(self) -> None:
            self._reply(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _reply(self, asked: dict[str, Any]) -> None:
            status, answer = behaviour.answer(self.path, asked)
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True

    def serve() -> None:
        time.sleep(bound_for)
        server.serve_forever(poll_interval=0.01)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield server.server_port
    finally:
        behaviour.load_gate.set()
        server.shutdown()
        server.server_close()
