"""Which instances declare which models, and where the spec says so. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from types import MappingProxyType

from ollamactl.errors import Location, Problem, listed
from ollamactl.model import Fleet
from ollamactl.spec.specplace import Path, Place


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
        for instance in fleet.instances:
            for at, model in enumerate(instance.models if not only or instance.name in only else ()):
                keys = () if instance.models_from_name else ("models", at)
                self._by.setdefault(model, []).append((instance.name, keys))

    @property
    def models(self) -> tuple[str, ...]:
        """Each once, by the name that Ollama lists."""
        return tuple(self._by)

    def who(self, model: str) -> str:
        """Its instances, in words."""
        return listed([name for name, _ in self._by[model]])

    def instance(self, model: str) -> str:
        """The one instance that declares it; empty where several do."""
        return self._by[model][0][0] if len(self._by[model]) == 1 else ""

    def problem(self, model: str, message: str, hint: str) -> Problem:
        """A problem with a model, at the first place that declares it."""
        name, keys = self._by[model][0]
        found = self._place.problem(self._place.of(name, *keys), message, hint)
        return replace(found, instance=self.instance(model))
