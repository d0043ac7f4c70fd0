"""Stopping servers without cutting anybody off: each step waits until its server has no request and loads nothing."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from ollamactl.observed import UnitState
from ollamactl.plan import Step, StepKind
from ollamactl.quantity import format_duration

_LOOK_SECONDS = 0.25


@dataclass(slots=True, kw_only=True)
class Drain:
    """The patience of one change; without any, every step is due at once."""

    units: Mapping[str, UnitState]
    at_work: Callable[[int], str]
    """What a server, by its main process, is at; empty where it is idle."""
    patience: float | None
    """Seconds to wait for each batch of steps; None cuts off what is in flight."""
    tell: Callable[[str, str], None]
    late: dict[str, str] = field(default_factory=dict)
    """Unit -> what it was still at when the patience ended."""

    def due(self, steps: Iterable[Step]) -> Iterator[list[Step]]:
        """The steps in batches, each as soon as it cuts nobody off; those that never became so are in `late`."""
        left = list(steps)
        if self.patience is None:
            yield left
            return
        deadline = time.monotonic() + self.patience
        told: set[str] = set()
        while left:
            busy = {step.subject: words for step in left if (words := self._at_work(step))}
            if ready := [step for step in left if step.subject not in busy]:
                yield ready
                left = [step for step in left if step.subject in busy]
                continue
            if time.monotonic() >= deadline:
                waited = format_duration(round(self.patience, 1))
                self.late |= {unit: f"{words}, still after {waited}" for unit, words in busy.items()}
                return
            for step in left:
                if step.subject not in told:
                    self.tell(step.instance, f"{busy[step.subject]}: waiting until it is done")
            told |= busy.keys()
            time.sleep(_LOOK_SECONDS)

    def _at_work(self, step: Step) -> str:
        pid = self.units[step.subject].main_pid if step.subject in self.units else 0
        return self.at_work(pid) if pid and step.kind is not StepKind.START else ""
