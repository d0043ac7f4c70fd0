"""The models that a fleet declares and the store lacks, and those of its own to make, as steps of a plan. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from ollamactl.facts import Facts, Manifest
from ollamactl.model import Fleet
from ollamactl.modelname import ModelName
from ollamactl.planning.plan import Step, StepKind
from ollamactl.spec.declared import Declared


class Recipe(Protocol):
    """How a model of the spec's own is made (pulling.recipe)."""

    @property
    def model(self) -> str:
        """Its name."""

    @property
    def base(self) -> ModelName | None:
        """The model that it is made from; None where that is a file."""

    @property
    def size(self) -> int:
        """Bytes that it takes of the disk."""

    def stale(self, made: Manifest | None) -> str:
        """Why it is to be made (again), in words; empty where it is as the spec says."""


def steps(
    fleet: Fleet,
    facts: Facts,
    only: Collection[str] = (),
    *,
    recipes: Sequence[Recipe] = (),
    stored: Mapping[str, Manifest] = MappingProxyType({}),
) -> Iterable[Step]:
    """One for each model, in the order of the spec; `only` are the instances that the plan is limited to.

    `stored` are manifests of models with recipes, and of those that they are based on.
    """
    declared = Declared(fleet, only=only)
    made = {recipe.model for recipe in recipes}
    wanted = [each for each in recipes if not only or each.model in declared.models]
    stale = [(each, why) for each in wanted if (why := each.stale(stored.get(each.model)))]
    for recipe, _ in stale:
        base = recipe.base.short if recipe.base else ""
        told = base in declared.models and base not in facts.manifests
        if base and base not in stored and base not in made and not told:
            yield Step(kind=StepKind.PULL, subject=base, cause=f"{recipe.model} is made from it")
    yield from _pulls(declared, facts, made)
    for recipe, why in stale:
        yield Step(kind=StepKind.CREATE, subject=recipe.model, cause=why, size=recipe.size)


def _pulls(declared: Declared, facts: Facts, made: Collection[str]) -> Iterable[Step]:
    for model in declared.models:
        kept = [each for each in declared.fixed(model) if each.isolated and each.digest in facts.kept]
        if model not in facts.manifests and model not in made and not declared.all_among(model, kept):
            yield Step(
                kind=StepKind.PULL,
                subject=model,
                cause=f"{declared.who(model)} {'declares' if declared.instance(model) else 'declare'} it",
                instance=declared.instance(model),
            )
