"""Which instances declare which models, and where the spec says so. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from ollamactl.errors import Location, Problem, listed
from ollamactl.model import Fleet, Store
from ollamactl.spec.specplace import Path, Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed:
    """The version of a model that one instance wants."""

    digest: str
    instance: str
    isolated: bool
    """It has a view of its own, which may keep a version that the store has lost."""
    keys: tuple[str | int, ...]


class Declared:
    """The models of a fleet, or of a part of it, in the order of the spec."""

    def __init__(
        self,
        fleet: Fleet,
        locations: Mapping[Path, Location] = MappingProxyType({}),
        *,
        only: Collection[str] = (),
    ) -> None:
        self._place = Place(locations)
        self._by: dict[str, list[tuple[str, tuple[str | int, ...]]]] = {}
        self._fixed: dict[str, list[Fixed]] = {}
        for instance in fleet.instances:
            fixed, isolated = dict(instance.digests), instance.store is Store.ISOLATED
            for at, model in enumerate(instance.models if not only or instance.name in only else ()):
                keys = () if instance.models_from_name else ("models", at)
                self._by.setdefault(model, []).append((instance.name, keys))
                if model in fixed:
                    version = Fixed(digest=fixed[model], instance=instance.name, isolated=isolated, keys=keys)
                    self._fixed.setdefault(model, []).append(version)

    @property
    def models(self) -> tuple[str, ...]:
        """Each once, by the name that Ollama lists."""
        return tuple(self._by)

    def fixed(self, model: str) -> Sequence[Fixed]:
        """Who wants just one version of it."""
        return self._fixed.get(model, ())

    def all_among(self, model: str, some: Collection[Fixed]) -> bool:
        """Whether nobody else declares it."""
        return len(some) == len(self._by[model])

    def who(self, model: str) -> str:
        """Its instances, in words."""
        return listed([name for name, _ in self._by[model]])

    def instance(self, model: str) -> str:
        """The one instance that declares it; empty where several do."""
        return self._by[model][0][0] if len(self._by[model]) == 1 else ""

    def problem(self, model: str, message: str, hint: str, fixed: Fixed | None = None) -> Problem:
        """A problem with a model, at the first place that declares it, or where it is fixed."""
        name, keys = (fixed.instance, fixed.keys) if fixed else self._by[model][0]
        found = self._place.problem(self._place.of(name, *keys), message, hint)
        return replace(found, instance=fixed.instance if fixed else self.instance(model))
