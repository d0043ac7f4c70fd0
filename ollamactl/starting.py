"""Starting servers and waiting until each answers, or will not; then the proof."""

import os
import time
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from concurrent.futures import Future
from functools import partial
from threading import Lock
from typing import Any

from ollamactl import interrupt, opening
from ollamactl.drain import Drain
from ollamactl.errors import Problem
from ollamactl.host import loading
from ollamactl.model import Instance, gate_socket
from ollamactl.observed import Active, UnitState
from ollamactl.outcome import Outcome
from ollamactl.planning import doors
from ollamactl.planning.plan import Plan, Step, StepKind
from ollamactl.protocols import Job, JobDone, ServiceManager, Tell
from ollamactl.proving.interview import Interviewer
from ollamactl.proving.judge import asleep
from ollamactl.proving.proof import Answers, Expected
from ollamactl.proving.verify import Subject, prove, through

_METHODS = {StepKind.START: "StartUnit", StepKind.RESTART: "RestartUnit", StepKind.RESTORE: "StartUnit"}
_WATCH_SECONDS = 0.5
_FIRST_LOOK_SECONDS = 0.2
"""When most of a fleet that runs well has answered: each look costs as much as many answers."""
_GRACE_SECONDS = 1.0
"""For answers that come with the end of the time for all, in better words than none."""
LATE_HINT = "wait longer with --when-idle=TIME, or cut its clients off: the same command without --when-idle"


class Starter:
    """Queues the starts, has each server asked as soon as its unit is up, and judges when all have answered."""

    def __init__(
        self,
        plan: Plan,
        manager: ServiceManager,
        units: Mapping[str, UnitState],
        expected: Mapping[str, Expected],
        interviewer: Interviewer,
        timeout: float,
        tell: Tell,
        drain: Drain,
    ) -> None:
        self.drain = drain
        self.plan, self.manager, self.expected, self.tell = plan, manager, expected, tell
        self.interviewer, self.timeout = interviewer, timeout
        self.deadline = time.monotonic() + timeout
        self.units = dict(units)
        self.waiting = {step.subject: step for step in plan.of(StepKind.WAIT)}
        self.started = {step.subject for step in plan.of(StepKind.RESTART, StepKind.START)}
        self.restarts = dict.fromkeys(self.started, 0)
        """NRestarts when the waiting began, by unit."""
        self.slow: set[str] = set()
        """Units that did not answer at the first look."""
        self.asked: dict[str, Future[Answers]] = {}
        self.news: deque[tuple[str, str]] = deque()
        """What the interviewer's threads tell, by instance: which model is being loaded."""
        self.loads = loading.Loads()

    def run(self, outcome: Outcome) -> None:
        """Starts, waits and proves; adds to the outcome."""
        verified = self.plan.of(StepKind.VERIFY)
        for step in verified:
            if step.subject not in self.started and not self._asleep(step):
                self._ask(step, patient=step.subject in self.waiting)
        self._start(outcome)
        self._await()
        moving = {unit for unit, state in self.units.items() if state.active is not Active.ACTIVE}
        if again := sorted(self.waiting.keys() & (self.started | self.slow | moving)):
            self._see(again)
        subjects = [
            Subject(
                instance=step.target,
                unit=self.units.get(step.subject, UnitState(name=step.subject)),
                answers=self._answers(step.subject),
                expected=self.expected.get(step.instance, Expected()),
                restarts_before=self._restarts(step.subject),
                **self._door(step.target, step.subject),
            )
            for step in verified
            if step.target
        ]
        outcome.proofs = prove(subjects, user=self.manager.user)
        outcome.done += self.plan.of(StepKind.WAIT, StepKind.VERIFY)

    def _asleep(self, step: Step) -> bool:
        state = self.units.get(step.subject, UnitState(name=step.subject))
        return step.target is not None and asleep(step.target, state)

    def _restarts(self, unit: str) -> int:
        known = self.restarts.get(unit)
        return self.units.get(unit, UnitState(name=unit)).restarts if known is None else known

    def _ask(self, step: Step, *, patient: bool) -> None:
        if step.target is None:
            return
        expected = self.expected.get(step.instance, Expected())
        self.asked[step.subject] = self.interviewer.ask(
            step.target,
            load=expected.to_load,
            loaded=bool(expected.preload),
            patient=patient,
            told=lambda words: self.news.append((step.instance, words)),
            deadline=self.deadline,
            pid=lambda: self.units.get(step.subject, UnitState(name=step.subject)).main_pid,
        )

    def _start(self, outcome: Outcome) -> None:
        """Whoever takes a service's place comes first, as soon as that has stopped: nobody has its port till then."""
        steps = self.plan.of(StepKind.RESTART, StepKind.START)
        leaving = {step.instance for step in self.plan.of(StepKind.DISPLACE)}
        self._open([step for step in steps if step.instance not in leaving], outcome)
        held = self._take_over([step for step in steps if step.instance], outcome)
        self._run([step for step in steps if step.instance not in held and not doors.opens(step)], outcome)
        self._run(self.plan.of(StepKind.RESTORE), outcome)

    def _take_over(self, steps: Sequence[Step], outcome: Outcome) -> Set[str]:
        """Has services make room, and starts those that wait for it; returns whose starts are settled with that."""
        leaving = {step.subject: step for step in self.plan.of(StepKind.DISPLACE)}
        held = {step.instance for step in leaving.values()}
        for batch in self.drain.due(list(leaving.values())):
            with interrupt.unbroken():  # nobody has the port in between
                self._stop(batch, leaving, outcome)
                freed = {step.instance for step in batch} - {step.instance for step in leaving.values()}
                mine = [step for step in steps if step.instance in freed]
                self._open(mine, outcome)
                self._run([step for step in mine if not doors.opens(step)], outcome)
        self._late(leaving, "it was not stopped", outcome)
        return held

    def _stop(self, batch: Iterable[Step], leaving: dict[str, Step], outcome: Outcome) -> None:
        """Takes those that have stopped out of `leaving`."""
        for done in self.manager.run([Job("StopUnit", step.subject) for step in batch], timeout=self.timeout):
            step = leaving[done.unit]
            self.tell(step.instance, f"{done.unit} {'stopped' if done.ok else f'did not stop: {done.result}'}")
            if done.ok:
                outcome.done.append(leaving.pop(done.unit))
                continue
            outcome.failed.append(step)
            words, look = f"it did not stop: {done.result}", f"systemctl status {done.unit}"
            outcome.problems.append(Problem(message=words, path=done.unit, instance=step.instance, hint=look))

    def _open(self, todo: Iterable[Step], outcome: Outcome) -> None:
        """The ports come before the servers."""
        steps = {step.subject: step for step in todo if doors.opens(step)}
        for done in opening.run(self.manager, steps, timeout=self.timeout):
            self._started(done, steps[done.unit], outcome)

    def _door(self, instance: Instance, unit: str) -> dict[str, Any]:
        """What a proof is to know of the way that clients take."""
        if not instance.gated:
            return {}
        name = gate_socket(instance.name)
        door = self.units.get(name) or UnitState(name=name)
        return {"door": door, "shut": through(instance, self._answers(unit)) if unit in self.asked else ""}

    def _run(self, todo: Iterable[Step], outcome: Outcome) -> None:
        steps = {step.subject: step for step in todo}
        for batch in self.drain.due(steps.values()):
            self.deadline = time.monotonic() + self.timeout  # patience with clients is not taken from the servers
            jobs = [Job(_METHODS[step.kind], step.subject, step.group) for step in batch]
            for done in self.manager.run(jobs, timeout=self.timeout):
                self._started(done, steps[done.unit], outcome)
        self._late(steps, "it was not restarted", outcome)

    def _late(self, steps: Mapping[str, Step], what: str, outcome: Outcome) -> None:
        """Tells of those that never became idle."""
        for unit in steps.keys() & self.drain.late.keys():
            told = Problem(
                message=f"{what}: {self.drain.late.pop(unit)}",
                path=unit,
                instance=steps[unit].instance,
                hint=LATE_HINT,
            )
            outcome.failed.append(steps[unit])
            outcome.problems.append(told)

    def _started(self, done: JobDone, step: Step, outcome: Outcome) -> None:
        (outcome.done if done.ok else outcome.failed).append(step)
        if not done.ok:
            self.tell(step.instance, f"did not start: {done.result}")
            outcome.problems.append(_job_problem(done, step))
            return
        if doors.opens(step):
            self._see([done.unit])
            return
        target = step.target or (self.waiting[done.unit].target if done.unit in self.waiting else None)
        if step.kind is StepKind.RESTART or (target and target.gated):
            # One that crashed may have been restarted by systemd just before, which counts on from there.
            self._see([done.unit])
            if step.kind is StepKind.RESTART:
                self.restarts[done.unit] = self.units[done.unit].restarts
        if done.unit in self.waiting:
            how = "restarted" if step.kind is StepKind.RESTART else "started"
            self.tell(step.instance, f"{how}, waiting for its answer")
            self._ask(self.waiting[done.unit], patient=True)
        elif step.kind is StepKind.RESTORE:
            self.tell("", f"{done.unit} is started again")

    def _await(self) -> None:
        """Waits for the answers; a unit that fails or restarts meanwhile is given up at once."""
        paths = {self.manager.object_path(unit): unit for unit in self.waiting}
        answered: deque[str] = deque()
        wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        telling = Lock()

        def on_answer(unit: str, _: object) -> None:
            with telling:
                answered.append(unit)
                os.eventfd_write(wake, 1)

        pending = set(self.asked)
        for unit, future in self.asked.items():
            future.add_done_callback(partial(on_answer, unit))
        looked, first_look = False, time.monotonic() + _FIRST_LOOK_SECONDS
        while pending:
            seconds = _WATCH_SECONDS if looked else first_look - time.monotonic()
            changed = {paths[path] for path in self.manager.changed(seconds, wake) if path in paths}
            while self.news:
                instance, words = self.news.popleft()
                self.tell(instance, words)
                self.loads.began(instance, words)
            while answered:
                unit = answered.popleft()
                pending.discard(unit)
                self._tell_answer(unit)
            if not looked and time.monotonic() >= first_look:
                # Signals of the time before this loop were not read: look once at those that are still silent.
                looked, self.slow = True, pending & self.waiting.keys()
                changed |= self.slow
            self._look(changed & pending)
            self._tell_loads(pending)
            if time.monotonic() > self.deadline + _GRACE_SECONDS:
                for unit in pending:
                    self.interviewer.give_up(self.asked[unit])
        # Not on the way of an exception: a late answer would write to whatever has this number then.
        with telling:  # the last answer is known before its thread has written
            os.close(wake)

    def _look(self, units: Collection[str]) -> None:
        seen = self._see(units)
        for unit in units:
            state = seen.get(unit) or UnitState(name=unit)  # the manager forgets a unit that ended well
            grew = state.restarts > self.restarts.setdefault(state.name, state.restarts)
            if grew or state.active in (Active.FAILED, Active.INACTIVE) or state.crash_looping:
                self.interviewer.give_up(self.asked[state.name])

    def _tell_loads(self, units: Set[str]) -> None:
        """How much of its model a server has read, now and then: a load may take minutes."""
        for unit in self.waiting.keys() & units:
            instance = self.waiting[unit].instance
            if self.loads.due(instance) and (state := self._see([unit]).get(unit)):
                self.loads.tell(instance, state.main_pid, self.tell)

    def _see(self, units: Collection[str]) -> Mapping[str, UnitState]:
        """Reads them anew; who asks a server in a namespace of its own has to know its process."""
        seen = {state.name: state for state in self.manager.units(sorted(units))} if units else {}
        self.units.update(seen)
        return seen

    def _tell_answer(self, unit: str) -> None:
        step = self.waiting.get(unit)
        if step and step.target:
            found = self._answers(unit)
            if not found.hidden:
                words = f"failed: {found.failure}" if found.failure else f"answers on {step.target.listen}"
                self.tell(step.instance, words)

    def _answers(self, unit: str) -> Answers:
        future = self.asked.get(unit)
        return future.result() if future else Answers(failure="it was not asked, because it was not started anew")


def _job_problem(done: JobDone, step: Step) -> Problem:
    words = {
        "failed": "the unit failed to start",
        "timeout": "the start did not end in time",
        "canceled": "the start was canceled by another job",
        "dependency": "a unit that it needs failed",
    }.get(done.result, done.result)
    return Problem(message=words, path=done.unit, instance=step.instance, hint=f"journalctl -u {done.unit} -n 50")
