"""What a server is about to take of its cards' memory, by its models and settings. Pure.

An estimate from above, where it is one at all: layers that look back over a window only are reckoned in full, and so
are those that would stay on the processor. What a server took in truth tells more (`gate.seen`).
"""

from collections.abc import Mapping

from ollamactl import manifest
from ollamactl.facts import Facts, Shape
from ollamactl.model import Instance

RUNNER = 512 << 20
"""Bytes of each loaded model beside its weights and context: the driver's own, and room to compute in."""
_BYTES: Mapping[str | None, float] = {
    None: 2, "f16": 2, "bf16": 2, "f32": 4,
    "q8_0": 34 / 32, "q5_1": 24 / 32, "q5_0": 22 / 32, "q4_1": 20 / 32, "q4_0": 18 / 32, "iq4_nl": 18 / 32,
}  # fmt: skip
"""Of a number in the cache (ggml's blocks of 32)."""
_DEFAULT_CONTEXTS = ((47 << 30, 262_144), (23 << 30, 32_768), (0, 4096))
"""By the memory that Ollama sees (server/routes.go)."""


def model(size: int, shape: Shape | None, instance: Instance, *, seen: int = 0) -> int:
    """Bytes of one model; `size` is that of its files, `seen` the memory of all of the instance's cards."""
    if shape is None:
        return size + RUNNER
    return size + RUNNER + int(shape.elements * _tokens(shape, instance, seen) * _BYTES[instance.kv_cache_type])


def _tokens(shape: Shape, instance: Instance, seen: int) -> int:
    """Each of the requests at once has a context of its own, and none a longer one than the model was made for."""
    context = instance.context_length
    if context is None:
        context = next(tokens for least, tokens in _DEFAULT_CONTEXTS if seen >= least)
    return min(context, shape.context) * instance.parallel


def loads(instance: Instance) -> int:
    """How many models it has in memory at once."""
    return min(len(instance.models), instance.max_loaded_models or len(instance.models))


def estimate(instance: Instance, facts: Facts, *, seen: int = 0) -> int | None:
    """Bytes of an instance with as many of its models as it loads at once; None where a model is not there yet."""
    sizes = []
    for name in instance.models:
        found = facts.manifest(instance, name)
        parts = manifest.layers(found.data) if found else None
        if found is None or parts is None:
            return None
        weights = sum(size for _, size in parts)
        sizes.append(model(weights, facts.shapes.get(found.digest), instance, seen=seen))
    return sum(sorted(sizes, reverse=True)[: loads(instance)])
