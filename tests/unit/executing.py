"""What tests of execute() share: its surroundings, and the steps of a server that is started."""

from collections.abc import Iterable
from dataclasses import replace

from ollamactl.execute import execute
from ollamactl.files import File, FileKind
from ollamactl.model import Instance
from ollamactl.observed import UnitState
from ollamactl.outcome import Outcome
from ollamactl.planning.plan import ORDER, Plan, Step, StepKind
from ollamactl.proving.proof import Expected
from tests.unit.fakes import Diary, FakeFiles, FakeManager
from tests.unit.server import instance

EXPECTED = Expected(version="0.34.0", models={"m:latest": "a" * 64})


class Lab:
    """Everything that execute() is given, and what was told."""

    def __init__(self) -> None:
        self.diary = Diary()
        self.manager = FakeManager(self.diary)
        self.files = FakeFiles(self.diary)
        self.told: list[str] = []

    def execute(
        self, *steps: Step, timeout: float = 10, units: Iterable[UnitState] = (), expected: Expected = EXPECTED
    ) -> Outcome:
        plan = Plan(steps=tuple(sorted(steps, key=lambda step: ORDER[step.kind])))
        return execute(
            plan,
            files=self.files,
            manager=self.manager,
            units={unit.name: unit for unit in units},
            expected=dict.fromkeys((step.instance for step in steps), expected),
            timeout=timeout,
            tell=lambda name, words: self.told.append(f"{name}: {words}"),
        )


def named(name: str, port: int) -> Instance:
    return replace(instance(port), name=name)


def step(kind: StepKind, subject: str, **more: object) -> Step:
    return Step(kind=kind, subject=subject, **more)  # type: ignore[arg-type]


def write(path: str) -> Step:
    return step(StepKind.WRITE, path, file=File(path=path, data=b"", kind=FileKind.DROP_IN))


def started(target: Instance, kind: StepKind = StepKind.START) -> list[Step]:
    """What a plan holds for a server that is started."""
    kinds = (kind, StepKind.WAIT, StepKind.VERIFY)
    return [step(each, target.unit, instance=target.name, target=target) for each in kinds]
