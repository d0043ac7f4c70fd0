"""Traps of variables, made real: doctor finds each and nothing else, and its mend leaves none."""

from __future__ import annotations

import pytest

from tests.system.fleethost import STANDIN, UNITS
from tests.system.patient import Patient


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("OLLAMA_VULKAN", "off", True),
        ("OLLAMA_NO_CLOUD", "nope", True),
        ("OLLAMA_SCHED_SPREAD", "no", True),
        ("OLLAMA_FLASH_ATTENTION", "-1", True),
        ("OLLAMA_FLASH_ATTENTION", "on", False),
        ("OLLAMA_FLASH_ATTENTION", "False", False),
        ("OLLAMA_DEBUG", "off", False),
    ],
)
def test_a_switch_that_means_the_opposite(patient: Patient, name: str, value: str, found: bool) -> None:
    patient.install(variables={name: value})

    if not found:
        assert patient.examine() == []
        return
    told = patient.mended("boolean-opposite")
    assert told["evidence"] == [f"{name}={value} in {UNITS}/ollama.service"]
    assert patient.host.environ(11434)[name] == "0"


def test_a_switch_in_an_environment_file_is_mended_there_as_the_file_has_the_last_word(patient: Patient) -> None:
    patient.machine.write("/etc/default/ollama", 'OTHER="a b"\nOLLAMA_VULKAN = off\n', mode=0o600)
    patient.install(lines="EnvironmentFile=/etc/default/ollama", variables={"OLLAMA_VULKAN": "0"})

    told = patient.mended("boolean-opposite")

    assert told["evidence"] == ["OLLAMA_VULKAN=off in /etc/default/ollama"]
    assert (told["drop_in"], patient.host.environ(11434)["OLLAMA_VULKAN"]) == (None, "0")


def test_a_command_with_a_shell_is_seen_through_as_far_as_can_be(patient: Patient) -> None:
    """What the shell sets is not known, so what the unit does not set is no trap."""
    command = f"/bin/sh -c 'export OLLAMA_VULKAN=0; exec {STANDIN} serve'"
    patient.install(lines="Environment=CUDA_VISIBLE_DEVICES=-1", command=command)

    assert patient.examine() == []


def test_an_environment_file_that_is_not_there(patient: Patient) -> None:
    patient.machine.write("/etc/default/there", "OLLAMA_KEEP_ALIVE=1h\n")
    patient.install(lines="EnvironmentFile=/etc/default/there\nEnvironmentFile=/etc/default/ollama")

    found = patient.mended("environment-file-missing")

    assert (found["path"], patient.host.environ(11434)["OLLAMA_KEEP_ALIVE"]) == ("/etc/default/ollama", "1h")


def test_one_that_may_be_missing(patient: Patient) -> None:
    patient.install(lines="EnvironmentFile=-/etc/default/ollama")

    assert patient.examine() == []


def test_an_environment_file_that_is_written_for_a_shell(patient: Patient) -> None:
    patient.machine.write("/etc/default/ollama", "export OLLAMA_KEEP_ALIVE=1h\nexport EDITOR=vi\n")
    patient.install(lines="EnvironmentFile=/etc/default/ollama")
    assert "OLLAMA_KEEP_ALIVE" not in patient.host.environ(11434)

    found = patient.mended("environment-file-for-shell")

    assert found["evidence"] == ["export OLLAMA_KEEP_ALIVE=... in /etc/default/ollama"]
    assert patient.host.environ(11434)["OLLAMA_KEEP_ALIVE"] == "1h"


def test_an_environment_file_that_only_root_may_read(patient: Patient) -> None:
    """What a user does not see is no trap, and is said."""
    patient.machine.write("/etc/default/ollama", "OLLAMA_NOPRUNE=1\nOLLAMA_VULKAN=0\n", mode=0o600)
    pins = {"OLLAMA_NOPRUNE": None, "CUDA_VISIBLE_DEVICES": "-1"}
    patient.install(lines="EnvironmentFile=/etc/default/ollama", variables=pins)
    patient.install("other.service", port=11435)

    ran = patient.host.json("doctor", user="nobody")

    assert (patient.examine(), ran.envelope["data"]["findings"]) == ([], [])
    assert "/etc/default/ollama, which gives ollama.service its variables: only root may read it" in ran.notes


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("OLLAMA_PORT", "the port stands in OLLAMA_HOST"),
        ("OLLAMA_NUM_THREADS", "num_thread is a parameter"),
        ("OLLAMA_KEEPALIVE", "did you mean OLLAMA_KEEP_ALIVE?"),
    ],
)
def test_a_variable_that_does_nothing_is_named_without_its_value(patient: Patient, name: str, hint: str) -> None:
    patient.install(variables={name: "hunter2"})

    found = patient.mended("unknown-variable")

    assert hint in found["hint"]
    assert "hunter2" not in str(found)
    assert name not in patient.host.environ(11434)


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [
        ("OLLAMA_KEEP_ALIVE", "30min", "30m"),
        ("OLLAMA_KEEP_ALIVE", "1d", "24h"),
        ("OLLAMA_KEEP_ALIVE", "forever", "-1"),
        ("OLLAMA_LOAD_TIMEOUT", "long", "5m"),
    ],
)
def test_a_duration_that_ollama_can_t_read(patient: Patient, name: str, value: str, meant: str) -> None:
    patient.install(variables={name: value})

    assert patient.mended("unreadable-duration")["evidence"] == [f"{name}={value} in {UNITS}/ollama.service"]
    assert patient.host.environ(11434)[name] == meant


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [("OLLAMA_CONTEXT_LENGTH", "8k", "8192"), ("OLLAMA_NUM_PARALLEL", "auto", None), ("OLLAMA_MAX_QUEUE", "-1", None)],
)
def test_a_number_that_ollama_can_t_read(patient: Patient, name: str, value: str, meant: str | None) -> None:
    patient.install(variables={name: value})

    assert patient.mended("unreadable-number")["evidence"] == [f"{name}={value} in {UNITS}/ollama.service"]
    assert patient.host.environ(11434).get(name) == meant


def test_a_library_that_there_is_not(patient: Patient) -> None:
    patient.install(variables={"OLLAMA_LLM_LIBRARY": "cuda_v11"})
    assert patient.examine() == []  # there is none at all: Ollama does not look at the variable
    patient.machine.write("/usr/local/lib/ollama/cuda_v13/libggml-cuda.so", "")
    patient.machine.write("/usr/local/lib/ollama/vulkan/libggml-vulkan.so", "")

    assert patient.mended("unknown-library")["evidence"][1] == "there are cuda_v13 and vulkan"


def test_a_cache_type_that_no_runner_knows(patient: Patient) -> None:
    patient.install(variables={"OLLAMA_KV_CACHE_TYPE": "q8"})

    patient.mended("unknown-cache-type")

    assert patient.host.environ(11434)["OLLAMA_KV_CACHE_TYPE"] == "q8_0"


def test_a_reserve_that_reserves_nothing(patient: Patient) -> None:
    patient.install(variables={"OLLAMA_GPU_OVERHEAD": str(1 << 30)})

    patient.mended("overhead-ignored")

    assert patient.host.environ(11434)["LLAMA_ARG_FIT_TARGET"] == "1024"
