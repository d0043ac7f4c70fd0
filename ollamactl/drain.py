"""Stopping servers without cutting anybody off: each step waits until its server has no request and loads nothing."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from ollamactl.observed import UnitState
from ollamactl.planning.plan import Step, StepKind
from ollamactl.quantity import format_duration

_LOOK_SECONDS = 0.25
_LOOKS, _BETWEEN_SECONDS = 3, 0.05
"""One look may fall between a request's arrival and its runner's start."""


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
            busy = self._busy(left)
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

    def _busy(self, steps: Iterable[Step]) -> dict[str, str]:
        """Unit -> what it is at, for those that were at work at any of a few looks."""
        busy: dict[str, str] = {}
        idle = [step for step in steps if self._stoppable(step)]
        for look in range(_LOOKS):
            if look and idle:
                time.sleep(_BETWEEN_SECONDS)
            busy |= {step.subject: words for step in idle if (words := self.at_work(self._pid(step)))}
            idle = [step for step in idle if step.subject not in busy]
        return busy | self._held(steps, busy)

    def _held(self, steps: Iterable[Step], busy: Mapping[str, str]) -> dict[str, str]:
        """Units that are idle, but would take one down that is at work."""
        at_work = {step.group: step.subject for step in steps if step.group and step.subject in busy}
        return {
            step.subject: f"{unit} goes down with it: {busy[unit]}"
            for step in steps
            if step.subject not in busy and (unit := at_work.get(step.group))
        }

    def _pid(self, step: Step) -> int:
        return self.units[step.subject].main_pid if step.subject in self.units else 0

    def _stoppable(self, step: Step) -> bool:
        """Whether there is a server that the step would stop."""
        return step.kind is not StepKind.START and self._pid(step) > 0
