"""Asking a server who it is and what it has, over HTTP; the only importer of HTTP clients.

The short questions use the standard library: importing httpx costs more than a whole apply with nothing to do may
take (250 ms against 36 ms, Debian 12). A load, which may take minutes and needs a time-out for connecting but none
for the answer, uses httpx.
"""

import http.client
import json
from dataclasses import dataclass
from typing import Any

from ollamactl.errors import OllamactlError

_MAX_ANSWER = 16 << 20
"""Bytes read of an answer at most: a process that squats on the port may send anything."""


class Unreachable(OllamactlError):
    """Nobody accepts connections at the address."""


class Silent(OllamactlError):
    """Somebody accepts connections, but no HTTP answer came in time."""


class Strange(OllamactlError):
    """Somebody answers, but not as Ollama does."""


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


def dial_address(host: str) -> str:
    """The address at which this host reaches a server bound to `host`: loopback for a wildcard."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compares, binds nothing


class Server:
    """One server's API on one kept connection; every method raises Unreachable, Silent or Strange."""

    def __init__(self, host: str, port: int, *, timeout: float) -> None:
        """`timeout` in seconds is for connecting and for each answer."""
        self.address = dial_address(host)
        self.port = port
        self._connection = http.client.HTTPConnection(self.address, port, timeout=timeout)

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def version(self) -> str:
        """The running server's version (GET /api/version touches neither scheduler nor store)."""
        version = _member(self._get("/api/version"), "version")
        if not isinstance(version, str):
            raise Strange("/api/version does not answer as Ollama does")
        return version

    def tags(self) -> tuple[Listed, ...]:
        """The models that the server lists, in its order."""
        return tuple(
            Listed(name=str(row["name"]), digest=str(row.get("digest", "")), size=int(row.get("size", 0)))
            for row in _rows(self._get("/api/tags"))
        )

    def loaded(self) -> tuple[Loaded, ...]:
        """The models that are loaded; empty during a whole cold load."""
        return tuple(
            Loaded(name=str(row["name"]), size=int(row.get("size", 0)), size_vram=int(row.get("size_vram", 0)))
            for row in _rows(self._get("/api/ps"))
        )

    def _get(self, path: str) -> Any:
        try:
            self._connection.request("GET", path)
            response = self._connection.getresponse()
            body = response.read(_MAX_ANSWER)
        except ConnectionRefusedError as error:
            self._connection.close()
            raise Unreachable("connection refused") from error
        except TimeoutError as error:
            self._connection.close()
            raise Silent(f"no HTTP answer within {self._connection.timeout:g} s") from error
        except (ConnectionError, http.client.HTTPException, ValueError) as error:
            self._connection.close()
            raise Strange(f"no HTTP server of Ollama's kind: {error or type(error).__name__}") from error
        except OSError as error:
            self._connection.close()
            raise Unreachable(str(error)) from error
        if response.status != http.client.OK:
            raise Strange(f"GET {path} answers {response.status} {response.reason}")
        try:
            return json.loads(body)
        except ValueError as error:
            raise Strange(f"GET {path} does not answer JSON") from error


def load(host: str, port: int, model: str, *, connect_timeout: float = 5.0) -> None:
    """Has the server load a model and waits as long as that takes: closing the connection would abort the load.

    Embedding models answer 400 to generate (server/routes.go), so they are asked for an embedding.
    Raises Unreachable, or Strange with the server's own words.
    """
    import httpx

    address = dial_address(host)
    base = f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"
    timeout = httpx.Timeout(None, connect=connect_timeout)
    try:
        with httpx.Client(base_url=base, timeout=timeout, trust_env=False) as client:
            answer = client.post("/api/generate", json={"model": model, "stream": False})
            if answer.status_code == httpx.codes.BAD_REQUEST:
                answer = client.post("/api/embed", json={"model": model, "input": ""})
    except httpx.ConnectError as error:
        raise Unreachable(str(error)) from error
    except httpx.HTTPError as error:
        raise Strange(f"the server closed the connection while loading: {error}") from error
    if answer.is_error:
        try:
            words = _member(answer.json(), "error")
        except ValueError:
            words = answer.text[:200]
        raise Strange(f"loading {model} failed: {words}")


def _member(answer: Any, name: str) -> Any:
    return answer.get(name) if isinstance(answer, dict) else None


def _rows(answer: Any) -> list[dict[str, Any]]:
    rows = _member(answer, "models")
    if rows is None and isinstance(answer, dict):
        rows = []
    if not isinstance(rows, list) or not all(isinstance(row, dict) and "name" in row for row in rows):
        raise Strange("the list of models is not of Ollama's kind")
    return rows
