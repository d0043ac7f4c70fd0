"""Which models a plan pulls: those that somebody declares and the store lacks."""

from ollamactl.facts import Facts, Manifest
from ollamactl.model import Fleet, Instance, Store
from ollamactl.planning import missing

OLD = "a" * 64
FLEET = Fleet(
    instances=(
        Instance(name="a", port=1, models=("there:latest", "gone:latest")),
        Instance(name="b", port=2, models=("gone:latest",)),
        Instance(name="c", port=3, models=("fixed:latest",), digests=(("fixed:latest", OLD),)),
    )
)


def manifest(model: str) -> Manifest:
    return Manifest(model=model, path="", data=b"", digest=OLD)


def test_each_missing_model_is_pulled_once_with_who_declares_it() -> None:
    facts = Facts(manifests={"there:latest": manifest("there:latest")})
    rows = [(step.subject, step.cause, step.instance) for step in missing.steps(FLEET, facts)]

    assert rows == [("gone:latest", "a and b declare it", ""), ("fixed:latest", "c declares it", "c")]
    assert [step.subject for step in missing.steps(FLEET, facts, ["c"])] == ["fixed:latest"]


def test_a_version_that_a_view_keeps_is_not_missing() -> None:
    facts = Facts(kept={OLD: manifest("fixed:latest")})
    assert [step.subject for step in missing.steps(FLEET, facts, ["c"])] == []

    shared = Instance(name="c", port=3, models=("fixed:latest",), digests=(("fixed:latest", OLD),), store=Store.SHARED)
    assert [step.subject for step in missing.steps(Fleet(instances=(shared,)), facts)] == ["fixed:latest"]
