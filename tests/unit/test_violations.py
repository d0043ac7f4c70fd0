"""What the schema refuses, in words that say what to write instead; and one mistake is one message."""

import pytest

from ollamactl.spec.violations import violations


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"version": 1, "instances": {}}, []),
        ({"version": True, "instances": {}}, ["must be 1, not true"]),
        ({"instances": {}}, ["is missing"]),
        ({"version": 1, "instances": {"a": {"port": True}}}, ["must be a whole number, not true"]),
        ({"version": 1, "instances": {"a": {"port": None}}}, ["is empty; it must be a whole number"]),
        ({"version": 1, "instances": {"a": {"prot": 1}}}, ["there is no such key here"]),
        ({"version": 1, "instances": {"a": {}}}, ["is missing"]),
        ({"Version": 1, "instance": {}}, ["there is no such key here", "there is no such key here"]),
        ({"version": 1, "instances": {"../x": {"port": 1}}}, ["is not a valid name for an instance"]),
        ({"version": 1, "instances": {"a": {"port": 1, "restart": {"policy": "no"}}}},
         ["must be on-failure, always or never, not 'no'"]),
    ],
)  # fmt: skip
def test_violations_in_words(document: object, expected: list[str]) -> None:
    assert sorted(violation.message for violation in violations(document)) == sorted(expected)


@pytest.mark.parametrize(
    ("key", "value", "hint"),
    [
        ("prot", 1, "did you mean port?"),
        ("num_ctx", 1, "did you mean context_length?"),
        ("num_parallel", 1, "did you mean parallel?"),
        ("env", {}, "did you mean environment?"),
        ("Keep-Alive", 1, "did you mean keep_alive?"),
        ("memory_max", "8G", "it belongs in limits: {memory_max: ...}"),
        ("version", 1, "version belongs at the top level: look at the indentation"),
        ("zzz", 1, "all keys: ollamactl schema"),
        ("port:11435", None, "a space must follow the colon: port: 11435"),
        ("10.0.0.0/8", None, "several values are a list in brackets: [ONE, OTHER]"),
        ("enabled", "yes", "write true"),
        ("spread", "off", "write false"),
        ("flash_attention", "yes", "write on"),
        ("flash_attention", False, "write off"),
        ("hardening", "stric", "write strict"),
        ("egress", True, "write open"),
        ("state", "up", "write running"),
        ("backend", "nvidia", "write cuda"),
        ("restart", "always", "write restart: {policy: always}"),
        ("restart", "no", "write restart: {policy: never}"),
        ("restart", {"policy": "unless-stopped"}, "write always"),
        ("limits", {"cpu_quota": 2}, "write it as a percentage of one CPU: 200%"),
        ("limits", {"cpu_quota": 150}, "write it as a percentage of one CPU: 150%"),
        ("keep_alive", True, "for example keep_alive: 5m"),
        ("description", True, 'quote it: "true"'),
        ("environment", ["A=b"], 'write environment: {NAME: "value"}'),
        ("environment", "A=b", 'write environment: {A: "b"}'),
        ("environment", {"A=b": None}, 'write A: "b"'),
        ("secrets", "A=b", 'write secrets: {NAME: "value"}'),
        ("secrets", {"A=b": None}, 'write secrets: {NAME: "value"}'),
        ("context_length", 0, "write auto to let Ollama choose"),
        ("context_length", "8k", "write auto or a number"),
        ("parallel", "010", "write 10, without quotes or a leading 0"),
        ("models", [], "name at least one, or remove the key: the instance's name is then the model's"),
    ],
)
def test_hints(key: str, value: object, hint: str) -> None:
    document = {"version": 1, "instances": {"a": {"port": 11434, key: value}}}

    assert [violation.hint for violation in violations(document)] == [hint]


@pytest.mark.parametrize(
    ("document", "hint"),
    [
        ({"llama3": {"port": 1}}, "an instance stands below instances: indent it"),
        ({"binary": "/x"}, "it belongs in ollama: {binary: ...}"),
        ({"host": "::1"}, "it belongs in an instance (instances: {NAME: {host: ...}}) or in defaults"),
        ({"instances": {"gpus": "none"}}, "gpus is a key of an instance or of defaults: look at the indentation"),
        ({"instances": {"a": "port:11434"}}, "a space must follow the colon: port: 11434"),
        ({"instances": {"a": 11434}}, "write a: {port: 11434}"),
        ({"instances": {"a": {"port": "::1:80"}}}, 'write host: "::1" and port: 80'),
        ({"instances": {"llama3:8b": {"port": 1}}}, 'write llama3-8b: and in it models: ["llama3:8b"]'),
        ({"instances": {"a/b": {"port": 1}}}, 'write b: and in it models: ["a/b"]'),
        ({"instances": None}, "indent the instances below it, or write {} for none"),
        ({"version": "1"}, "write version: 1, without quotes"),
    ],
)
def test_hints_on_the_shape(document: dict[str, object], hint: str) -> None:
    assert [violation.hint for violation in violations({"version": 1, "instances": {}, **document})] == [hint]


def test_a_mistyped_key_is_not_missing_too() -> None:
    (found,) = violations({"version": 1, "instances": {"a": {"prot": 1}}})

    assert (found.path, found.meant) == (("instances", "a", "prot"), "port")


def test_a_mistyped_key_hides_nothing_of_the_right_one() -> None:
    found = violations({"version": 1, "instances": {"a": {"port": 1, "Secrets": {}, "secrets": "yes"}}})

    assert {violation.path[-1] for violation in found} == {"Secrets", "secrets"}
