"""Which models a command line means: those of instances, or models by their own names. Pure."""

from collections.abc import Iterable, Sequence

from ollamactl.errors import UsageError, WrongValueError
from ollamactl.model import Fleet
from ollamactl.spec import suggest
from ollamactl.spec.specmodel import model as model_name

_SPEC = (".yaml", ".yml")


def is_spec(word: str) -> bool:
    """Whether a word names a spec: a YAML file, a path from `/` or `.` on, or `-`; no model is called so."""
    return word == "-" or word.endswith(_SPEC) or word.startswith(("/", "./", "../"))


def models(fleet: Fleet, words: Sequence[str]) -> tuple[str, ...]:
    """The models of the instances that are named, and those named themselves; without words all of the fleet's.

    An instance goes before a model of the same name; `NAME:latest` is always the model. Raises UsageError.
    """
    by_name = {instance.name: instance for instance in fleet.instances}
    found: list[str] = []
    for word in words or by_name:
        found += by_name[word].models if word in by_name else [_model(word, by_name)]
    return tuple(dict.fromkeys(found))


def _model(word: str, instances: Iterable[str]) -> str:
    try:
        return model_name(word)
    except WrongValueError as error:
        raise UsageError(str(error), hint=suggest.hint(word, instances) or error.hint) from None
