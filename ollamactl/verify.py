"""Gathering the evidence for a proof: asks the servers side by side, then looks once at sockets and processes."""

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from ollamactl import journal, listeners, probe, processes
from ollamactl.model import Instance
from ollamactl.observed import Active, UnitState
from ollamactl.proof import Answers, Evidence, Expected, ModelSize, Proof, judge

WORKERS = 8
"""Servers asked at once: more threads only wait for the interpreter."""

ANSWER_SECONDS = 5.0
"""How long a running server may take for a question that touches neither scheduler nor store."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for a server that is starting: seconds from now for HTTP, and a way to give up early."""

    deadline: float
    """time.monotonic() at which waiting ends."""
    gave_up: threading.Event


class Interviewer:
    """Asks servers in worker threads, so that one that hangs delays no other."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="probe")

    def close(self) -> None:
        """Leaves unanswered questions behind."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def ask(
        self,
        instance: Instance,
        *,
        load: Iterable[str] = (),
        loaded: bool = False,
        patience: Patience | None = None,
    ) -> "Future[Answers]":
        """The server's answers; with `patience` it waits for HTTP first, with `load` it loads those models.

        `loaded` asks, too, what is in memory.
        """
        return self._pool.submit(_interview, instance, tuple(load), loaded, patience)


def _interview(instance: Instance, load: Sequence[str], loaded: bool, patience: Patience | None) -> Answers:
    if patience and (failure := _wait(instance, patience)):
        return Answers(failure=failure)
    try:
        with probe.Server(instance.host, instance.port, timeout=ANSWER_SECONDS) as server:
            answers = Answers(version=server.version(), models={row.name: row.digest for row in server.tags()})
            if load or loaded:
                answers = _load(instance, server, answers, load)
        return answers
    except (probe.Unreachable, probe.Silent, probe.Strange) as error:
        return Answers(failure=str(error))


def _wait(instance: Instance, patience: Patience) -> str:
    """Waits for HTTP; the reason in words when it does not come.

    The port is bound before HTTP is served (cmd/cmd.go), so one patient question waits out a slow start: only
    a refused connection is tried again.
    """
    pause, failure = 0.002, "it gave up before it answered"
    while not patience.gave_up.is_set():
        left = patience.deadline - time.monotonic()
        if left <= 0:
            return failure
        try:
            with probe.Server(instance.host, instance.port, timeout=max(0.05, min(left, 5.0))) as server:
                server.version()
                return ""
        except (probe.Unreachable, probe.Silent) as error:
            failure = str(error)
        except probe.Strange as error:
            return str(error)
        patience.gave_up.wait(min(pause, max(0.0, left)))
        pause = min(pause * 1.6, 0.25)
    return failure


def _load(instance: Instance, server: probe.Server, answers: Answers, models: Sequence[str]) -> Answers:
    """Loads what is not loaded; loading what a client has loaded with other options would reload it."""
    failures = {}
    there = {row.name for row in server.loaded()}
    for model in models:
        if model not in there:
            try:
                probe.load(instance.host, instance.port, model)
            except (probe.Unreachable, probe.Strange) as error:
                failures[model] = str(error)
    loaded = {row.name: ModelSize(size=row.size, size_vram=row.size_vram) for row in server.loaded()}
    return replace(answers, loaded=loaded, load_failures=failures)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One instance to judge, with what is known of it so far."""

    instance: Instance
    unit: UnitState
    answers: Answers
    expected: Expected
    restarts_before: int = 0


def prove(subjects: Iterable[Subject], *, user: bool, proc: Path = Path("/proc")) -> tuple[Proof, ...]:
    """Judges each subject against one reading of the host's sockets."""
    sockets = listeners.read(proc)
    return tuple(_prove(subject, sockets, user, proc) for subject in subjects)


def _prove(subject: Subject, sockets: Sequence[listeners.Listener], user: bool, proc: Path) -> Proof:
    instance, unit = subject.instance, subject.unit
    evidence = Evidence(unit=unit, answers=subject.answers, restarts_before=subject.restarts_before)
    inodes = {s.inode for s in listeners.serving(sockets, instance.host, instance.port)}
    if unit.main_pid and processes.holds_socket(unit.main_pid, inodes, proc) is not None:
        evidence = replace(evidence, holder_pid=unit.main_pid, holder_is_ours=True)
    elif inodes:
        evidence = _other_holder(evidence, inodes, unit.name, proc)
    proof = judge(instance, subject.expected, evidence)
    if not proof.ok and (unit.active is not Active.ACTIVE or subject.answers.failure or unit.restarts):
        proof = replace(proof, evidence=replace(evidence, journal=journal.tail(unit.name, user=user)))
    return proof


def _other_holder(evidence: Evidence, inodes: set[int], unit: str, proc: Path) -> Evidence:
    for inode in sorted(inodes):
        if owner := processes.owner(inode, proc):
            return replace(
                evidence,
                holder_pid=owner.pid,
                holder_is_ours=owner.unit == unit,
                holder_words=describe_holder(owner),
            )
    # Sockets of other users' processes show their owner to root only.
    return evidence


def describe_holder(owner: processes.Process) -> str:
    """`pid 812 (python3 -m http.server 11434) of session-2.scope`."""
    where = f" of {owner.unit}" if owner.unit else ""
    return f"pid {owner.pid} ({owner.command}){where}"


def expectations(
    instances: Iterable[Instance],
    digests: Mapping[str, str],
    versions: Mapping[str, str | None],
    *,
    load: bool,
    has_gpu: bool | None,
) -> Mapping[str, Expected]:
    """What each server must say: digests by model of the store, versions by binary; `has_gpu` None is unknown."""
    return {
        i.name: Expected(
            version=versions.get(i.binary),
            models={model: digests[model] for model in i.models if model in digests},
            load=load,
            gpu=_lands_on_gpu(i, has_gpu),
        )
        for i in instances
    }


def _lands_on_gpu(instance: Instance, has_gpu: bool | None) -> bool | None:
    if instance.gpus == () or instance.backend == "cpu" or has_gpu is False:
        return False
    return True if instance.gpus else None
