import pytest

from ollamactl.spec import schema
from ollamactl.units import ollama_env


@pytest.mark.parametrize(
    ("name", "value", "normal"),
    [
        ("OLLAMA_AUTH", "true", "1"),
        ("OLLAMA_AUTH", "T", "1"),
        ("OLLAMA_AUTH", "False", "0"),
        ("OLLAMA_AUTH", "0", "0"),
        ("OLLAMA_AUTH", "", ""),
        ("OLLAMA_DEBUG", "2", "2"),
        ("OLLAMA_UNKNOWN", "yes", "yes"),
        ("FOO", "true", "true"),
    ],
)
def test_switches_become_0_and_1(name: str, value: str, normal: str) -> None:
    assert ollama_env.normalise(name, value) == normal


@pytest.mark.parametrize("value", ["off", "no", "yes", "on", "2", " 1", "tRUE"])
def test_a_switch_that_ollama_would_take_for_true_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="take this value for true"):
        ollama_env.normalise("OLLAMA_IGPU_ENABLE", value)


def test_every_spec_key_exists() -> None:
    keys = {variable.key for variable in ollama_env.VARIABLES.values()} - {"", "ollama.models"}

    assert keys <= set(schema.instance_keys())


@pytest.mark.parametrize(
    ("word", "key"),
    [("num_parallel", "parallel"), ("OLLAMA_KEEP_ALIVE", "keep_alive"), ("sched_spread", "spread"), ("foo", "")],
)
def test_the_spec_key_of_a_variable(word: str, key: str) -> None:
    assert ollama_env.spec_key(word) == key
