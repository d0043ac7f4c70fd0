"""Heads of GGUF files, written by hand."""

import struct
from typing import Any


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def item(value: Any) -> bytes:
    """Kind and value."""
    match value:
        case bool():
            return struct.pack("<I?", 7, value)
        case int():
            return struct.pack("<II", 4, value)
        case float():
            return struct.pack("<If", 6, value)
        case str():
            return struct.pack("<I", 8) + text(value)
        case _:
            items = [item(each) for each in value]
            return struct.pack("<I", 9) + items[0][:4] + struct.pack("<Q", len(items)) + b"".join(e[4:] for e in items)


def head(values: dict[str, Any], *, version: int = 3) -> bytes:
    pairs = b"".join(text(name) + item(value) for name, value in values.items())
    return b"GGUF" + struct.pack("<IQQ", version, 1, len(values)) + pairs


def llama(family: str = "llama", **more: Any) -> dict[str, Any]:
    """Llama 3 8B as its file says it."""
    own = {
        "block_count": 32,
        "context_length": 8192,
        "embedding_length": 4096,
        "attention.head_count": 32,
        "attention.head_count_kv": 8,
        **{name.replace("__", "."): value for name, value in more.items()},
    }
    return {
        "general.architecture": family,
        "general.name": "a",
        **{f"{family}.{name}": value for name, value in own.items() if value is not None},
        "tokenizer.ggml.tokens": ["a", "b"],
    }
