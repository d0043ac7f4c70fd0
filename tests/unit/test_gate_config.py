import math

import pytest

from ollamactl.gate import config
from ollamactl.gate.config import Behind, GateConfig

LLAMA = Behind(
    name="llama3",
    unit="ollama@llama3.service",
    port=11434,
    binary="/usr/local/bin/ollama",
    models=("llama3:latest", "gpt-4o:latest"),
    fingerprint="5c1a",
    stop_after=math.inf,
    unload_after=120.0,
)
PLAIN = Behind(name="embed", unit="ollama@embed.service", port=11436)


def test_what_is_written_is_read_again_amid_a_unit_file() -> None:
    told = GateConfig(servers=(LLAMA, PLAIN))

    text = f"[Service]\nExecStart=/bin/true\n[X-Ollamactl]\n{config.line(told)}\n"

    assert config.parse(text) == told


def test_it_is_one_line_that_says_only_what_is_not_the_default() -> None:
    assert config.line(GateConfig(servers=(PLAIN,))) == (
        'Gate={"servers":[{"name":"embed","unit":"ollama@embed.service","port":11436}]}'
    )


def test_never_is_written_as_null_and_a_newer_key_is_passed_over() -> None:
    assert '"stop_after":null' in config.line(GateConfig(servers=(LLAMA,)))
    text = 'Gate={"servers":[{"name":"a","unit":"b","port":1,"stop_after":null,"later":1}]}'
    assert config.parse(text).servers == (Behind(name="a", unit="b", port=1, stop_after=math.inf),)


@pytest.mark.parametrize("text", ["", "Gate=", "Gate=[]", 'Gate={"servers":[{"name":"a"}]}', 'Gate={"servers":3}'])
def test_what_is_no_configuration_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  json's own words, or ours
        config.parse(text)


def test_a_server_is_found_by_its_name() -> None:
    told = GateConfig(servers=(LLAMA, PLAIN))
    assert told.server("embed") == PLAIN
    assert told.server("mistral") is None
