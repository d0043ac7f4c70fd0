"""Which models a plan pulls: those that somebody declares and the store lacks."""

from ollamactl.facts import Facts, Manifest
from ollamactl.model import Fleet, Instance, Store
from ollamactl.modelname import ModelName
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


class Recipe:
    """A model of the spec's own."""

    def __init__(self, model: str, base: str, why: str) -> None:
        self.model, self.base, self.size, self._why = model, ModelName.parse(base), 7, why

    def stale(self, made: Manifest | None) -> str:
        return self._why


def test_what_is_made_is_not_pulled_but_what_it_is_made_from_is() -> None:
    fleet = Fleet(instances=(Instance(name="a", port=1, models=("own:latest", "base:latest")),))
    recipes = (
        Recipe("own:latest", "base", "new"),
        Recipe("other:latest", "deep", "new"),
        Recipe("good:latest", "x", ""),
    )

    def rows(only: tuple[str, ...] = (), **stored: str) -> list[str]:
        there = {name: manifest(name) for name in stored.values()}
        found = missing.steps(fleet, Facts(), only, recipes=recipes, stored=there)
        return [f"{step.kind} {step.subject}: {step.cause}" for step in found]

    base, made = "pull base:latest: a declares it", "create own:latest: new"
    deep = "pull deep:latest: other:latest is made from it"
    assert rows() == [deep, base, made, "create other:latest: new"]
    assert rows(x="deep:latest") == [base, made, "create other:latest: new"]
    assert rows(("a",)) == [base, made]
    sizes = {step.subject: step.size for step in missing.steps(fleet, Facts(), recipes=recipes)}
    assert sizes == {"deep:latest": None, "base:latest": None, "own:latest": 7, "other:latest": 7}
