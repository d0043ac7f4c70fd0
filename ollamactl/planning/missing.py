"""The models that a fleet declares and the store lacks, as steps of a plan. Pure."""

from collections.abc import Collection, Iterable

from ollamactl.facts import Facts
from ollamactl.model import Fleet
from ollamactl.planning.plan import Step, StepKind
from ollamactl.spec.declared import Declared


def steps(fleet: Fleet, facts: Facts, only: Collection[str] = ()) -> Iterable[Step]:
    """One for each model, in the order of the spec; `only` are the instances that the plan is limited to."""
    declared = Declared(fleet, only=only)
    for model in declared.models:
        kept = [each for each in declared.fixed(model) if each.isolated and each.digest in facts.kept]
        if model not in facts.manifests and not declared.all_among(model, kept):
            yield Step(
                kind=StepKind.PULL,
                subject=model,
                cause=f"{declared.who(model)} {'declares' if declared.instance(model) else 'declare'} it",
                instance=declared.instance(model),
            )
