"""What a model of the spec's own is made from, read at the edge: its Modelfile, its files, the model that it bases on.

The manifest of a model that was made says what it was made from (`annotations`, as OCI images have them; Ollama passes
them by). So no state of ours can disagree with the store, and whoever makes the model anew by hand is noticed.
"""

# ruff: noqa: PTH116, PTH118, PTH120
import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ollamactl.facts import Manifest
from ollamactl.host import reach, store
from ollamactl.model import Fleet
from ollamactl.modelname import ModelName
from ollamactl.pulling import modelfile
from ollamactl.pulling.modelfile import Modelfile

_PREFIX = "ollamactl."
_MAX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How one model is made."""

    model: str
    path: str
    """Of the Modelfile."""
    read: Modelfile | None = None
    base: ModelName | None = None
    """The model that FROM names; None where it names a file."""
    files: tuple[str, ...] = ()
    """Absolute paths of what FROM names."""
    adapters: tuple[str, ...] = ()
    size: int = 0
    """Bytes of all those files, which are copied; what another model gives to it is there."""
    marks: Mapping[str, str] | None = None
    """What it is made from, each with what changes when that does; None where it cannot be said yet."""
    problem: str = ""
    """Why it cannot be made."""

    def stale(self, made: Manifest | None) -> str:
        """Why it is to be made (again), in words; empty where it is as the spec says."""
        if self.problem:
            return f"{self.path}: {self.problem}"
        if made is None:
            return f"made by {self.path}"
        if self.marks is None:
            return f"{self.base.short} is to be pulled" if self.base else ""
        known = marks(made.data)
        changed = [name for name in self.marks if known.get(name) != self.marks[name]]
        gone = [name for name in known if name not in self.marks]
        return f"{(changed or gone)[0]} changed" if changed or gone else ""


def marks(data: bytes) -> dict[str, str]:
    """What a manifest says that its model was made from."""
    try:
        found = json.loads(data).get("annotations") or {}
        return {name.removeprefix(_PREFIX): str(found[name]) for name in found if name.startswith(_PREFIX)}
    except (ValueError, AttributeError, TypeError):
        return {}


def marked(data: bytes, made_from: Mapping[str, str]) -> bytes:
    """A manifest that says what its model was made from."""
    manifest = json.loads(data)
    manifest["annotations"] = {f"{_PREFIX}{name}": mark for name, mark in made_from.items()}
    return json.dumps(manifest, separators=(",", ":")).encode()


def look(fleet: Fleet, models_dir: Path) -> tuple[Recipe, ...]:
    """The recipes of a fleet's own models, in the order of the spec."""
    return tuple(read_recipe(model, path, models_dir, spec=fleet.source) for model, path in fleet.custom)


def read_recipe(model: str, path: str, models_dir: Path, *, spec: str) -> Recipe:
    """One of them; `spec` is the file that names it.

    Not a word is told of a Modelfile that others may not read, nor is a model made of it, where somebody else than
    root chose which file that is: everybody may read a model's parts.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(fd, "rb") as file:  # noqa: PTH123
            if why := _withheld(path, os.fstat(fd), spec):
                return Recipe(model=model, path=path, problem=why)
            data = file.read(_MAX_BYTES)
        read = modelfile.parse(data.decode())
    except OSError as error:
        return Recipe(model=model, path=path, problem=f"cannot be read: {(error.strerror or '').lower()}")
    except ValueError as error:
        why = "is not text" if isinstance(error, UnicodeDecodeError) else str(error)
        return Recipe(model=model, path=path, problem=why)
    found = {"the Modelfile": hashlib.sha256(data).hexdigest()}
    base, files, size = None, [], 0
    try:
        for source in read.sources:
            place = _place(source, path)
            if Path(place).exists():
                files.append(place)
            elif source.startswith((".", "/", "~")) or source.endswith(".gguf"):
                raise ValueError(f"there is no {place}, which FROM names")
            else:
                base = ModelName.parse(source)
        adapters = tuple(_place(adapter, path) for adapter in read.adapters)
        for place in (*files, *adapters):
            about = os.stat(place)
            if not stat.S_ISREG(about.st_mode):
                raise ValueError(f"{place} is no file: make a GGUF file of it (llama.cpp's convert_hf_to_gguf)")
            if why := _withheld(place, about, spec):
                raise ValueError(f"{place}: {why}")
            size += about.st_size
            found[place] = f"{about.st_size}-{about.st_mtime_ns}"
    except OSError as error:
        return Recipe(model=model, path=path, problem=f"{error.filename}: {(error.strerror or '').lower()}")
    except ValueError as error:
        return Recipe(model=model, path=path, problem=str(error))
    recipe = Recipe(
        model=model, path=path, read=read, base=base, files=tuple(files), adapters=adapters, size=size, marks=found
    )
    if base is None:
        return recipe
    there = store.read(models_dir, wanted=[base]).get(base.short)
    return replace(recipe, marks={**found, base.short: there.digest} if there else None)


def _withheld(path: str, about: os.stat_result, spec: str) -> str:
    """Why root must not read a file for whoever wrote the spec; empty where it may."""
    if os.geteuid():
        return ""
    real = os.path.realpath(path)
    folders = [str(folder) for folder in Path(real).parents]
    everybody = about.st_mode & stat.S_IROTH and all(reach.others_may(each, stat.S_IXOTH) for each in folders)
    _, who = next(iter(reach.writers(spec)), ("", "")) if spec else ("", "")
    if everybody or not who:
        return ""
    return f"others may not read it, and {who} can change the spec: keep that in /etc/ollamactl, or let all read this"


def needed(recipes: Iterable[Recipe]) -> Iterator[tuple[str, str]]:
    """The spec's own models and those that an apply would pull to make them, each with the reason."""
    for each in recipes:
        yield each.model, f"made by {each.path}"
        if each.base:
            yield each.base.short, f"{each.model} is made from it"


def _place(source: str, path: str) -> str:
    return os.path.normpath(os.path.join(os.path.dirname(path), Path(source).expanduser()))
