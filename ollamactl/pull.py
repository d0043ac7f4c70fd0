"""Pulling models into the store: one at a time, each whole or not at all, by a server that lives only so long."""

# ruff: noqa: PTH116, PTH118
import hashlib
import os
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ollamactl import interrupt, manifest
from ollamactl.access import PULL_LOCK, locked, require_root
from ollamactl.errors import HostError, OllamactlError, Problem, Severity
from ollamactl.facts import Manifest
from ollamactl.host import binary, reach, store
from ollamactl.host.observe import Host
from ollamactl.host.oserrors import translate
from ollamactl.model import Fleet
from ollamactl.modelname import ModelName
from ollamactl.planning.plan import Step
from ollamactl.protocols import Tell
from ollamactl.pulling import offer, server, staging, unit
from ollamactl.pulling.identity import Key
from ollamactl.pulling.making import make
from ollamactl.pulling.moment import Moment, Phase, PullError, Watch
from ollamactl.pulling.recipe import read_recipe
from ollamactl.workflow import Applied

PATIENCE = 120.0
"""Seconds without a byte, after which a pull is given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """What became of one model."""

    model: str
    before: str = ""
    """The digest of what the store had; empty where it had none."""
    after: str = ""
    """The digest of what it has now; empty where the pull failed."""
    size: int = 0
    """Bytes of all its blobs."""
    problem: Problem | None = None

    @property
    def changed(self) -> bool:
        """Whether the store has another model than before."""
        return bool(self.after) and self.before != self.after


def pull(
    host: Host, fleet: Fleet, models: Sequence[str], *, patience: float = PATIENCE, watch: Watch, tell: Tell
) -> tuple[Pulled, ...]:
    """Pulls the models one after the other; one that fails keeps none of the others from coming.

    Raises HostError where nothing can be pulled at all, and Interrupted with what is whole in the store.
    """
    with _puller(host, fleet, tell) as (place, serve):
        models_dir, own = fleet.models_dir, dict(fleet.custom)
        names = [ModelName.parse(model) for model in models]
        there = store.read(Path(models_dir), wanted=names)
        place.fill(_damaged(models_dir, there.values()))
        try:
            asked = [(name.short, _url(name, fleet)) for name in names if name.short not in own]
            with serve(asked) as api:
                tell("", "asking registries how large the models are")
                offers = api.offers()
                offer.check(offers.values(), lacks=place.lacks, free=place.free(), where=place.beside, watch=watch)

                def one(name: ModelName) -> Pulled:
                    if name.short in own:
                        return made(name)
                    insecure = name.host in fleet.pull.insecure
                    passed = place.whole() if api.closed else None
                    _follow(api.pull(name.short, insecure=insecure, patience=patience), place, watch)
                    data = place.manifest(name)
                    offered = offers.get(name.short)
                    if not api.closed and offered and offered.digest != hashlib.sha256(data).hexdigest():
                        raise PullError(f"somebody else changed {name.short} while it was pulled", hint="pull it again")
                    return taken(name, data, passed)

                def made(name: ModelName) -> Pulled:
                    recipe = read_recipe(name.short, own[name.short], Path(models_dir), spec=fleet.source)
                    if not recipe.stale(there.get(name.short)) and recipe.marks and not recipe.problem:
                        return Pulled(model=name.short, after=there[name.short].digest)
                    place.bare()
                    try:
                        data = make(recipe, api, place, models_dir, others=not host.user, watch=watch)
                        return taken(name, data)
                    finally:
                        place.bare()
                        place.fill()

                def taken(name: ModelName, data: bytes, passed: Collection[str] | None = None) -> Pulled:
                    place.check(name, staging.layers(data), passed=passed)
                    # Whoever waits for the lock may be interrupted; whoever moves a model may not
                    with locked(host, tell), interrupt.unbroken():
                        size = place.take(name, data, staging.layers(data)).size
                    watch(Moment(model=name.short, phase=Phase.DONE, total=size))
                    return Pulled(model=name.short, after=manifest.digest(data), size=size)

                return tuple(_tried(name, there, one) for name in names)
        finally:
            place.tidy()


_Serve = Callable[[Sequence[tuple[str, str]]], AbstractContextManager[server.Server]]


@contextmanager
def _puller(host: Host, fleet: Fleet, tell: Tell) -> Iterator[tuple[staging.Staging, _Serve]]:
    """The folder to pull into, and the way to the server, with the lock held. Raises HostError."""
    _check(host, fleet)
    try:
        blobs = os.path.realpath(f"{fleet.models_dir}/blobs")
    except OSError as error:  # a link that its owner exchanges at this moment
        raise translate(error, "look up", f"{fleet.models_dir}/blobs") from error

    def serve(asked: Sequence[tuple[str, str]]) -> AbstractContextManager[server.Server]:
        tell("", "starting a server to pull with")
        folder, known = f"{host.layout.run_dir}/pull", Key(folder=host.layout.identity)
        return server.running(host.manager, fleet.binary, fleet.pull, place, blobs, folder, known, asked)

    with (
        interrupt.heard(),
        locked(host, tell, path=PULL_LOCK),
        staging.opened(fleet.models_dir, seen=blobs if host.user else unit.BLOBS) as place,
    ):
        yield place, serve


def key(host: Host, fleet: Fleet, tell: Tell) -> tuple[Key, bool]:
    """The key by which registries know this host, and whether it was made just now: Ollama itself makes it."""
    found = Key(folder=host.layout.identity)
    if found.public():
        return found, False
    require_root(host, "key")
    fleet = replace(fleet, pull=replace(fleet.pull, identity=True))
    with _puller(host, fleet, tell) as (place, serve):
        try:
            with serve(()):
                return found, True
        finally:
            place.tidy()


def fetch(host: Host, fleet: Fleet, models: Sequence[str], *, watch: Watch, tell: Tell) -> None:
    """Pulls what a plan lacks. Raises PullsFailed with every failure; what came by then stays."""
    found = pull(host, fleet, models, watch=watch, tell=tell)
    if problems := [each.problem for each in found if each.problem]:
        raise PullsFailed(problems, changed=any(each.changed for each in found))


def with_pulled(applied: Applied, pulled: Sequence[Step]) -> Applied:
    """An apply's story with what was pulled before it as its first steps."""
    planned = replace(applied.planned.plan, steps=(*pulled, *applied.planned.plan.steps))
    outcome = replace(applied.outcome, done=[*pulled, *applied.outcome.done])
    return replace(applied, planned=replace(applied.planned, plan=planned), outcome=outcome)


class PullsFailed(HostError):
    """Models that a fleet needs did not come, so it was not changed."""

    def __init__(self, problems: Sequence[Problem], *, changed: bool) -> None:
        super().__init__("; ".join(problem.message for problem in problems))
        self.changed = changed
        """Whether others did come."""
        self._problems = tuple(problems)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """One for each model."""
        return self._problems


def _check(host: Host, fleet: Fleet) -> None:
    """Raises HostError where the program or the store's place is not to be used."""
    if problem := binary.problem(fleet.binary, others=not host.user):
        raise HostError(f"{problem.path}: {problem.message}", hint=problem.hint)
    if not host.user and (link := reach.astray(fleet.models_dir)):
        raise HostError(f"{link} is a link that its owner, not root, made to a place that is not theirs")


def _tried(name: ModelName, there: Mapping[str, Manifest], pull: Callable[[ModelName], Pulled]) -> Pulled:
    before = there[name.short].digest if name.short in there else ""
    try:
        done = pull(name)
    except HostError as error:
        problem = Problem(message=str(error), hint=error.hint, severity=Severity.ERROR)
        return Pulled(model=name.short, before=before, problem=problem)
    return Pulled(model=name.short, before=before, after=done.after, size=done.size)


def _follow(moments: Generator[Moment, None, None], place: staging.Staging, watch: Watch) -> None:
    """Tells how a pull goes, to its end. Raises PullError."""
    said: set[str] = set()
    with closing(moments):
        for moment in moments:
            if moment.digest and moment.digest not in said:
                said.add(moment.digest)
                _fits(moment, place)
            if moment.phase is not Phase.DONE:
                watch(moment)


def _fits(moment: Moment, place: staging.Staging) -> None:
    needed, free = moment.total - moment.completed, place.free()
    if needed > free:
        raise offer.does_not_fit([moment.model], needed, free, place.beside)


def _url(name: ModelName, fleet: Fleet) -> str:
    """Of a model's manifest."""
    scheme = "http" if name.host in fleet.pull.insecure else "https"
    return f"{scheme}://{name.host}/v2/{name.namespace}/{name.model}/manifests/{name.tag}"


def _damaged(models_dir: str, manifests: Iterable[Manifest]) -> set[str]:
    """Digests of blobs that the store has in another size than a manifest says."""
    found = set()
    for each in manifests:
        try:
            entries = staging.layers(each.data)
        except OllamactlError:
            continue
        for digest, size in entries:
            try:
                actual = os.stat(os.path.join(models_dir, "blobs", digest.replace(":", "-"))).st_size
            except OSError:
                continue
            if actual != size:
                found.add(digest)
    return found
