"""What a proof says of models that preload wants in memory, and of other names for models."""

from dataclasses import replace

from ollamactl.proving.proof import Expected, ModelSize
from tests.unit.test_proof import ANSWERS, EXPECTED, LLAMA, WELL, prove, text, told

PRELOADED = replace(EXPECTED, preload=("llama3:latest",))


def test_what_preload_wants_is_in_memory_or_on_its_way() -> None:
    there = replace(ANSWERS, loaded={"llama3:latest": ModelSize(size=1000, size_vram=1000)})
    assert told(replace(WELL, answers=there), PRELOADED).endswith("models, load, placement")
    assert told(replace(WELL, preloading=True), PRELOADED) == text("""
        ok    llama3  127.0.0.1:11434  unit, http, listener, version, models, load
              load: llama3:latest is being loaded
    """)
    late = replace(ANSWERS, load_failures={"llama3:latest": "not within 5s"}, late=frozenset(["llama3:latest"]))
    assert prove(replace(WELL, answers=late, preloading=True), PRELOADED).ok


def test_what_preload_wants_and_does_not_get_is_told() -> None:
    assert told(WELL, PRELOADED) == text("""
        FAIL  llama3  127.0.0.1:11434  load
              load: found     llama3:latest is not in memory
                    expected  llama3:latest is in memory, as preload says
                    hint      see why: journalctl -u ollama@llama3.service | grep preload; load it: sudo ollamactl apply
    """)
    failed = replace(WELL, answers=replace(ANSWERS, load_failures={"llama3:latest": "out of memory"}), preloading=True)
    assert prove(failed, PRELOADED).failures[0].found == "out of memory"
    evicted = replace(ANSWERS, evicted={"llama3:latest": ModelSize(size=1, size_vram=0)})
    (check,) = prove(replace(WELL, answers=evicted), PRELOADED).failures
    assert check.found == "llama3:latest had to make room for another one"


def test_models_are_loaded_for_a_proof_where_somebody_says_so() -> None:
    models = {"a:latest": "", "b:latest": ""}
    expected = Expected(models=models, preload=("b:latest",))
    assert (expected.to_load, replace(expected, settles=True).to_load) == ((), ("b:latest",))
    assert replace(expected, load=True).to_load == ("a:latest", "b:latest")


def test_an_alias_is_listed_with_the_digest_of_its_model() -> None:
    expected = replace(EXPECTED, aliases={"gpt-4o:latest": "llama3:latest"})
    assert prove(WELL, expected).failures[0].found == "gpt-4o:latest is missing"
    both = replace(ANSWERS, models={**ANSWERS.models, "gpt-4o:latest": LLAMA})
    assert prove(replace(WELL, answers=both), expected).ok
