"""The service manager's jobs: queued a bounded number at a time, and told when they end."""

import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Protocol

from ollamactl.errors import HostError, NotPermitted
from ollamactl.protocols import Job, JobDone

IN_FLIGHT = 32
"""Start jobs queued at once: more make every start slower, and run all their time-outs at the same time."""


class Queue(Protocol):
    """The manager's queue of jobs (systemd.Manager); its methods raise HostError or NotPermitted."""

    def reset_failed(self, unit: str) -> None:
        """Forgets failures."""

    def ask(self, job: Job) -> str:
        """Queues a job; returns its object path."""

    def jobs(self) -> Mapping[str, str]:
        """The object paths of the jobs that (re)start a unit and have not ended, by unit."""

    def ended(self, seconds: float) -> Iterator[tuple[str, str]]:
        """Object paths and results of jobs that have ended, after waiting at most so long for the first."""


def run(queue: Queue, jobs: Iterable[Job], *, timeout: float) -> Iterator[JobDone]:
    """Queues the jobs, and tells each one's end as it comes.

    `timeout` in seconds is for the whole; jobs unfinished then are told as `timeout` and left to systemd, those that
    were not queued yet never are.
    """
    todo = deque(jobs)
    pending: dict[str, Job] = {}
    deadline = time.monotonic() + timeout
    while True:
        while todo and len(pending) < IN_FLIGHT:
            yield from _ask(queue, _next_group(todo), pending)
        if not pending:
            return
        for path, result in queue.ended(deadline - time.monotonic()):
            if ended := pending.pop(path, None):
                if ended.method == "StopUnit":
                    queue.reset_failed(ended.unit)  # what is not to run has not failed
                yield JobDone(ended.unit, result)
        if time.monotonic() >= deadline:
            yield from (JobDone(late.unit, "timeout") for late in pending.values())
            yield from (JobDone(late.unit, "time ran out before its turn") for late in todo)
            return


def _next_group(jobs: deque[Job]) -> list[Job]:
    """Takes the first job, and those that go along with it."""
    taken = [jobs.popleft()]
    while jobs and taken[0].group and jobs[0].group == taken[0].group:
        taken.append(jobs.popleft())
    return taken


def _ask(queue: Queue, jobs: Sequence[Job], pending: dict[str, Job]) -> Iterator[JobDone]:
    """Asks for the jobs of one group, unless they came with another; tells those that cannot be.

    To ask for one that has come, and has ended since, would restart its unit a second time.
    """
    for job in jobs:
        with suppress(HostError):  # whatever it is, the job itself will tell
            if job.method != "StopUnit":
                queue.reset_failed(job.unit)
    came: Mapping[str, str] | None = {}
    for job in jobs:
        came = queue.jobs() if came is None else came
        try:
            path = came.get(job.unit) or queue.ask(job)
        except NotPermitted:
            raise
        except HostError as error:
            yield JobDone(job.unit, str(error))
            continue
        pending[path] = job
        came = came if job.unit in came or job.at_once else None
