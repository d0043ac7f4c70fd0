"""Several mistakes in one spec: none hides another, and none is told twice."""

import pytest

from ollamactl.errors import Severity, SpecError
from ollamactl.spec import specfile


def errors(text: str) -> str:
    with pytest.raises(SpecError) as caught:
        specfile.load(text.encode(), name="fleet.yaml")
    return str(caught.value)


HIDDEN = """\
version: 1
instances:
  a: {port: "x", host: 0.0.0.0, restart: {delay: 5m, tries: x}, limits: {memory_high: 4G, memory_max: 2G, nice: high}}
  b: {prot: 80, gpus: 0, backend: cpu, after: c}
  c: {models: 5, port: 80, after: [b]}
"""


def test_what_is_wrong_in_one_key_hides_nothing_of_the_others() -> None:
    text = errors(HIDDEN)

    for words in (
        "instances.a.port: must be a whole number",
        "instances.a.host: 0.0.0.0 is reached from other hosts",
        "instances.a.restart.tries: must be a whole number",
        "instances.a.restart.delay: delay, 5m, is more than max_delay",
        "instances.a.limits.nice: must be a whole number",
        "instances.a.limits.memory_high: 4G is more than memory_max",
        "instances.b.gpus: names cards, but backend is cpu",
        "instances.b.after: waits for itself: b -> c -> b",
        "instances.c.models: must be text or a list",
        "instances.c.port: 80 is below 1024",
    ):
        assert words in text
    assert "is missing" not in text


@pytest.mark.parametrize(
    "keys",
    [
        "{host: 0.0.0.0, alow: [10.0.0.0/8]}",
        "{host: 0.0.0.0, allow: [nobody]}",
        "{host: nowhere, allow: [10.0.0.0/8]}",
        "{restart: {delay: 5m, max_dela: 10m}}",
        "{limits: {memory_high: 5G, memory_max: lots}}",
    ],
)
def test_a_rule_says_nothing_of_a_value_that_was_meant_otherwise(keys: str) -> None:
    for where in (f"{{defaults: {keys}, instances: {{a: {{port: 2000}}}}}}", f"{{instances: {{a: {keys}}}}}"):
        told = errors(f"{{version: 1, {where[1:]}").splitlines()
        assert len([line for line in told if line.startswith("fleet.yaml:") and "is missing" not in line]) == 1


def test_what_several_take_from_one_anchor_is_told_once() -> None:
    text = errors("version: 1\nx: &x {gpus: [MIG-1]}\ninstances:\n  a: {port: 1, <<: *x}\n  b: {port: 2, <<: *x}\n")

    assert text.count("a slice of a card") == 1


def test_an_empty_fleet_is_told_of_only_where_it_is_meant() -> None:
    (problem,) = specfile.load(b"version: 1\ninstances: {}", name="x").problems
    assert problem.message == "has no instance: apply removes every instance that it has installed"
    assert problem.severity is Severity.WARNING
    assert "has no instance" not in errors("version: 1\ninstances:\n")


def test_a_line_that_may_hold_a_secret_is_not_shown_either() -> None:
    spec = specfile.load(b"version: 1\ninstances: {a: {port: 2000, environment: {HF_TOKEN: hunter2}}}", name="x")

    (problem,) = [problem for problem in spec.problems if problem.severity is Severity.WARNING]
    assert str(problem) == (
        "x:2:53: warning: instances.a.environment.HF_TOKEN: looks like a secret,"
        " and every local user can read `environment`\n  hint: put it in `secrets:` instead"
    )
