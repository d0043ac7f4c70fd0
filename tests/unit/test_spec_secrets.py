"""No message about a spec tells a secret: not where the YAML is broken, nor where a piece of it is taken for a key."""

import pytest

from ollamactl.errors import SpecError
from ollamactl.spec import specfile, suggest

HEAD = "version: 1\ninstances:\n  a:\n    port: 2000\n"


def told(text: str) -> str:
    """All that is said of a spec, the lines that it quotes included."""
    try:
        problems = specfile.load(text.encode(), name="fleet.yaml").problems
    except SpecError as error:
        return str(error)
    return "\n".join(map(str, problems))


@pytest.mark.parametrize(
    "value",
    [
        *("@hunter2", "!hunter2", "*hunter2", "&x *hunter2", '"hunter2', "'hunter2", "a: hunter2", "|hunter2"),
        *(">hunter2", "hunter2: hunter2"),
        *("{hunter2", "[hunter2", '"x" hunter2', "- hunter2", "? hunter2", "`hunter2`"),
        *("%hunter2", '"\\hunter2"'),
        *("{A: hunter2}", "[hunter2]", "|\n       hunter2", '"hunter2\\a"', '"hunter2\\n"', "!!binary hunter2"),
        *("hunter2\n      TOKEN: hunter2", "x\n      5: hunter2", "x\n      hunter2", "x\n      A B: hunter2"),
        *("x\n     OLLAMA_VULKAN: hunter2", "x\n      HOME: hunter2", "x\n      ? [hunter2]\n      : hunter2"),
        *("'x\n      hunter2', B: 4", "'x\n hunter2' B", "x\n\tA: hunter2", "\n      - hunter2"),
    ],
)  # fmt: skip
def test_a_secret_in_a_block_is_not_told(value: str) -> None:
    for key in ("secrets", "secret", "secerts", "'secrets'"):
        assert "hunter2" not in told(f"{HEAD}    {key}:\n      TOKEN: {value}\n    prot: 1\n")


@pytest.mark.parametrize(
    "value",
    [
        *("{TOKEN: hunter2, TOKEN: hunter2}", "{TOKEN: x,hunter2}", "{TOKEN: x,5hunter2}", "{TOKEN: x,p@hunter2}"),
        *("{TOKEN: x,hunter2 b: 3}", "{TOKEN:hunter2}", "{TOKEN=hunter2}", "{hunter2: [}"),
        *("hunter2", "TOKEN=hunter2", "[TOKEN=hunter2]", "[hunter2: x]", "{<<: hunter2}", "{<<: {A: hunter2, A: x}}"),
        *("{OLLAMA_MODELS: hunter2}", "{OLLAMA_PORT: hunter2}", "{A: 'x\n    hunter2', B C: 1}"),
        *("&hunter2 {A: *hunter2}", "{? [hunter2] : x}", "{A: hunter2}} ", "{A: hunter2} x"),
        *("{A: 'hunter2", '{A: "hunter2"', "{A: hunter2"),
    ],
)  # fmt: skip
def test_a_secret_in_brackets_is_not_told(value: str) -> None:
    for key in ("secrets: ", "secret: ", "secerts: ", "secrets:", "secrets=", "my-secrets: "):
        assert "hunter2" not in told(f"{HEAD}    {key}{value}\n    prot: 1\n")
        assert "hunter2" not in told(f"version: 1\ninstances:\n  a: {{port: 2000, {key}{value}, prot: 1}}\n")
        assert "hunter2" not in told(f"version: 1\ndefaults: {{{key}{value}}}\ninstances: {{a: {{port: 1}}}}\n")


@pytest.mark.parametrize("quote", ["'", '"'])
def test_a_secret_in_a_text_whose_quote_is_not_closed_is_not_told(quote: str) -> None:
    for key in ("secrets", "Secrets", "secerts", "my-secrets"):
        text = f"{HEAD}    limits: {quote}\n    {key}:\n      A: hunter2\n      B: x{quote}\n    cpus: 3\n"
        assert "hunter2" not in told(text)
        assert f"fleet.yaml:5:13: goes on to line 6, which begins with {key}:" in told(text)
    assert "hunter2" not in told(f"{HEAD}    host: >-\n      x\n      secrets: hunter2\n")


def test_a_secret_that_an_alias_brings_is_not_told() -> None:
    text = "version: 1\nx: &x {TOKEN: hunter2}\ninstances:\n  a: {port: 2000, secrets: *x}\n"
    assert "hunter2" not in told(text)
    assert "fleet.yaml:2:1: x: there is no such key here" in told(text)


def test_where_a_secret_is_wrong_is_told_all_the_same() -> None:
    assert told(f"{HEAD}    secrets:\n      TOKEN: a\n      TOKEN: b\n").splitlines()[0] == (
        "fleet.yaml:7:7: instances.a.secrets.TOKEN: is given twice; first on line 6"
    )
    assert told(f"{HEAD}    secrets: {{TOKEN: a,b}}\n").splitlines() == [
        "fleet.yaml:5:24: instances.a.secrets: a comma within a value ends it",
        "  hint: put the whole value in quotes",
    ]
    assert told(f"{HEAD}    secrets: {{TOKEN: a,7}}\n").splitlines()[0] == (
        "fleet.yaml:5:24: instances.a.secrets: a comma within a value ends it"
    )


def test_lines_beside_a_secret_are_shown() -> None:
    said = told(f"{HEAD}    secrets:\n      TOKEN: |-\n        hunter2\n    prot: 1\n")

    assert "    prot: 1\n" in said
    assert "there is no such key here" in said


@pytest.mark.parametrize("word", ["secrets", "secret", "Secrets", "secert", "sercets", "ecrets", "my_secrets"])
def test_what_was_meant_to_be_secrets_is_taken_for_it(word: str) -> None:
    assert suggest.resembles(word, "secrets")


@pytest.mark.parametrize("word", ["restart", "description", "requires", "store", "servers", "sector", "s", ""])
def test_other_words_are_not(word: str) -> None:
    assert not suggest.resembles(word, "secrets")
