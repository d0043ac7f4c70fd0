"""What the head of a model's file (GGUF) says of its size in memory. Pure.

The format: docs/gguf.md in ggml; how Ollama counts: GraphSize in fs/ggml/ggml.go.
"""

import struct
from collections.abc import Mapping, Sequence
from typing import Any

from ollamactl.facts import Shape

HEAD = 1 << 18
"""Bytes that hold what is asked for: the model's own figures stand before its vocabulary, which takes megabytes."""
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_VERSION = 2
"""The first whose lengths have 64 bits."""
_VOCABULARY = "tokenizer."
_MOST = 1 << 16
"""Items of a list that are read; a model has fewer layers."""


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self, kind: str) -> Any:
        (value,) = struct.unpack_from(f"<{kind}", self._data, self._at)
        self._at += struct.calcsize(f"<{kind}")
        return value

    def text(self) -> str:
        size = self.number("Q")
        data = self._data[self._at : self._at + size]
        if len(data) < size:
            raise ValueError("the text goes on")
        self._at += size
        return data.decode(errors="replace")

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.text()
        if kind == _ARRAY:
            item, count = self.number("I"), self.number("Q")
            if count > _MOST:
                raise ValueError("a list without an end in sight")
            return [self.value(item) for _ in range(count)]
        return self.number(_NUMBERS[kind])


def shape(head: bytes) -> Shape | None:
    """Of the first bytes of a file; None where they are no GGUF, or do not say enough."""
    try:
        return _shape(_metadata(head))
    except (struct.error, TypeError, ValueError, KeyError, RecursionError, ZeroDivisionError):
        return None


def _metadata(head: bytes) -> Mapping[str, Any]:
    """What there is before the vocabulary."""
    reader = _Reader(head)
    _, version, _ = reader.number("I"), reader.number("I"), reader.number("Q")
    found: dict[str, Any] = {}
    for _ in range(reader.number("Q") if head[:4] == b"GGUF" and version >= _VERSION else 0):
        name = reader.text()
        if name.startswith(_VOCABULARY):
            break
        found[name] = reader.value(reader.number("I"))
    return found


def _shape(values: Mapping[str, Any]) -> Shape | None:
    family = values.get("general.architecture")

    def of(name: str, default: Any = None) -> Any:
        return values.get(f"{family}.{name}", default)

    layers, heads, context = of("block_count"), of("attention.head_count"), of("context_length")
    if not layers or not heads or not context:
        return None
    if of("attention.causal") is False:
        return Shape(elements=0, context=int(context))  # it embeds: nothing is kept from token to token
    width = (of("embedding_length") or 0) // min(_some(heads))
    kept = of("attention.key_length", width) + of("attention.value_length", width)
    own = of("attention.head_count_kv", heads)
    heads_kept = sum(own[:layers]) if isinstance(own, list) else own * layers
    return Shape(elements=int(kept * heads_kept), context=int(context))


def _some(heads: int | Sequence[int]) -> Sequence[int]:
    """Those of layers that have any: others of a mixed model keep no cache of this kind."""
    return [each for each in heads if each] if isinstance(heads, list | tuple) else [int(heads)]  # type: ignore[arg-type]
