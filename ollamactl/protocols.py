"""What the core asks of the outside, as Protocols: a test gives a fake instead of patching."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ollamactl.files import File
from ollamactl.observed import UnitState

Tell = Callable[[str, str], None]
"""Progress: an instance's name (empty for the fleet as a whole) and what happens to it."""


@dataclass(frozen=True, slots=True)
class Job:
    """A request to the manager: `StartUnit`, `RestartUnit` or `StopUnit` of one unit."""

    method: str
    unit: str
    group: str = ""
    """The same for jobs, side by side, of which the first brings the others with it (plan.Step)."""
    at_once: bool = False
    """Those of a group are in the queue before the first of them can have ended, for systemd orders them there."""


@dataclass(frozen=True, slots=True)
class JobDone:
    """How a job ended: `done`, `failed`, `timeout`, `canceled`, `dependency`, `skipped`, or an error's text."""

    unit: str
    result: str

    @property
    def ok(self) -> bool:
        """Whether the unit is in the state asked for."""
        return self.result == "done"


class FileStore(Protocol):
    """Files and enablement links at the places that are ollamactl's (unitdir.UnitDir)."""

    def write_all(self, files: Sequence[File]) -> None:
        """Writes each file atomically; raises HostError with nothing half-written."""

    def remove(self, path: str) -> None:
        """Removes one file of ours; raises HostError for a foreign one."""

    def unlink(self, links: Mapping[str, str]) -> None:
        """Takes away the links that start somebody else's service, path -> target."""

    def relink(self, links: Mapping[str, str]) -> None:
        """Puts them back."""

    def enable(self, unit: str) -> None:
        """Makes the unit's enablement link without a manager."""

    def disable(self, unit: str) -> None:
        """Removes it."""


class ServiceManager(Protocol):
    """The service manager (systemd.Manager); every method raises HostError or NotPermitted."""

    user: bool

    def units(self, patterns: Sequence[str]) -> Sequence[UnitState]:
        """Loaded units whose names match."""

    def enable(self, units: Sequence[str]) -> None:
        """Makes enablement links."""

    def disable(self, units: Sequence[str]) -> None:
        """Removes enablement links."""

    def reload(self) -> None:
        """Reads every unit file again."""

    def run(self, jobs: Iterable[Job], *, timeout: float) -> Iterator[JobDone]:
        """Queues jobs and tells the end of each."""

    def changed(self, seconds: float, wake: int) -> Iterator[str]:
        """Object paths of units that changed while waiting."""

    def object_path(self, unit: str) -> str:
        """A unit's object path."""
