"""The way to the server that pulls, where the kernel does not let us close it, and where somebody is too quick."""

import errno
import socket
from collections.abc import Iterator, Sequence

import pytest

from ollamactl.errors import HostError
from ollamactl.observed import Active, UnitState
from ollamactl.protocols import Job, JobDone
from ollamactl.pulling import door, server


class Manager:
    """Has one unit, which runs."""

    def __init__(self, *, user: bool) -> None:
        self.user = user

    def names(self, patterns: Sequence[str]) -> tuple[UnitState, ...]:
        return tuple(UnitState(name=name, active=Active.ACTIVE, main_pid=1) for name in patterns)

    units = names

    def run(self, jobs: Sequence[Job], *, timeout: float) -> Iterator[JobDone]:
        yield from (JobDone(job.unit, "done") for job in jobs)


@pytest.fixture
def there() -> Iterator[tuple[str, int]]:
    """Somebody listens."""
    with socket.socket() as listener:
        listener.bind((door.random_address(), 0))
        listener.listen()
        yield listener.getsockname()


def refused(_pid: int, _address: str, _port: int) -> door.Door:
    raise PermissionError(errno.EPERM, "Operation not permitted")


def test_root_pulls_nothing_by_a_server_that_others_could_speak_to_and_a_user_does(
    there: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "closed", refused)

    with pytest.raises(HostError, match="cannot be closed to other users of this machine: Operation not perm") as error:
        server._way(Manager(user=False), *there)
    assert "ptrace_scope" in error.value.hint
    assert not server._way(Manager(user=True), *there).closed
