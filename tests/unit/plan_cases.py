"""The golden cases of tests/cases/plan: what is in each file of a case, and how a host is brought into its state.

spec.yaml      what was applied before; without it the host is bare
after.yaml     what is planned; without it spec.yaml is planned again
observed.yaml  what happened to the host in between; see `Story`
plan.txt       the plan, as text
problems.txt   what forbids it, and what the operator should know; only where there is something
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ollamactl.errors import Problem
from ollamactl.model import Fleet, unit_name
from ollamactl.observed import Active, PortHolder, Replaced, Running, UnitState
from ollamactl.planning.plan import Plan, StepKind
from ollamactl.spec import specfile, yamltree
from tests.unit.simhost import SimHost
from tests.unit.simvalues import manifest

CASES = Path(__file__).parents[1] / "cases" / "plan"


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """observed.yaml: every key is a thing that can happen between two applies, or how the plan is asked for."""

    why: str
    """What the case is about; for the reader."""
    only: tuple[str, ...] = ()
    """--only."""
    root: bool = True
    """Whether the one who plans may look at processes."""
    exposed: bool = False
    """Whether others may look into the folder of secrets."""
    offline: bool = False
    """--root: an image that nothing runs on."""
    interrupted_at: str = ""
    """after.yaml was applied already, up to the first step of this kind, and then killed."""
    units: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Instance (or what the fleet shares) -> its ActiveState and more; without a process unless it is active."""
    running: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Instance -> what is to be seen of its process."""
    store: Mapping[str, str] = field(default_factory=dict)
    """Model -> another text of its manifest: it was pulled again."""
    files: Mapping[str, str | None] = field(default_factory=dict)
    """Path -> text that somebody wrote, or null: somebody removed it."""
    links: Mapping[str, bool] = field(default_factory=dict)
    """Unit -> whether somebody enabled or disabled it by hand."""
    holders: tuple[Mapping[str, Any], ...] = ()
    """Programs that listen somewhere."""
    others: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Services of somebody else's -> whether each is active, the links that start it, and more."""


def names() -> list[str]:
    return sorted(path.name for path in CASES.iterdir())


def load(name: str) -> tuple[Plan, tuple[Problem, ...]]:
    """The plan of a case, and what the checks before an apply say."""
    before, after = (_fleet(CASES / name / file) for file in ("spec.yaml", "after.yaml"))
    story = _story(CASES / name / "observed.yaml")
    host = SimHost(offline=story.offline)
    for fleet in filter(None, (before, after)):
        host.store.update({model: manifest(model) for each in fleet.instances for model in each.models})
    if before is not None:
        host.apply(before)
    wanted = before if after is None else after
    assert wanted is not None, f"{name} has neither spec.yaml nor after.yaml"
    _happen(story, host, wanted)
    return host.plan(wanted, *story.only), host.problems(wanted, *story.only)


def _fleet(path: Path) -> Fleet | None:
    return specfile.load(path.read_bytes(), name=path.name, source="/etc/fleet.yaml").fleet if path.exists() else None


def _story(path: Path) -> Story:
    told = yamltree.parse(path.read_bytes(), name=str(path)).data
    for key in ("only", "holders"):
        told[key] = tuple(told.get(key, ()))
    return Story(**told)


def _happen(story: Story, host: SimHost, wanted: Fleet) -> None:
    if story.interrupted_at:
        for step in host.plan(wanted).steps:
            if step.kind is StepKind(story.interrupted_at):
                break
            host.carry_out([step])
    host.store.update({model: manifest(model, text) for model, text in story.store.items()})
    for name, told in story.units.items():
        _unit(host, name if name.startswith("ollama") else unit_name(name), dict(told))
    host.changed.update({name: Running(**_tuples(told)) for name, told in story.running.items()})
    for path, text in story.files.items():
        if text is None:
            del host.files[path]
        else:
            host.put(path, text)
    for unit, there in story.links.items():
        (host.links.add if there else host.links.discard)(unit)
    host.squatters += [PortHolder(**told) for told in story.holders]
    host.root, host.exposed = story.root, story.exposed
    host.others.update({name: _other(name, dict(told)) for name, told in story.others.items()})


def _other(name: str, told: dict[str, Any]) -> Replaced:
    state = UnitState(name=told.pop("id", name), load_state="loaded", active=Active(told.pop("active", "active")))
    return Replaced(state=state, **_tuples({"serves": True, **told}))


def _unit(host: SimHost, unit: str, told: dict[str, Any]) -> None:
    active = Active(told.pop("active", Active.ACTIVE))
    if active is Active.INACTIVE:
        host.stop(unit)
        return
    if active is not Active.ACTIVE:
        host.break_down(unit, active, **told)
        return
    host.units[unit] = replace(host.units.get(unit, UnitState(name=unit)), active=active, **told)


def _tuples(told: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in told.items()}
