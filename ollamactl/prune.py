"""Removing from the fleet's store what nobody needs: shown first, decided anew with the locks held, noted down."""

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ollamactl import compiled, interrupt
from ollamactl.access import PULL_LOCK, locked
from ollamactl.errors import HostError, Problem, Severity
from ollamactl.facts import Manifest
from ollamactl.files import ObservedFile
from ollamactl.history import History
from ollamactl.host import journalwriter, rivals
from ollamactl.host.observe import Host
from ollamactl.manifest import short
from ollamactl.model import Fleet, Instance, Store
from ollamactl.protocols import Tell
from ollamactl.pruning import choice, folder, others
from ollamactl.pruning.choice import Choice, Needs
from ollamactl.pulling import recipe
from ollamactl.pulling.recipe import Recipe
from ollamactl.quantity import shown_size
from ollamactl.spec import source, specfile
from ollamactl.units import record
from ollamactl.workflow import nothing_installed

_NOTICE = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Prune:
    """What may go of a store, and what keeps all of it."""

    store: str
    choice: Choice = field(default_factory=Choice)
    problems: tuple[Problem, ...] = ()

    @property
    def refused(self) -> bool:
        """Whether nothing can be removed now."""
        return any(problem.severity is Severity.ERROR for problem in self.problems)


def look(host: Host, *, keep: Collection[str], older: float) -> Prune:
    """What may go now. Raises UsageError where no fleet is installed, SpecError where its spec can't be read."""
    there = host.files.managed(host.layout)
    fleet = record.installed_fleet(there)
    if not fleet.instances:
        raise nothing_installed(host)
    wanted, notes = _needs(host, fleet, there)
    with folder.opened(fleet.models_dir) as held:
        contents = held.contents()
    found = [*notes, *_unreadable(contents, fleet.models_dir), *_others(fleet), *_services(host, fleet)]
    if wanted.whole:
        message = f"{wanted.whole} serves the whole store, so every model in it is in use"
        found.append(Problem(message=message, path="store", severity=Severity.NOTE))
    chosen = choice.choose(contents, wanted, keep=keep, older=older)
    return Prune(store=fleet.models_dir, choice=chosen, problems=tuple(found))


def carry_out(host: Host, shown: Prune, *, keep: Collection[str], older: float, wait: bool, tell: Tell) -> Prune:
    """Removes what was shown and may still go; returns what it removed.

    Raises HostError where a pull is running, or where something keeps the whole store.
    """
    # A pull may take hours, so it is not waited for
    with interrupt.heard(), locked(host, tell, wait=False, path=PULL_LOCK), locked(host, tell, wait=wait):
        now = look(host, keep=keep, older=older)
        if now.refused:
            return replace(now, choice=Choice())
        with folder.opened(now.store) as held:
            fleet = record.installed_fleet(host.files.managed(host.layout))
            return replace(now, choice=_remove(held, choice.again(now.choice, shown.choice), fleet))


def _remove(held: folder.Folder, going: Choice, fleet: Fleet) -> Choice:
    """Manifests first: a kill in between leaves blobs that no model misses, for the next time."""
    models, store = [], fleet.models_dir
    for entry in going.models:
        if held.remove_model(entry):
            models.append(entry)
            words = f"prune has removed {entry.model} ({short(entry.digest)}) from {store}"
            _note(words, MODEL=entry.model, DIGEST=entry.digest, STORE=store)
    # What came since the look may refer to what was to go, and a server that has come may be about to
    needed = choice.blobs(entry.data for entry in held.contents().manifests)
    going_files = () if any(_others(fleet)) else going.files
    files = [file for file in going_files if file.name.lower() not in needed and held.remove_file(file)]
    if files:
        size = sum(file.size for file in files)
        _note(f"prune has removed {len(files)} files ({shown_size(size)}) from {store}", STORE=store, BYTES=str(size))
    return replace(going, models=tuple(models), files=tuple(files))


def _note(message: str, **fields: str) -> None:
    journalwriter.write(message, priority=_NOTICE, fields=fields)


def _needs(host: Host, fleet: Fleet, there: Mapping[str, ObservedFile]) -> tuple[Needs, list[Problem]]:
    notes: list[Problem] = []
    spec, path = None, record.installed_source(there)
    if path and Path(path).exists():
        text = source.read(path)
        spec = specfile.load(text.data, name=text.name, source=text.path).fleet
    history, generations = History(host.layout), []
    for each in history.all():
        try:
            files = {file.path: file for file in history.files(history.read(each.number))}
        except HostError as error:
            hint = f"if nobody wants to go back to it: sudo rm -r {history.path(each.number)}"
            raise HostError(f"{error}; so nobody knows what it needs, and nothing is removed", hint=hint) from error
        seen = {p: ObservedFile(path=p, data=file.data, ours=True) for p, file in files.items()}
        generations.append(
            (each.number, record.installed_fleet(seen), [*_data(compiled.views(seen.values(), host.layout))])
        )
    views = _data(compiled.views(there.values(), host.layout))
    own = [each for one in (fleet, spec) if one for each in recipe.look(one, Path(fleet.models_dir))]
    recipes = {(each.model, each.path): each for each in own}.values()
    notes += [_unmade(each) for each in recipes if each.problem]
    return choice.needs(fleet, views, spec, generations, made=recipe.needed(recipes)), notes


def _unmade(each: Recipe) -> Problem:
    message = f"{each.problem}, so nobody knows what {each.model} is made from: nothing of the store is removed"
    return Problem(path=each.path, message=message, hint="mend it, or take the model out of `custom` and apply")


def _data(views: Iterator[tuple[str, Manifest]]) -> Iterator[bytes]:
    return (each.data for _, each in views)


def _unreadable(contents: choice.Contents, store: str) -> Iterator[Problem]:
    for each in contents.strange:
        yield Problem(
            path=f"{store}/manifests/{each.path}",
            message=f"{each.strange}, so nobody knows which blobs it needs: nothing of the store is removed",
            hint="look at it, and remove it if nobody needs it",
        )


def _others(fleet: Fleet) -> Iterator[Problem]:
    ours = [instance.unit for instance in fleet.instances if not _writes(instance)]
    for who in others.of(fleet.models_dir, ours):
        yield Problem(
            path=fleet.models_dir,
            message=f"{who} uses this store, too, and may be pulling: nothing of it is removed",
            hint="end it first, then the same command again",
        )


def _services(host: Host, fleet: Fleet) -> Iterator[Problem]:
    """Services that do not run, but would miss what goes: theirs is the whole store."""
    for rival in rivals.read(host.manager):
        if rival.up or os.path.realpath(fleet.models_dir) not in rival.stores:
            continue
        systemctl = "systemctl --user" if host.user else "sudo systemctl"
        when = "is started at boot" if rival.enabled else "may be started again"
        yield Problem(
            path=rival.unit,
            severity=Severity.ERROR if rival.enabled else Severity.WARNING,
            message=f"it {when}, and serves every model of {fleet.models_dir}",
            hint=f"if nobody needs it: {systemctl} {'disable' if rival.enabled else 'mask'} {rival.unit}",
        )


def _writes(instance: Instance) -> bool:
    return instance.store is Store.WRITABLE
