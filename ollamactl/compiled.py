"""A spec compiled for a host: its fleet and every file; remembered as long as nothing that it depends on changes.

Parsing, validating and rendering are pure, so one digest over all that goes in (the text, this program, the host's
facts) and all that came out (the installed files) says that the installed files are still what the text means. That
saves an apply with nothing to do a third of its time. Any doubt leads to the long way.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ollamactl import __version__, manifest
from ollamactl.errors import Location, Problem, Severity
from ollamactl.facts import Facts, Layout, Manifest
from ollamactl.files import File, ObservedFile
from ollamactl.host import atomic
from ollamactl.host.observe import Host, read_facts
from ollamactl.model import Fleet
from ollamactl.spec.source import Source
from ollamactl.spec.specplace import Path as Place
from ollamactl.units import secretfile
from ollamactl.units.record import installed_fleet

_PACKAGE = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """What a spec means on a host."""

    fleet: Fleet
    facts: Facts
    files: tuple[File, ...]
    """Every file as it should be."""
    there: Mapping[str, ObservedFile]
    """Every file as it was found."""
    notes: tuple[Problem, ...] = ()
    locations: Mapping[Place, Location] = field(default_factory=dict, compare=False, repr=False)
    """Where each value stands; empty where the spec was not read."""


def compile_spec(host: Host, source: Source) -> Compiled:
    """The spec's fleet and files for this host. Raises SpecError with every problem."""
    there = host.files.managed(host.layout)
    if not host.offline and (remembered := _remembered(host, source, there)):
        return remembered
    from ollamactl.spec import specfile
    from ollamactl.units import render

    spec = specfile.load(source.data, name=source.name, source=source.path)
    facts = replace(_facts(host, spec.fleet, there), salts=_salts(host, spec.fleet, there))
    files = render.render(spec.fleet, facts)
    return Compiled(
        fleet=spec.fleet, facts=facts, files=files, there=there, notes=spec.problems, locations=spec.locations
    )


def _facts(host: Host, fleet: Fleet, there: Mapping[str, ObservedFile]) -> Facts:
    """What rendering must know, with the versions that only the installed views have."""
    facts = read_facts(host, fleet)
    fixed = {pair for instance in fleet.instances for pair in instance.digests}
    lost = {digest for _, digest in fixed - {(each.model, each.digest) for each in facts.manifests.values()}}
    if not lost:
        return facts
    kept = {each.digest: each for _, each in views(there.values(), host.layout) if each.digest in lost}
    return replace(facts, kept=dict(sorted(kept.items())))


def _salts(host: Host, fleet: Fleet, there: Mapping[str, ObservedFile]) -> Mapping[str, str]:
    """Each file of secrets keeps its salt, so that the same secrets are the same file."""
    found = {}
    for instance in fleet.instances:
        if instance.secrets:
            file = there.get(f"{host.layout.secrets}/{instance.name}.env")
            found[instance.name] = (secretfile.salt(file.data) if file else "") or os.urandom(16).hex()
    return found


def compile_installed(host: Host) -> Compiled:
    """The fleet that is installed, taken for what should be."""
    there = host.files.managed(host.layout)
    fleet = installed_fleet(there)
    return Compiled(fleet=fleet, facts=_facts(host, fleet, there), files=_as_desired(host, there), there=there)


def compile_files(host: Host, files: tuple[File, ...]) -> Compiled:
    """A fleet from files that were installed once: exactly these are what should be."""
    then = {file.path: ObservedFile(path=file.path, data=file.data, mode=file.mode, ours=True) for file in files}
    fleet = installed_fleet(then)
    facts = _facts(host, fleet, then)
    return Compiled(
        fleet=fleet,
        facts=replace(facts, manifests={**facts.manifests, **manifests_of(files, host.layout, fleet)}),
        files=files,
        there=host.files.managed(host.layout),
    )


def views(files: Iterable[File | ObservedFile], layout: Layout) -> Iterator[tuple[str, Manifest]]:
    """Each instance with each model that it sees, as files of views have it."""
    for file in files:
        if file.path.startswith(f"{layout.views}/"):
            instance, _, path = file.path.removeprefix(f"{layout.views}/").partition("/")
            if model := manifest.listed_as(path):
                digest = manifest.digest(file.data)
                yield instance, Manifest(model=model, path=path, data=file.data, digest=digest)


def manifests_of(files: Iterable[File], layout: Layout, fleet: Fleet) -> Mapping[str, Manifest]:
    """The models as files of views have them, which may be older than the store's; without those fixed to a digest."""
    fixed = {(instance.name, model) for instance in fleet.instances for model, _ in instance.digests}
    return {each.model: each for name, each in views(files, layout) if (name, each.model) not in fixed}


def served(there: Mapping[str, ObservedFile], layout: Layout, instance: str) -> Mapping[str, str]:
    """The digests of the models that an instance sees, by model, as it is installed."""
    return {each.model: each.digest for name, each in views(there.values(), layout) if name == instance}


def remember(host: Host, source: Source, compiled: Compiled) -> None:
    """After an apply that ended well: these files are what the text means. Readable by root only, like secrets."""
    key = _key(source, compiled.facts, ((file.path, file.mode, file.data) for file in compiled.files))
    if (old := _read(host)) and old["key"] == key:
        return
    memory = {
        "key": key,
        "order": [instance.name for instance in compiled.fleet.instances],
        "notes": [_note_data(problem) for problem in compiled.notes],
    }
    atomic.write([atomic.Write(_path(host), json.dumps(memory).encode(), 0o600)])


def forget(host: Host) -> None:
    """Nothing is installed any more; of an image nothing is remembered."""
    if host.offline:
        return
    Path(_path(host)).unlink(missing_ok=True)


def _remembered(host: Host, source: Source, there: Mapping[str, ObservedFile]) -> Compiled | None:
    memory = _read(host)
    fleet = installed_fleet(there) if memory else Fleet()
    if not memory or not fleet.instances or fleet.custom:  # the spec says how its own models are made
        return None
    facts = _facts(host, fleet, there)
    ours = ((file.path, file.mode, file.data) for file in there.values() if file.ours)
    if memory["key"] != _key(source, facts, ours):
        return None
    place = {name: number for number, name in enumerate(memory["order"])}
    instances = tuple(sorted(fleet.instances, key=lambda instance: place.get(instance.name, 0)))
    return Compiled(
        fleet=replace(fleet, instances=instances, source=source.path),
        facts=facts,
        files=_as_desired(host, there),
        there=there,
        notes=tuple(_note(source, row) for row in memory["notes"]),
    )


def _as_desired(host: Host, there: Mapping[str, ObservedFile]) -> tuple[File, ...]:
    return tuple(
        File(
            path=file.path,
            data=file.data,
            mode=file.mode,
            kind=host.layout.kind(file.path),
            instance=host.layout.owner(file.path),
        )
        for _, file in sorted(there.items())
        if file.ours and not file.leftover and file.path != host.layout.secrets
    )


def _path(host: Host) -> str:
    return f"{host.layout.state_dir}/compiled.json"


def _read(host: Host) -> dict[str, Any] | None:
    try:
        memory = json.loads(Path(_path(host)).read_bytes())
    except (OSError, ValueError):
        # Not there, not ours to read, or damaged: the long way always works.
        return None
    whole = isinstance(memory, dict) and {"key", "order", "notes"} <= memory.keys()
    return memory if whole else None


def _key(source: Source, facts: Facts, files: Iterable[tuple[str, int, bytes]]) -> str:
    digest = hashlib.sha256(f"{__version__}\0{source.path}\0{facts!r}\0".encode(errors="surrogateescape"))
    digest.update(hashlib.sha256(source.data).digest())
    for stamp in sorted(_stamps(_PACKAGE)):
        digest.update(stamp.encode())
    for path, mode, data in sorted(files):
        digest.update(f"\0{path}\0{mode}\0".encode(errors="surrogateescape") + hashlib.sha256(data).digest())
    return digest.hexdigest()


def _stamps(folder: Path) -> Iterator[str]:
    """Name, size and time of every file of this program: another version must not trust this one's memory."""
    for entry in os.scandir(folder):
        if entry.name == "__pycache__":
            continue
        if entry.is_dir():
            yield from _stamps(Path(entry.path))
        else:
            status = entry.stat()
            yield f"{entry.path}\0{status.st_size}\0{status.st_mtime_ns}\0"


def _note_data(problem: Problem) -> dict[str, Any]:
    at = problem.location
    return {
        "message": problem.message,
        "hint": problem.hint,
        "path": problem.path,
        "severity": str(problem.severity),
        "instance": problem.instance,
        "at": [at.line, at.column, at.source] if at else None,
    }


def _note(source: Source, row: Mapping[str, Any]) -> Problem:
    at = row["at"]
    location = Location(file=source.name, line=at[0], column=at[1], source=at[2]) if at else None
    words = {key: row[key] for key in ("message", "hint", "path", "instance")}
    return Problem(**words, severity=Severity(row["severity"]), location=location)
