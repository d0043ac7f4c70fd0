"""The rules on which models an instance serves, and under which names. Pure."""

from collections.abc import Iterator, Sequence

from ollamactl.errors import Problem, Severity, listed
from ollamactl.model import Instance, Store
from ollamactl.modelname import ModelName
from ollamactl.spec.specplace import Place


def named_after_models(instances: Sequence[Instance], place: Place) -> Iterator[Problem]:
    """Said, so that nobody wonders why `gpu0` wants a model gpu0."""
    names = [instance.name for instance in instances if instance.models_from_name]
    if names:
        verb = "serves the model of its" if len(names) == 1 else "each serve the model of their"
        message = f"{listed(names)} {verb} own name, as `models` is not given"
        yield place.problem(("instances",), message, severity=Severity.NOTE)


def models(instance: Instance, place: Place) -> Iterator[Problem]:
    """Each once, however it is spelled."""
    if instance.models_from_name:
        return
    name = instance.name
    seen: dict[str, str] = {}
    for at, model in enumerate(instance.models):
        folded = ModelName.parse(model).folded if len(instance.models) > 1 else model
        if folded in seen:
            message = (
                f"{model} is the same model as {seen[folded]}" if model != seen[folded] else f"{model} is listed twice"
            )
            yield place.problem(place.of(name, "models", at), message, "name it once")
        seen.setdefault(folded, model)


def aliases(instance: Instance, place: Place) -> Iterator[Problem]:
    """Names that are free, for models that are there, in a view that can have them."""
    if not instance.aliases:
        return
    path = place.of(instance.name, "aliases")
    if instance.store is not Store.ISOLATED:
        message = f"store: {instance.store} serves the store as it is, without aliases"
        yield place.problem(path, message, "remove them, or write store: isolated")
    taken = {ModelName.parse(model).folded: model for model in instance.models}
    for alias, model in instance.aliases:
        folded = ModelName.parse(alias).folded
        if folded in taken:
            yield place.problem(path, f"{alias} is {taken[folded]}, which it serves already", "choose another name")
        if model not in instance.models:
            message = f"{alias} stands for {model}, which {instance.name} does not serve"
            there = listed([*instance.models])
            yield place.problem(path, message, f"add {model} to its models, or name one that it serves: {there}")
        taken[folded] = alias


def preload(instance: Instance, place: Place) -> Iterator[Problem]:
    """What is to be in memory is served, and may stay there."""
    path = place.of(instance.name, "preload")
    for model in instance.preload:
        if model not in instance.models:
            message = f"names {model}, which {instance.name} does not serve"
            yield place.problem(path, message, f"name what it serves: {listed([*instance.models])}")
    if instance.preload and not instance.keep_alive:
        message = "keep_alive: 0 unloads what preload has loaded"
        yield place.problem(path, message, "remove one of them: preload alone means keep_alive: forever")
    most = instance.max_loaded_models
    if most is not None and len(instance.preload) > most:
        message = f"loads {len(instance.preload)} models, but max_loaded_models is {most}: each would push another out"
        yield place.problem(path, message, "name fewer, or raise max_loaded_models")
