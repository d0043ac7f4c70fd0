"""What of a store may go: models that nobody needs, and what no model refers to. Pure."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from ollamactl import manifest
from ollamactl.model import Fleet, Store
from ollamactl.modelname import ModelName


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A file where a manifest belongs."""

    path: str
    """Below `manifests/`."""
    data: bytes = field(default=b"", repr=False)
    strange: str = ""
    """Why it can't be read as one."""

    @property
    def model(self) -> str:
        """The name under which Ollama lists it; empty where it does not."""
        return manifest.listed_as(self.path)

    @property
    def digest(self) -> str:
        """In hex, as /api/tags has it."""
        return manifest.digest(self.data)

    @property
    def size(self) -> int:
        """Bytes of its parts, which other models may share."""
        return sum(size for _, size in manifest.layers(self.data) or ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Lying:
    """A file among the blobs."""

    name: str
    size: int
    """Bytes."""
    age: float
    """Seconds since it was last changed, in any way."""
    part: bool = False
    """Of a download that has not ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """All that is in a store."""

    manifests: tuple[Entry, ...] = ()
    files: tuple[Lying, ...] = ()

    @property
    def strange(self) -> tuple[Entry, ...]:
        """Manifests of which nobody knows to which blobs they refer; a name that is none is no manifest to Ollama."""
        return tuple(each for each in self.manifests if each.strange and each.model)


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """Who needs what."""

    models: Mapping[str, str] = field(default_factory=dict)
    """Folded name -> who needs it, in words."""
    manifests: tuple[bytes, ...] = field(default=(), repr=False)
    """Versions that servers have in their views, or kept generations."""
    whole: str = ""
    """Who serves all that there is; empty where nobody does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What may go, and what stays though the fleet does not serve it."""

    models: tuple[Entry, ...] = ()
    files: tuple[Lying, ...] = ()
    kept: tuple[tuple[str, str], ...] = ()
    """Model -> why it stays."""

    @property
    def freed(self) -> int:
        """Bytes."""
        return sum(file.size for file in self.files)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.models and not self.files


def needs(
    fleet: Fleet,
    views: Iterable[bytes],
    spec: Fleet | None,
    generations: Iterable[tuple[int, Fleet, Iterable[bytes]]],
    *,
    made: Iterable[tuple[str, str]] = (),
) -> Needs:
    """What the installed fleet, the spec as it is now and the kept generations need; the first of them is told.

    `made` are models of the spec's own and what they are made from, each with who needs it.
    """
    models: dict[str, str] = {}
    manifests = [*views]
    for instance in fleet.instances:
        _note(models, instance.models, f"{instance.name} serves it")
    for instance in spec.instances if spec else ():
        _note(models, instance.models, f"{instance.name} will serve it, by the spec")
    for name, why in made:
        _note(models, [name], why)
    for number, then, seen in sorted(generations, key=lambda each: -each[0]):
        manifests += seen
        for instance in then.instances:
            _note(models, instance.models, f"generation {number} has it: ollamactl history show {number}")
    whole = [instance.name for instance in fleet.instances if instance.store is not Store.ISOLATED]
    return Needs(models=models, manifests=tuple(manifests), whole=", ".join(whole))


def _note(models: dict[str, str], names: Iterable[str], why: str) -> None:
    for name in names:
        models.setdefault(ModelName.parse(name).folded, why)


def choose(contents: Contents, wanted: Needs, *, keep: Collection[str] = (), older: float) -> Choice:
    """What may go. `keep` are models that stay all the same; what is not `older` (seconds) may be in the making.

    Nothing goes of a store with manifests that nobody can read.
    """
    if contents.strange:
        return Choice()
    asked = {ModelName.parse(name).folded for name in keep}
    gone, kept, referred = [], [], [*wanted.manifests]
    for each in contents.manifests:
        why = _why(each, wanted, asked)
        if each.model and not why:
            gone.append(each)
            continue
        referred.append(each.data)
        if each.model:
            kept.append((each.model, why))
    stay = blobs(referred)
    freed = blobs(each.data for each in gone)
    files = tuple(
        file
        for file in contents.files
        if file.name.lower() not in stay and (file.age > older or (file.name.lower() in freed and not file.part))
    )
    return Choice(models=tuple(gone), files=files, kept=tuple(kept))


def _why(entry: Entry, wanted: Needs, asked: Collection[str]) -> str:
    folded = entry.model.lower()
    if wanted.whole:
        return f"{wanted.whole} serves the whole store"
    return wanted.models.get(folded, "") or ("--keep" if folded in asked else "")


def blobs(manifests: Iterable[bytes]) -> set[str]:
    """The files that manifests refer to, in lower case."""
    found = (manifest.layers(data) or () for data in manifests)
    return {digest.replace(":", "-").lower() for layers in found for digest, _ in layers}


def again(choice: Choice, shown: Choice) -> Choice:
    """What may still go of what was shown: the store may have changed while somebody thought about it."""
    models = {(each.path, each.data) for each in shown.models}
    files = {(each.name, each.size) for each in shown.files}
    return Choice(
        models=tuple(each for each in choice.models if (each.path, each.data) in models),
        files=tuple(each for each in choice.files if (each.name, each.size) in files),
        kept=choice.kept,
    )
