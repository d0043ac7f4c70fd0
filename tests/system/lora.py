"""A LoRA adapter for the tiny models, as a GGUF file that a real runner takes (docs/gguf.md in ggml)."""

import struct

_EMBEDDING, _RANK = 64, 2
_STRING, _FLOAT, _F32 = 8, 6, 0
_ALIGNMENT = 32


def adapter(value: float = 0.01) -> bytes:
    """The file: both halves of what is added to one matrix of the first layer, all of one value."""
    facts = [
        (b"general.architecture", _STRING, _text(b"llama")),
        (b"general.type", _STRING, _text(b"adapter")),
        (b"adapter.type", _STRING, _text(b"lora")),
        (b"adapter.lora.alpha", _FLOAT, struct.pack("<f", 4)),
    ]
    shapes = [(b"blk.0.attn_q.weight.lora_a", _EMBEDDING, _RANK), (b"blk.0.attn_q.weight.lora_b", _RANK, _EMBEDDING)]
    head = b"GGUF" + struct.pack("<IQQ", 3, len(shapes), len(facts))
    head += b"".join(_text(key) + struct.pack("<I", kind) + data for key, kind, data in facts)
    size = 4 * _EMBEDDING * _RANK
    for number, (name, *shape) in enumerate(shapes):
        head += _text(name) + struct.pack("<IQQIQ", 2, *shape, _F32, number * size)
    head += bytes(-len(head) % _ALIGNMENT)
    return head + struct.pack("<f", value) * (_EMBEDDING * _RANK * len(shapes))


def _text(data: bytes) -> bytes:
    return struct.pack("<Q", len(data)) + data
