"""From the text of a spec to a valid Fleet, or to every problem at once. Pure."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ollamactl.errors import Location, Problem, Severity, SpecError, WrongValueError
from ollamactl.model import (
    Backend,
    Fleet,
    Health,
    Instance,
    Pull,
    unit_name,
)
from ollamactl.spec import checks, derived, specmodel, specvalue, violations, yamltree
from ollamactl.spec.specplace import Path, dotted
from ollamactl.spec.yamltree import Tree
from ollamactl.units import ollama_env

_MAX_PROBLEMS = 100
_MAX_INSTANCES = 5000
_DEFAULTS: Path = ("defaults",)
_OLLAMA = {"binary": specvalue.program, "models": specvalue.path}


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """A valid spec: its fleet, the warnings and notes about it, and where each value stands."""

    fleet: Fleet
    problems: tuple[Problem, ...]
    locations: Mapping[Path, Location]


def load(data: bytes, *, name: str, source: str = "", validated: bool = False) -> Spec:
    """Read a spec; `name` is what messages call the file, `source` the absolute path that the fleet keeps.

    `validated` says that these very bytes have passed this very version before, and leaves the JSON Schema out, which
    takes most of the time; all else still runs. Raises SpecError with every problem, in the order of the file.
    """
    tree = yamltree.parse(data, name=name, hidden="secrets")
    reader = _Reader(tree)
    if not validated:
        reader.validate()
    fleet = reader.fleet(source)
    problems = _in_order([*tree.problems, *reader.problems, *checks.check(fleet, tree.locations, reader.unread)])
    if any(problem.severity is Severity.ERROR for problem in problems):
        raise SpecError(_as_many_as_help([problem for problem in problems if problem.severity is not Severity.NOTE]))
    return Spec(fleet=fleet, problems=tuple(_as_many_as_help(problems)), locations=tree.locations)


def _as_many_as_help(problems: list[Problem]) -> list[Problem]:
    """The gravest of many, in their order, and how many more there are."""
    if len(problems) <= _MAX_PROBLEMS:
        return problems
    gravest = sorted(problems, key=lambda problem: list(Severity).index(problem.severity))
    kept, left = gravest[:_MAX_PROBLEMS], gravest[_MAX_PROBLEMS:]
    more = Problem(message=f"and {len(left)} more like these", hint="begin with the first", severity=left[0].severity)
    return [*_in_order(kept), more]


class _Reader:
    """Turns plain data into the model, and leaves out what is wrong, so that the rest can still be checked."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.problems: list[Problem] = []
        self.wrong: set[Path] = set()
        self.holds_wrong: set[Path] = set()
        self.readers: Mapping[str, Callable[[Any], Any]] = {}
        self.unread: dict[str, frozenset[str]] = {}
        """By instance: the keys whose value, its own or that of `defaults`, is unknown."""
        self._failed: defaultdict[Path, set[str]] = defaultdict(set)

    def validate(self) -> None:
        """Hold the data against the JSON Schema."""
        instances = self.tree.data.get("instances") if isinstance(self.tree.data, dict) else None
        if isinstance(instances, dict) and len(instances) > _MAX_INSTANCES:
            self._fail(("instances",), f"has {len(instances)} instances; one host can have {_MAX_INSTANCES}")
            raise SpecError(self.problems)
        for violation in violations.violations(self.tree.data, self.tree.locations.spot):
            path = violation.path
            self.wrong.add(path)
            self.holds_wrong.update(path[:depth] for depth in range(len(path) + 1))
            location = self.tree.locations.key(path) if violation.on_key else None
            self._fail(path, violation.message, violation.hint, location)
            if violation.meant:
                self._note_failed((*path[:-1], violation.meant))

    def fleet(self, source: str) -> Fleet:
        """The fleet of all instances that can be read; what is wrong with the others is in `problems`."""
        data = _mapping(self.tree.data)
        raw = _mapping(data.get("instances"))
        if data.get("instances") == {}:
            message = "has no instance: apply removes every instance that it has installed"
            self._tell(("instances",), message, severity=Severity.WARNING)
        unit = specvalue.each(lambda value: unit_name(value) if value in raw else specvalue.unit(value, raw))
        self.readers = {**specvalue.READERS, "after": unit, "requires": unit}
        ollama = self._values(_mapping(data.get("ollama")), ("ollama",), _OLLAMA)
        binary = ollama.get("binary", Fleet().binary)
        defaults = self._settings(_mapping(data.get("defaults")), _DEFAULTS)
        shared = {"binary": binary, **derived.built(defaults)}
        instances = []
        for name, value in raw.items():
            path: Path = ("instances", name)
            own = self._settings(_mapping(value), path)
            written = derived.flat(own)
            for key in derived.MERGED:
                if own.get(key) is not None and defaults.get(key) is not None:
                    own[key] = {**defaults[key], **own[key]}
            settings = {**shared, **derived.built(own)}
            if settings["binary"] is None:
                settings["binary"] = binary
            if settings.get("backend") is Backend.CPU:
                settings.setdefault("gpus", ())
            if "models" in settings:
                settings |= derived.fixed(settings["models"])
            if "models" not in _mapping(value) and path not in self.wrong:
                self._models_from_name(name, path, settings)
            settings |= derived.preload(settings)
            settings |= derived.door(settings)
            if self._failed or path in self.wrong:
                missing = {"port", "models"} - settings.keys() | ({"name"} if path in self.wrong else set())
                self.unread[name] = frozenset(missing | self._failed[path] | (self._failed[_DEFAULTS] - written))
            if isinstance(value, dict):
                # What is missing has been told; the other rules still look at the rest.
                instances.append(Instance(name=name, **{"port": 0, "models": (), **settings}))
        keep = data.get("keep_generations")
        health = self._values(_mapping(data.get("health")), ("health",), specvalue.HEALTH)
        pull = self._settings(_mapping(data.get("pull")), ("pull",), specvalue.PULL)
        return Fleet(
            binary=binary,
            models_dir=ollama.get("models", Fleet().models_dir),
            instances=tuple(instances),
            source=source,
            keep_generations=keep if isinstance(keep, int) else Fleet().keep_generations,
            health=Health(**health) if isinstance(data.get("health"), dict) else None,
            pull=Pull(**derived.built(pull)),
            cards=tuple(self._cards(_mapping(data.get("gpus")))),
            custom=tuple(self._custom(_mapping(data.get("custom")))),
        )

    def _cards(self, raw: Mapping[str, Any]) -> Iterable[tuple[str, int]]:
        first: dict[str, str] = {}
        for name, size in self._values(raw, ("gpus",), dict.fromkeys(raw, specvalue.size)).items():
            try:
                card = specvalue.card(name)
            except WrongValueError as error:
                self._fail(("gpus", name), str(error), error.hint)
                continue
            if (other := first.setdefault(card, name)) != name:
                self._fail(("gpus", name), f"is the card {other} once more", "keep one of the two")
            else:
                yield card, size

    def _custom(self, raw: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        for name, value in raw.items():
            try:
                model = specmodel.model(name)
            except WrongValueError as error:
                self._fail(("custom", name), str(error), error.hint)
                continue
            found = self._values(_mapping(value), ("custom", name), {"modelfile": specvalue.path})
            if path := found.get("modelfile"):
                yield model, path

    def _settings(
        self, raw: Mapping[str, Any], path: Path, readers: Mapping[str, Callable[[Any], Any]] | None = None
    ) -> dict[str, Any]:
        """The values of one instance, of `defaults` or of `pull`, as far as they are written."""
        settings = self._values(raw, path, self.readers if readers is None else readers)
        for key in derived.MERGED:
            if settings.get(key) is not None:
                settings[key] = (
                    self._values(settings[key], (*path, key), derived.GROUPS[key])
                    if key in derived.GROUPS
                    else self._aliases(settings[key], (*path, key))
                    if key == "aliases"
                    else self._variables(settings[key], (*path, key))
                )
        return settings

    def _aliases(self, raw: Mapping[str, Any], path: Path) -> dict[str, str]:
        result = {}
        for name, value in raw.items():
            at = (*path, name)
            if self.wrong and self._is_wrong(at, value):
                continue
            try:
                result[specmodel.model(name)] = specmodel.model(value)
            except WrongValueError as error:
                self._fail(at, str(error), error.hint)
        return result

    def _values(
        self, raw: Mapping[str, Any], path: Path, readers: Mapping[str, Callable[[Any], Any]]
    ) -> dict[str, Any]:
        result = {}
        for key, value in raw.items():
            if self.wrong and self._is_wrong((*path, key), value):
                continue
            read = readers.get(key)
            try:
                result[key] = value if read is None or value is None else read(value)
            except WrongValueError as error:
                for wrong in (error, *error.others):
                    at = (*path, key) if wrong.item is None else (*path, key, wrong.item)
                    self._fail(at, str(wrong), wrong.hint)
        return result

    def _variables(self, raw: Mapping[str, Any], path: Path) -> dict[str, str]:
        result = {}
        for name, value in raw.items():
            at = (*path, name)
            if self.wrong and self._is_wrong(at, value):
                continue
            # What YAML reads as a number or a boolean reaches the server as it is written.
            text = value if isinstance(value, str) else self.tree.words[at]
            try:
                result[name] = ollama_env.normalise(name, text)
            except ValueError as error:
                self._fail(at, str(error), f'write {name}: "0" or {name}: "1"')
        return result

    def _models_from_name(self, name: str, path: Path, settings: dict[str, Any]) -> None:
        try:
            settings["models"] = (specmodel.model(name),)
            settings["models_from_name"] = True
        except WrongValueError:
            self._fail(path, f"{name!r} is not a model's name, and no models are given", "write models: [NAME, ...]")

    def _is_wrong(self, path: Path, value: object) -> bool:
        return path in self.wrong or (path in self.holds_wrong and not isinstance(value, dict))

    def _fail(self, path: Path, message: str, hint: str = "", location: Location | None = None) -> None:
        self._note_failed(path)
        self._tell(path, message, hint, location)

    def _note_failed(self, path: Path) -> None:
        """Remember that the value of a key is unknown: `port`, or `limits.nice` of a group."""
        settings: Path = path[: 1 if path[:1] == _DEFAULTS else 2]
        if rest := path[len(settings) :]:
            self._failed[settings].add(".".join(map(str, rest[: 2 if rest[0] in derived.GROUPS else 1])))

    def _tell(
        self,
        path: Path,
        message: str,
        hint: str = "",
        location: Location | None = None,
        severity: Severity = Severity.ERROR,
    ) -> None:
        for depth in range(len(path), -1, -1):
            location = location or self.tree.locations.get(path[:depth])
        instance = str(path[1]) if path[:1] == ("instances",) and len(path) > 1 else ""
        told = Problem(message=message, hint=hint, path=dotted(path), location=location, instance=instance)
        self.problems.append(told if severity is Severity.ERROR else replace(told, severity=severity))
        if len(self.problems) >= _MAX_PROBLEMS:
            more = f"these are {_MAX_PROBLEMS} problems, and there may be more"
            raise SpecError([*_in_order(self.problems), Problem(message=more, hint="begin with the first")])


def _in_order(problems: Iterable[Problem]) -> list[Problem]:
    """By their places; what several instances take from one place (an anchor) is told once."""
    once: dict[object, Problem] = {}
    for one in problems:
        once.setdefault((one.location or one.path, one.path.rpartition(".")[2], one.message), one)
    return sorted(once.values(), key=lambda one: (one.location.line, one.location.column) if one.location else (0, 0))


def _mapping(value: Any) -> dict[str, Any]:
    """The value where it is a mapping; what else it may be, the schema has reported."""
    return value if isinstance(value, dict) else {}
