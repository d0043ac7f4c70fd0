"""The gate's own few questions to a server, beside those of clients."""

import asyncio
import json
from contextlib import suppress
from typing import Any

from ollamactl.gate.dialing import Dialer

_SECONDS = 20.0
_MOST_BYTES = 1 << 20


async def loaded(dialer: Dialer) -> tuple[str, ...]:
    """The models in memory; raises OSError where it does not tell."""
    told = await _ask(dialer, "GET", "/api/ps")
    rows = told.get("models") if isinstance(told, dict) else None
    return tuple(str(row["name"]) for row in rows or () if isinstance(row, dict) and "name" in row)


async def sizes(dialer: Dialer) -> list[tuple[int, int]]:
    """Of each model in memory its bytes, and those of them that are on cards. Raises OSError."""
    told = await _ask(dialer, "GET", "/api/ps")
    rows = told.get("models") if isinstance(told, dict) else None
    found = ((row.get("size"), row.get("size_vram", 0)) for row in rows or () if isinstance(row, dict))
    return [(size, on_cards) for size, on_cards in found if isinstance(size, int) and isinstance(on_cards, int)]


async def unload(dialer: Dialer, model: str) -> None:
    """Has a model leave memory, whatever a client has asked for; also one that only embeds. Raises OSError."""
    await _ask(dialer, "POST", "/api/generate", {"model": model, "keep_alive": 0})


async def _ask(dialer: Dialer, method: str, path: str, content: object = None) -> Any:
    """The JSON of a good answer, None for a bad one; raises OSError where there is none."""
    body = b"" if content is None else json.dumps(content).encode()
    head = f"{method} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    try:
        async with asyncio.timeout(_SECONDS):
            reader, writer = await asyncio.open_connection(sock=await dialer.dial())
            try:
                writer.write(head.encode() + body)
                answer = await reader.read(_MOST_BYTES)
                while len(answer) < _MOST_BYTES and (more := await reader.read(_MOST_BYTES)):
                    answer += more
            finally:
                writer.close()
    except TimeoutError as error:
        raise OSError(f"no answer within {_SECONDS:g} s") from error
    start, _, rest = answer.partition(b"\r\n\r\n")
    if b" 200 " not in start[:16]:
        return None
    with suppress(ValueError):
        return json.loads(rest)
    return None
