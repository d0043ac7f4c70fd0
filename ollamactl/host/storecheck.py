"""What is wrong with a model store, before a server finds out: missing models, damaged ones, rights, a wrong folder."""

# ruff: noqa: PTH116
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ollamactl.errors import Problem, Severity, listed
from ollamactl.facts import Manifest
from ollamactl.host import reach
from ollamactl.manifest import layers, short
from ollamactl.modelname import ModelName
from ollamactl.spec.declared import Declared, Fixed

_NO_FOLDER = "is not a directory"
_PASS, _READ = stat.S_IXOTH, stat.S_IROTH


def find(
    models_dir: Path,
    manifests: Mapping[str, Manifest],
    wanted: Declared,
    *,
    root: Path = Path("/"),
    others: bool,
    present: Callable[[], Sequence[str]],
    kept: Mapping[str, Manifest],
    pulling: bool = False,
) -> Iterator[Problem]:
    """Everything wrong for the wanted models; `others` as in binary.problem, `kept` as in Facts.

    `present` lists the models that there are; it is asked only where one is missing. `pulling`: what is missing will
    be pulled, the store itself too.
    """
    base = os.fspath(models_dir)
    if others and (link := next(filter(None, map(reach.astray, (base, f"{base}/manifests", f"{base}/blobs"))), "")):
        yield _strayed(link)
        return
    if wrong := _wrong_folder(base, root, wanted.models, pulling=pulling, others=others):
        yield wrong
        return
    names: Sequence[str] | None = None
    damaged: list[str] = []
    for name in wanted.models:
        manifest = manifests.get(name)
        moved = [each for each in wanted.fixed(name) if manifest is None or each.digest != manifest.digest]
        held = [each for each in moved if each.isolated and each.digest in kept]
        if manifest and not wanted.all_among(name, moved):
            for problem in damage(base, manifest, damaged, others=others):
                yield replace(problem, instance=wanted.instance(name))
        elif manifest is None and not pulling and not wanted.all_among(name, held):
            names = present() if names is None else names
            yield _missing(base, root, name, wanted, names, others=others)
        elif manifest is None and not held:
            names = present() if names is None else names
            if alike := _alike(name, names):
                told = wanted.problem(
                    name, f"{name} is not in the store, so it is to be pulled", f"did you mean {alike}?"
                )
                yield replace(told, severity=Severity.NOTE)
        for each in moved if manifest else held:
            yield _moved(base, name, each, wanted, manifest, held=each in held, others=others)
        for each in held:
            for problem in damage(base, kept[each.digest], damaged, others=others):
                yield replace(problem, instance=each.instance)
    if others:
        yield from _rights(base, [*(manifests[name] for name in wanted.models if name in manifests), *kept.values()])


def _moved(
    base: str, name: str, fixed: Fixed, wanted: Declared, manifest: Manifest | None, *, held: bool, others: bool
) -> Problem:
    """The store has another version than the one to which a model is fixed, or none."""
    now = f"has {short(manifest.digest)} under that name now" if manifest else "has that name no more"
    hint = f"to take the new one: {name}@sha256:{manifest.digest}" if manifest else f"pull it: {_pull(name, others)}"
    message = f"{name} is fixed to {short(fixed.digest)}, and the store {base} {now}"
    if held:
        problem = wanted.problem(name, f"{message}; {fixed.instance} keeps the fixed one", hint, fixed)
        return replace(problem, severity=Severity.WARNING)
    return wanted.problem(name, message, f"{hint}; no registry gives the old one by its digest", fixed)


def _wrong_folder(base: str, root: Path, wanted: Sequence[str], *, pulling: bool, others: bool) -> Problem | None:
    """A folder that is no store though one is near, or that does not exist."""
    if _is_folder(f"{base}/manifests") and _is_folder(f"{base}/blobs"):
        return None
    for near in (f"{base}/models", f"{base}/.ollama/models", os.path.dirname(base)):  # noqa: PTH120
        if _is_folder(f"{near}/manifests") and _is_folder(f"{near}/blobs"):
            message = "is not a model store, but one is near it"
            return Problem(message=message, hint=_write(near.removeprefix(f"{root}".rstrip("/"))), path=base)
    if not os.path.lexists(base):
        message = "there is no model store here"
    elif not _is_folder(base):
        message = _NO_FOLDER
    elif pulling:
        return None
    else:
        message = "has no models yet (no manifests/ and blobs/ in it)"
    if elsewhere := _stores(root):
        message += f", but there is one in {listed(elsewhere)}"
        new = f"; for one of its own: `{'sudo ' if others else ''}mkdir -p {base}`" if pulling else ""
        return Problem(message=message, hint=f"{_write(elsewhere[0])}{new}", path=base)
    if pulling and message != _NO_FOLDER:
        return None
    return Problem(message=message, hint=_pull(wanted[0] if wanted else "MODEL", others), path=base)


def _strayed(link: str) -> Problem:
    """Servers would see, and root would copy, what the link's maker may have no right to."""
    target = os.path.realpath(link)
    message = f"{link} is a link that its owner, not root, made to {target}, which is not theirs"
    return Problem(message=message, hint=f"if it shall lead there: `sudo chown -h root {link}`", path=link)


def _stores(root: Path) -> Sequence[str]:
    from ollamactl.host import discover

    return discover.stores(root)


def _write(store: str) -> str:
    return f"write `models: {store}` below `ollama:`"


def _missing(base: str, root: Path, name: str, wanted: Declared, present: Sequence[str], *, others: bool) -> Problem:
    who = "" if wanted.instance(name) else f", which {wanted.who(name)} declare,"
    there = f"has {', '.join(present[:8])}{', ...' if len(present) > 8 else ''}" if present else "is empty"
    path = ModelName.parse(name).manifest_path
    inside = [store for store in _stores(root) if os.path.isfile(f"{root}/{store}/manifests/{path}")]  # noqa: PTH113
    if inside:
        hint = f"it is in another store: {_write(inside[0])}"
    elif alike := _alike(name, present):
        hint = f"did you mean {alike}? If not, pull it: {_pull(name, others)}"
    else:
        hint = f"pull it: {_pull(name, others)}"
    return wanted.problem(name, f"{name}{who} is not in the store {base}, which {there}", hint)


def _alike(name: str, present: Sequence[str]) -> str:
    """The model that was probably meant: another tag of the same, or one of nearly the same name."""
    from ollamactl.spec import suggest

    families: dict[str, str] = {}
    for other in present:
        families.setdefault(other.rpartition(":")[0], other)
    spelled = [other for other in present if other.lower() == name.lower()]
    return spelled[0] if spelled else families.get(suggest.nearest(name.rpartition(":")[0], families), "")


def _pull(name: str, others: bool) -> str:
    return f"{'sudo ollamactl' if others else 'ollamactl --user'} pull {name}"


def damage(base: str, manifest: Manifest, told: list[str], *, others: bool = True) -> Iterator[Problem]:
    """Blobs of a manifest that are missing or of another size; one that several models share is told once."""
    found = layers(manifest.data)
    path = f"{base}/manifests/{manifest.path}"
    again = _pull(manifest.model, others)
    if found is None:
        yield Problem(message=f"the manifest of {manifest.model} is damaged", hint=again, path=path)
        return
    for digest, size in found:
        blob = f"{base}/blobs/{digest.replace(':', '-')}"
        if blob in told:
            continue
        try:
            actual = os.stat(blob).st_size
        except FileNotFoundError:
            message = f"a part of {manifest.model} is missing, so it can't be loaded"
        except OSError as error:
            message = f"a part of {manifest.model} can't be read: {error.strerror}"
        else:
            if actual == size:
                continue
            message = f"a part of {manifest.model} has {actual} bytes instead of {size}"
        told.append(blob)
        yield Problem(message=message, hint=again, path=blob)


def _rights(base: str, manifests: Sequence[Manifest]) -> Iterator[Problem]:
    """Folders and files that the servers' own users can't read."""
    real = os.path.realpath(base)
    for parent in reach.closed_parents(real):
        message = f"the servers' own users may not pass {parent}, so they see no model"
        yield Problem(message=message, hint=f"`sudo chmod o+x {parent}`", path=base)
    closed = [folder for folder in (base, f"{base}/blobs") if not reach.others_may(folder, _READ | _PASS)]
    for manifest in manifests:
        for digest, _ in layers(manifest.data) or ():
            blob = f"{base}/blobs/{digest.replace(':', '-')}"
            if blob not in closed and not reach.others_may(blob, _READ):
                closed.append(blob)
    if closed:
        more = f" and {len(closed) - 1} more" if len(closed) > 1 else ""
        message = f"the servers' own users may not read {closed[0]}{more}"
        yield Problem(message=message, hint=f"`sudo chmod -R o+rX {base}`", path=base, severity=Severity.ERROR)


def _is_folder(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except PermissionError:
        return True  # it is there; what is in it is told by the reading
    except OSError:
        return False
