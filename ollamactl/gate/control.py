"""What the gate tells of itself, on a unix socket of its own: GET /state as JSON, GET /metrics for Prometheus."""

import asyncio
import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from ollamactl.gate import counts
from ollamactl.gate.server import Server

_SECONDS = 10.0
_MODE = 0o666
"""Who is on this machine may know: it tells no more than the metrics."""


async def open_at(path: Path, servers: Iterable[Server]) -> asyncio.Server:
    """Answers there from now on."""
    known = list(servers)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, ValueError, TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(_SECONDS):
                asked = await reader.readuntil(b"\r\n\r\n")
                writer.write(await _answer(asked.split(b" ", 2)[1], known))
                await writer.drain()
        writer.close()

    path.unlink(missing_ok=True)
    server = await asyncio.start_unix_server(answer, path)
    path.chmod(_MODE)
    return server


async def _answer(target: bytes, servers: list[Server]) -> bytes:
    rows = await asyncio.gather(*(server.now() for server in servers))
    if target == b"/state":
        return _message("200 OK", "application/json", json.dumps([asdict(row) for row in rows]))
    if target == b"/metrics":
        told = counts.text((row, server.counts) for row, server in zip(rows, servers, strict=True))
        return _message("200 OK", "text/plain; version=0.0.4; charset=utf-8", told)
    return _message("404 Not Found", "text/plain", "there are /state and /metrics\n")


def _message(status: str, kind: str, text: str) -> bytes:
    body = text.encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body
