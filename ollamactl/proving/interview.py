"""Asking many servers at once who they are and what they have, with a few threads and patience for those that start."""

import heapq
import itertools
import math
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field, replace

from ollamactl.errors import NotPermitted
from ollamactl.host import netns
from ollamactl.model import Instance
from ollamactl.proving import probe
from ollamactl.proving.proof import Answers, ModelSize
from ollamactl.quantity import format_duration

WORKERS = 8
"""Servers asked at the same moment: more threads only wait for the interpreter."""

ANSWER_SECONDS = 5.0
"""How long a running server may take for a question that touches neither scheduler nor store."""

_FIRST_PAUSE, _LAST_PAUSE = 0.002, 0.25


@dataclass(slots=True, kw_only=True)
class _Question:
    instance: Instance
    load: tuple[str, ...]
    loaded: bool
    patient: bool
    deadline: float
    asked: float
    told: Callable[[str], None]
    pid: Callable[[], int]
    pause: float = _FIRST_PAUSE
    failure: str = "no answer"
    """What the last attempt came to."""
    answers: Answers | None = None
    """What is known already while models are still to be loaded."""
    future: "Future[Answers]" = field(default_factory=Future)


def _untold(_: str) -> None:
    """For who wants to hear nothing before the end."""


class Interviewer:
    """Puts questions to servers; one that hangs takes its turn again and again, and delays no other for long.

    The threads are daemons: neither a hanging load nor Ctrl-C keeps the program from its end.
    """

    def __init__(self, workers: int = WORKERS) -> None:
        self._workers, self._threads, self._idle = workers, 0, 0
        self._due: list[tuple[float, int, _Question]] = []
        self._numbers = itertools.count()
        self._news = threading.Condition()
        self._questions: dict[Future[Answers], _Question] = {}
        self._closed = False

    def ask(
        self,
        instance: Instance,
        *,
        load: Iterable[str] = (),
        loaded: bool = False,
        patient: bool = False,
        deadline: float = math.inf,
        told: Callable[[str], None] = _untold,
        pid: Callable[[], int] = int,
    ) -> "Future[Answers]":
        """The server's answers: who it is, its models, and with `loaded` what is in memory.

        With `patient` it waits until the server answers HTTP, with `load` it has those models loaded; both until
        `deadline`, a time.monotonic(). `told` hears of each load, from another thread. `pid` says, at each attempt and
        as often as one likes, which is the main process of its unit, 0 for none: who is gated is asked inside.
        """
        question = _Question(
            instance=instance,
            load=tuple(load),
            loaded=loaded,
            patient=patient,
            deadline=deadline,
            asked=time.monotonic(),
            told=told,
            pid=pid,
        )
        self._questions[question.future] = question
        self._put(question, question.asked)
        return question.future

    def give_up(self, future: "Future[Answers]") -> None:
        """Ends the waiting for an answer that will not come any more."""
        question = self._questions[future]
        self._resolve(question, Answers(failure=question.failure))

    def close(self) -> None:
        """Leaves unanswered questions behind."""
        with self._news:
            self._closed = True
            self._news.notify_all()

    def _put(self, question: _Question, due: float) -> None:
        with self._news:
            heapq.heappush(self._due, (due, next(self._numbers), question))
            if self._idle < len(self._due) and self._threads < self._workers:
                self._threads += 1
                threading.Thread(target=self._work, name=f"probe-{self._threads}", daemon=True).start()
            self._news.notify()

    def _next(self) -> _Question | None:
        """The next question that is due, as soon as it is; None when the interview is over."""
        with self._news:
            while not self._closed:
                wait = self._due[0][0] - time.monotonic() if self._due else None
                if wait is not None and wait <= 0:
                    return heapq.heappop(self._due)[2]
                self._idle += 1
                self._news.wait(wait)
                self._idle -= 1
            return None

    def _work(self) -> None:
        while question := self._next():
            if question.future.done():
                continue
            try:
                if question.answers is None:
                    self._interview(question)
                else:
                    self._resolve(question, _load(question, question.answers))
            except Exception as error:  # noqa: BLE001 - whoever waits for the answer gets it
                with suppress(InvalidStateError):
                    question.future.set_exception(error)

    def _interview(self, question: _Question) -> None:
        """One attempt. The port is bound before HTTP is served (cmd/cmd.go), so silence is no failure yet."""
        try:
            with _server(question, least=0.05) as server:
                answers = Answers(version=server.version(), models={row.name: row.digest for row in server.tags()})
                if question.loaded and not question.load:
                    answers = replace(answers, loaded=_loaded(server))
        except (probe.Unreachable, probe.Silent) as error:
            patient_and_silent = question.patient and isinstance(error, probe.Silent)
            question.failure = "no HTTP answer" if patient_and_silent else str(error)
            if not question.patient:
                self._resolve(question, Answers(failure=question.failure))
            elif time.monotonic() >= question.deadline:
                seconds = time.monotonic() - question.asked
                waited = format_duration(max(0.1, round(seconds, 0 if seconds >= 1 else 1)))
                self._resolve(question, Answers(failure=f"{question.failure}, still after {waited}"))
            else:
                self._put(question, min(time.monotonic() + question.pause, question.deadline))
                question.pause = min(question.pause * 1.6, _LAST_PAUSE)
        except probe.Strange as error:
            self._resolve(question, Answers(failure=str(error)))
        except NotPermitted as error:
            self._resolve(question, Answers(hidden=str(error)))
        else:
            if question.load:
                question.answers = answers
                self._put(question, time.monotonic())  # behind those that have not been asked at all
            else:
                self._resolve(question, answers)

    def _resolve(self, question: _Question, answers: Answers) -> None:
        with suppress(InvalidStateError):  # it was given up meanwhile
            question.future.set_result(answers)


def _server(question: _Question, *, least: float) -> probe.Server:
    """Where it is asked; for one answer, no more than is left of the time for all."""
    instance = question.instance
    seconds = max(least, min(question.deadline - time.monotonic(), ANSWER_SECONDS))
    return probe.Server(instance.server_host, instance.port, timeout=seconds, inside=_inside(question))


def _inside(question: _Question) -> int | None:
    """The process in whose network namespace it is to be asked. Raises Unreachable."""
    if not question.instance.gated:
        return None
    pid = question.pid()
    if not pid:
        raise probe.Unreachable("no process of its unit runs")
    if netns.is_own(pid):  # where its port is the gate's
        raise probe.Unreachable("it has no network of its own, or not yet")
    return pid


def _loaded(server: probe.Server) -> dict[str, ModelSize]:
    return {row.name: ModelSize(size=row.size, size_vram=row.size_vram) for row in server.loaded()}


def _in_memory(question: _Question, *, least: float = 0.05) -> dict[str, ModelSize]:
    """What is loaded, asked anew: a load may take longer than a connection lives."""
    with _server(question, least=least) as server:
        return _loaded(server)


def _load(question: _Question, answers: Answers) -> Answers:
    """Loads what is not loaded; loading what a client has loaded with other options would reload it."""
    instance = question.instance
    failures: dict[str, str] = {}
    late: set[str] = set()
    try:
        seen = _in_memory(question)
        for model in question.load:
            if model in seen:
                continue
            question.told(f"answers, and loads {model}")
            try:
                seconds = question.deadline - time.monotonic()
                probe.load(instance.server_host, instance.port, model, timeout=seconds, inside=_inside(question))
            except (probe.Unreachable, probe.Silent, probe.Strange) as error:
                failures[model] = str(error)
                late |= {model} if isinstance(error, probe.Silent) else set()
            else:
                seen |= _in_memory(question, least=1)  # the next load may need its place
        # What did load is told also where the time is up because of another model.
        loaded = _in_memory(question, least=1)
        evicted = {model: seen[model] for model in question.load if model in seen and model not in loaded}
        return replace(answers, loaded=loaded, evicted=evicted, load_failures=failures, late=frozenset(late))
    except (probe.Unreachable, probe.Silent, probe.Strange) as error:
        return replace(answers, failure=str(error), load_failures=failures)
