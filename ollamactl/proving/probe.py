"""Asking a server who it is and what it has, over HTTP; the only importer of HTTP clients.

The short questions use the standard library: importing httpx costs more than a whole apply with nothing to do may
take (250 ms against 36 ms, Debian 12). A load, which may take minutes and needs a time-out for connecting but none
for the answer, uses httpx.
"""

import http.client
import json
import math
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ollamactl.errors import OllamactlError
from ollamactl.host import netns
from ollamactl.model import dial_address
from ollamactl.quantity import format_duration

if TYPE_CHECKING:
    import httpx

_MAX_ANSWER = 16 << 20
"""Bytes read of an answer at most: a process that squats on the port may send anything."""

_MAX_WORDS = 300
_CONNECT_SECONDS = 5.0


class Unreachable(OllamactlError):
    """Nobody accepts connections at the address."""


class Silent(OllamactlError):
    """Somebody accepts connections, but no HTTP answer came in time."""


class Strange(OllamactlError):
    """Somebody answers, but not as Ollama does; `status` is that of HTTP, 0 where there was none."""

    def __init__(self, message: str, *, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One model as /api/tags lists it; `digest` is the SHA-256 of its manifest in hex, `size` is in bytes."""

    name: str
    digest: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """One model as /api/ps lists it; sizes in bytes: size_vram 0 is CPU, == size is GPU, in between a partial spill."""

    name: str
    size: int
    size_vram: int


class _Socket(socket.socket):
    """Every wait on it ends at one moment; socket's own time-out starts anew with each byte that somebody drips."""

    until = math.inf
    """A time.monotonic()."""

    def recv_into(self, *arguments: Any) -> int:
        """As socket's; http.client reads by this alone."""
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.settimeout(left)
        return super().recv_into(*arguments)


class _Connection(http.client.HTTPConnection):
    sock: _Socket | None
    inside: int | None = None

    def connect(self) -> None:
        """Within the connection's time-out, and without a word of HTTP yet."""
        with netns.entered(self.inside):
            plain = socket.create_connection((self.host, self.port), self.timeout)
        self.sock = _Socket(plain.family, plain.type, plain.proto, fileno=plain.detach())
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class Server:
    """One server's API on one kept connection; every method raises Unreachable, Silent or Strange.

    With `inside` also NotPermitted.
    """

    def __init__(self, host: str, port: int, *, timeout: float, inside: int | None = None) -> None:
        """`timeout` in seconds is for connecting, and for each answer from its first byte to its last.

        `inside` is a process whose network namespace the address is one of.
        """
        self.address = dial_address(host)
        self.port = port
        self._timeout = timeout
        self._connection = _Connection(self.address, port, timeout=timeout)
        self._connection.inside = inside

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def version(self) -> str:
        """The running server's version (GET /api/version touches neither scheduler nor store)."""
        version = _member(self._get("/api/version"), "version")
        if not isinstance(version, str):
            raise Strange("GET /api/version does not answer as Ollama does")
        return _plain(version)

    def tags(self) -> tuple[Listed, ...]:
        """The models that the server lists, in its order."""
        return tuple(
            Listed(name=_plain(row["name"]), digest=_plain(row.get("digest", "")), size=_number(row, "size"))
            for row in _rows(self._get("/api/tags"))
        )

    def loaded(self) -> tuple[Loaded, ...]:
        """The models that are loaded; empty during a whole cold load."""
        return tuple(
            Loaded(name=_plain(row["name"]), size=_number(row, "size"), size_vram=_number(row, "size_vram"))
            for row in _rows(self._get("/api/ps"))
        )

    def slots(self) -> int:
        """How many requests a runner (not a server) has at work: GET /slots of llama-server."""
        rows = self._get("/slots")
        if not isinstance(rows, list) or not all(isinstance(row, dict) and "is_processing" in row for row in rows):
            raise Strange("GET /slots does not answer as llama-server does")
        return sum(row["is_processing"] is True for row in rows)

    def token(self) -> None:
        """Has a runner generate one token: unlike /api/generate that renews no keep_alive and reloads nothing."""
        self._post("/completion", {"prompt": "x", "n_predict": 1})

    def embedding(self) -> None:
        """Has a runner of an embedding model embed one."""
        self._post("/embedding", {"content": "x"})

    def _get(self, path: str) -> Any:
        return self._ask("GET", path)

    def _post(self, path: str, question: dict[str, Any]) -> Any:
        return self._ask("POST", path, json.dumps(question).encode())

    def _ask(self, method: str, path: str, question: bytes | None = None) -> Any:
        connected = self._connection.sock is not None
        try:
            self._connection.request(method, path, question, {"Content-Type": "application/json"} if question else {})
            connected = True
            if self._connection.sock:
                self._connection.sock.until = time.monotonic() + self._timeout
            response = self._connection.getresponse()
            body = self._read(response)
        except netns.Gone as error:
            raise Unreachable(str(error)) from error
        except ConnectionRefusedError as error:
            raise Unreachable("connection refused") from error
        except TimeoutError as error:
            within = f"within {format_duration(round(self._timeout, 0 if self._timeout >= 1 else 1))}"
            if not connected:
                raise Unreachable(f"no connection {within}") from error
            raise Silent(f"no HTTP answer {within}") from error
        except ConnectionError as error:
            raise Strange("the connection is closed without an answer") from error
        except (http.client.HTTPException, ValueError) as error:
            raise Strange(f"an answer that is no HTTP: {_plain(error)}") from error
        except OSError as error:
            raise Unreachable(str(error)) from error
        if response.status != http.client.OK:
            words = f"{method} {path} answers {response.status} {_plain(response.reason)}".rstrip()
            raise Strange(words, status=response.status)
        try:
            return json.loads(body)
        except (ValueError, RecursionError) as error:
            raise Strange(f"{method} {path} does not answer JSON") from error

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        """The body; an answer that goes on and on is cut off by its size."""
        body = bytearray()
        while len(body) < _MAX_ANSWER and (part := response.read1(1 << 16)):
            body += part
        response.close()  # frees the connection for the next question
        return bytes(body)


def load(host: str, port: int, model: str, *, timeout: float = math.inf, inside: int | None = None) -> None:
    """Has the server load a model and waits for it: closing the connection at `timeout` (seconds) aborts the load.

    Embedding models answer 400 to generate (server/routes.go), so they are asked for an embedding.
    Raises Unreachable, Silent, or Strange with the server's own words; with `inside` as Server does.
    """
    import httpx

    address = dial_address(host)
    base = f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"
    timeout = max(0.05, timeout)
    limits = httpx.Timeout(None if math.isinf(timeout) else timeout, connect=min(timeout, _CONNECT_SECONDS))
    late = Silent(f"{model} was not loaded within {format_duration(max(1, round(min(timeout, 1e9))))}")
    end = _End(timeout)
    try:
        with netns.entered(inside), end, httpx.Client(base_url=base, timeout=limits, trust_env=False) as client:
            status, body = _post(client, end, "/api/generate", {"model": model, "stream": False})
            if status == httpx.codes.BAD_REQUEST:
                status, body = _post(client, end, "/api/embed", {"model": model, "input": ""})
    except (httpx.ConnectError, httpx.ConnectTimeout, netns.Gone) as error:
        raise Unreachable(str(error)) from error
    except httpx.TimeoutException as error:
        raise late from error
    except httpx.HTTPError as error:
        raise late if end.come else Strange(f"the server closed the connection while loading {model}") from error
    if end.come:
        raise late
    if status >= httpx.codes.BAD_REQUEST:
        try:
            words = _member(json.loads(body), "error")
        except (ValueError, RecursionError):
            words = ""
        raise Strange(f"loading {model} failed: {_plain(words or body.decode(errors='replace') or status)}")


class _End:
    """Shuts a client's connections at a moment: its own time-outs start anew with each byte that comes."""

    def __init__(self, seconds: float) -> None:
        self.come = False
        self._sockets: list[socket.socket] = []
        self._timer = threading.Timer(min(seconds, threading.TIMEOUT_MAX), self._shut)
        self._timer.daemon = True

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def watch(self, event: str, details: dict[str, Any]) -> None:
        """httpcore's `trace` extension, the way to a client's sockets."""
        if event == "connection.connect_tcp.complete":
            self._sockets.append(details["return_value"].get_extra_info("socket"))

    def _shut(self) -> None:
        self.come = True
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


def _post(client: "httpx.Client", end: _End, path: str, question: dict[str, Any]) -> tuple[int, bytes]:
    """Status and body, as much of it as an answer may have."""
    plain = {"Accept-Encoding": "identity"}
    with client.stream("POST", path, json=question, headers=plain, extensions={"trace": end.watch}) as answer:
        body = bytearray()
        for part in answer.iter_raw():
            body += part
            if len(body) > _MAX_ANSWER:
                break
        return answer.status_code, bytes(body)


def _member(answer: Any, name: str) -> Any:
    return answer.get(name) if isinstance(answer, dict) else None


def _plain(words: object) -> str:
    """A stranger's words, fit for a terminal and short enough for a line."""
    text = "".join(letter if letter.isprintable() else " " for letter in str(words)[:_MAX_WORDS])
    return text.strip()


def _number(row: dict[str, Any], name: str) -> int:
    value = row.get(name, 0)
    if not isinstance(value, int):
        raise Strange("the list of models is not of Ollama's kind")
    return value


def _rows(answer: Any) -> list[dict[str, Any]]:
    rows = _member(answer, "models")
    if rows is None and isinstance(answer, dict):
        rows = []
    if not isinstance(rows, list) or not all(isinstance(row, dict) and "name" in row for row in rows):
        raise Strange("the list of models is not of Ollama's kind")
    return rows
