import math
from dataclasses import replace

import pytest

from ollamactl.model import Fleet, Instance, Toggle
from ollamactl.units.environment import SPEC_KEYS, environment
from ollamactl.units.pins import Pin

INSTANCE = Instance(name="x", port=11435, models=("a", "b"))
PIN = Pin(environment=(("CUDA_VISIBLE_DEVICES", "GPU-a"), ("OLLAMA_VULKAN", "0")), devices=())


def variables(**changes: object) -> dict[str, str]:
    return environment(replace(INSTANCE, **changes), Fleet(models_dir="/srv/models"), PIN)  # type: ignore[arg-type]


def test_what_is_always_set_because_the_default_is_a_trap() -> None:
    assert list(variables().items()) == [
        ("OLLAMA_HOST", "127.0.0.1:11435"),
        ("OLLAMA_MODELS", "/srv/models"),
        ("OLLAMA_NOPRUNE", "1"),
        ("OLLAMA_NO_CLOUD", "1"),
        ("OLLAMA_KEEP_ALIVE", "5m"),
        ("OLLAMA_CONTEXT_LENGTH", "8192"),
        ("OLLAMA_NUM_PARALLEL", "1"),
        ("OLLAMA_MAX_LOADED_MODELS", "2"),
        ("CUDA_VISIBLE_DEVICES", "GPU-a"),
        ("OLLAMA_VULKAN", "0"),
    ]


@pytest.mark.parametrize(
    ("key", "value", "variable", "text"),
    [
        ("host", "::1", "OLLAMA_HOST", "[::1]:11435"),
        ("origins", ("http://a", "chrome-extension://*"), "OLLAMA_ORIGINS", "http://a,chrome-extension://*"),
        ("keep_alive", math.inf, "OLLAMA_KEEP_ALIVE", "-1"),
        ("keep_alive", 0.0, "OLLAMA_KEEP_ALIVE", "0s"),
        ("keep_alive", 5400.5, "OLLAMA_KEEP_ALIVE", "1h30m500ms"),
        ("context_length", None, "OLLAMA_CONTEXT_LENGTH", None),
        ("parallel", 4, "OLLAMA_NUM_PARALLEL", "4"),
        ("models", (), "OLLAMA_MAX_LOADED_MODELS", "1"),
        ("max_loaded_models", 1, "OLLAMA_MAX_LOADED_MODELS", "1"),
        ("max_queue", 64, "OLLAMA_MAX_QUEUE", "64"),
        ("load_timeout", math.inf, "OLLAMA_LOAD_TIMEOUT", "-1"),
        ("load_timeout", 600.0, "OLLAMA_LOAD_TIMEOUT", "10m"),
        ("flash_attention", Toggle.AUTO, "OLLAMA_FLASH_ATTENTION", None),
        ("flash_attention", Toggle.ON, "OLLAMA_FLASH_ATTENTION", "1"),
        ("flash_attention", Toggle.OFF, "OLLAMA_FLASH_ATTENTION", "0"),
        ("kv_cache_type", "q8_0", "OLLAMA_KV_CACHE_TYPE", "q8_0"),
        ("spread", True, "OLLAMA_SCHED_SPREAD", "1"),
        ("spread", False, "OLLAMA_SCHED_SPREAD", None),
        ("vram_reserve", 1 << 30, "LLAMA_ARG_FIT_TARGET", "1024"),
        ("vram_reserve", (1 << 20) + 1, "LLAMA_ARG_FIT_TARGET", "2"),
    ],
)
def test_a_key_becomes_its_variable(key: str, value: object, variable: str, text: str | None) -> None:
    assert variables(**{key: value}).get(variable) == text
    assert variable in SPEC_KEYS or variable == "OLLAMA_HOST"


def test_the_specs_own_environment_is_not_said_twice() -> None:
    own = (("OLLAMA_VULKAN", "1"), ("FOO", "x"))
    assert "OLLAMA_VULKAN" not in variables(environment=own)
    assert "FOO" not in variables(environment=own)
