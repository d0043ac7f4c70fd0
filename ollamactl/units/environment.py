"""The environment of an instance: Ollama takes its whole configuration from it (envconfig/config.go there).

What Ollama would choose itself is set all the same where the choice is a trap: the context length depends on the VRAM
that it sees, and a start prunes the blobs of other servers. Booleans are 0 or 1: what it cannot read counts as true.
"""

import math
from collections.abc import Iterator

from ollamactl.model import Fleet, Instance, Toggle, address
from ollamactl.quantity import format_duration
from ollamactl.units.pins import Pin

SPEC_KEYS = {
    "OLLAMA_MODELS": "ollama.models",
    "OLLAMA_ORIGINS": "origins",
    "OLLAMA_KEEP_ALIVE": "keep_alive",
    "OLLAMA_CONTEXT_LENGTH": "context_length",
    "OLLAMA_NUM_PARALLEL": "parallel",
    "OLLAMA_MAX_LOADED_MODELS": "max_loaded_models",
    "OLLAMA_MAX_QUEUE": "max_queue",
    "OLLAMA_LOAD_TIMEOUT": "load_timeout",
    "OLLAMA_FLASH_ATTENTION": "flash_attention",
    "OLLAMA_KV_CACHE_TYPE": "kv_cache_type",
    "OLLAMA_SCHED_SPREAD": "spread",
    "LLAMA_ARG_FIT_TARGET": "vram_reserve",
    "CUDA_VISIBLE_DEVICES": "gpus",
    "ROCR_VISIBLE_DEVICES": "gpus",
    "GGML_VK_VISIBLE_DEVICES": "gpus",
    "OLLAMA_VULKAN": "backend",
}
"""Variable -> the key of the spec that sets it; OLLAMA_HOST is of two keys, `host` and `port`."""

_MIB = 1 << 20


def environment(instance: Instance, fleet: Fleet, pin: Pin) -> dict[str, str]:
    """The variables that ollamactl sets for an instance, in the order of the unit file.

    Not among them: HOME, which the template sets for all, and what the spec's own `environment` names, which wins.
    """
    own = {name for name, _ in instance.environment}
    return {name: value for name, value in _variables(instance, fleet, pin) if name not in own}


def _variables(instance: Instance, fleet: Fleet, pin: Pin) -> Iterator[tuple[str, str]]:
    yield "OLLAMA_HOST", address(instance.server_host, instance.port)
    yield "OLLAMA_MODELS", fleet.models_dir
    yield "OLLAMA_NOPRUNE", "1"
    yield "OLLAMA_NO_CLOUD", "1"
    if instance.origins:
        yield "OLLAMA_ORIGINS", ",".join(instance.origins)
    yield "OLLAMA_KEEP_ALIVE", _duration(instance.keep_alive)
    if instance.context_length is not None:
        yield "OLLAMA_CONTEXT_LENGTH", str(instance.context_length)
    yield "OLLAMA_NUM_PARALLEL", str(instance.parallel)
    # 0 would mean three for each card
    loaded = max(1, len(instance.models)) if instance.max_loaded_models is None else instance.max_loaded_models
    yield "OLLAMA_MAX_LOADED_MODELS", str(loaded)
    if instance.max_queue is not None:
        yield "OLLAMA_MAX_QUEUE", str(instance.max_queue)
    if instance.load_timeout is not None:
        yield "OLLAMA_LOAD_TIMEOUT", _duration(instance.load_timeout)
    if instance.flash_attention is not Toggle.AUTO:
        yield "OLLAMA_FLASH_ATTENTION", "1" if instance.flash_attention is Toggle.ON else "0"
    if instance.kv_cache_type is not None:
        yield "OLLAMA_KV_CACHE_TYPE", instance.kv_cache_type
    if instance.spread:
        yield "OLLAMA_SCHED_SPREAD", "1"
    if instance.vram_reserve is not None:
        # In MiB, for each card; OLLAMA_GPU_OVERHEAD reserves nothing any more (llm/llama_server.go in Ollama)
        yield "LLAMA_ARG_FIT_TARGET", str(math.ceil(instance.vram_reserve / _MIB))
    yield from pin.environment


def _duration(seconds: float) -> str:
    """As Go reads it; negative is forever, both for KEEP_ALIVE and for LOAD_TIMEOUT."""
    return "-1" if math.isinf(seconds) else format_duration(seconds)
