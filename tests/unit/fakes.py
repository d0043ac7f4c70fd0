"""A file store and a service manager that write down what is asked of them, in order."""

import os
import select
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ollamactl.errors import HostError
from ollamactl.files import File
from ollamactl.observed import Active, UnitState
from ollamactl.protocols import Job, JobDone

SALTS: Mapping[str, str] = defaultdict(lambda: "5a17" * 8)
"""The salt of every file of secrets."""


@dataclass
class Diary:
    """What happened, in order, as words."""

    lines: list[str] = field(default_factory=list)
    failures: Mapping[str, Exception] = field(default_factory=dict)
    """Line -> what happens instead."""

    def write(self, line: str) -> None:
        self.lines.append(line)
        if line in self.failures:
            raise self.failures[line]


@dataclass
class FakeFiles:
    """A host.FileStore."""

    diary: Diary

    def write_all(self, files: Sequence[File]) -> None:
        self.diary.write(f"write {' '.join(file.path for file in files)}")

    def remove(self, path: str) -> None:
        self.diary.write(f"remove {path}")

    def unlink(self, links: Mapping[str, str]) -> None:
        self.diary.write(f"unlink {' '.join(links)}")

    def relink(self, links: Mapping[str, str]) -> None:
        self.diary.write(f"relink {' '.join(links)}")

    def enable(self, unit: str) -> None:
        self.diary.write(f"link {unit}")

    def disable(self, unit: str) -> None:
        self.diary.write(f"unlink {unit}")


@dataclass
class FakeManager:
    """A host.ServiceManager; what becomes of a unit is `results` and `states`."""

    diary: Diary
    results: Mapping[str, str] = field(default_factory=dict)
    """`StartUnit UNIT` -> how the job ends, where not well."""
    states: Mapping[str, UnitState] = field(default_factory=dict)
    """What a unit is when it is looked at after its start; running where nothing is said."""
    on_job: Callable[[Job], None] = lambda _: None
    user: bool = False

    def units(self, patterns: Sequence[str]) -> Sequence[UnitState]:
        return [self.states.get(unit) or running(unit) for unit in patterns]

    def enable(self, units: Sequence[str]) -> None:
        self.diary.write(f"enable {' '.join(units)}")

    def disable(self, units: Sequence[str]) -> None:
        self.diary.write(f"disable {' '.join(units)}")

    def reload(self) -> None:
        self.diary.write("reload")

    def run(self, jobs: Iterable[Job], *, timeout: float) -> Iterator[JobDone]:
        for job in list(jobs):
            self.diary.write(f"{job.method} {job.unit}")
            self.on_job(job)
            yield JobDone(job.unit, self.results.get(f"{job.method} {job.unit}", "done"))

    def changed(self, seconds: float, wake: int) -> Iterator[str]:
        """Waits as the real one does, and has no signals: what is to be seen must be seen without them."""
        if select.select([wake], [], [], seconds)[0]:
            os.read(wake, 8)
        return iter(())

    def object_path(self, unit: str) -> str:
        return f"/unit/{unit}"


def running(unit: str) -> UnitState:
    """Its main process is the test's own, which is where its servers listen."""
    return UnitState(name=unit, load_state="loaded", active=Active.ACTIVE, sub_state="running", main_pid=os.getpid())


def refusal(words: str = "the disk is full") -> HostError:
    return HostError(words, hint="make room")
