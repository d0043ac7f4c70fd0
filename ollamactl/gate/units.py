"""The service manager for a loop that must not stand still: asked in one thread of its own."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from ollamactl.errors import HostError
from ollamactl.host.systemd import Manager
from ollamactl.observed import Active
from ollamactl.protocols import Job

T = TypeVar("T")


class ManagerUnits:
    """Short questions to the manager (waking.Units). None waits for a job's end, so none has to wait for another."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="manager")
        self._manager: Manager | None = None

    async def start(self, unit: str) -> None:
        """StartUnit; failures are forgotten first, since start limits count starts that were asked for, too."""
        await self._ask(lambda manager: self._start(manager, unit))

    async def hopeless(self, unit: str) -> str:
        """Failed, or neither running nor about to."""
        return await self._ask(lambda manager: self._hopeless(manager, unit))

    async def main_pid(self, unit: str) -> int:
        """MainPID, which is 0 where it does not run."""
        return int(await self._ask(lambda manager: _told(manager, unit, "MainPID", "u")))

    async def private_network(self, unit: str) -> bool:
        """Whether it has a network of its own (PrivateNetwork)."""
        return bool(await self._ask(lambda manager: _told(manager, unit, "PrivateNetwork", "b")))

    async def server_host(self, unit: str) -> str:
        """The value of OLLAMA_HOST that the unit gives its server, or nothing."""
        return await self._ask(lambda manager: manager.environment(manager.object_path(unit)).get("OLLAMA_HOST", ""))

    async def _ask(self, question: Callable[[Manager], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._answer, question)

    def _answer(self, question: Callable[[Manager], T]) -> T:
        """Connects anew after an error: the manager may have been started again (systemctl daemon-reexec)."""
        if self._manager is None:
            self._manager = Manager()
        try:
            return question(self._manager)
        except HostError:
            self._manager.close()
            self._manager = None
            raise

    @staticmethod
    def _start(manager: Manager, unit: str) -> None:
        manager.reset_failed(unit)
        manager.ask(Job("StartUnit", unit))

    @staticmethod
    def _hopeless(manager: Manager, unit: str) -> str:
        state = next(iter(manager.names([unit])), None)
        if state and state.active is Active.FAILED:
            return f"{unit} has failed; see journalctl -u {unit}"
        if (state is None or state.active is Active.INACTIVE) and unit not in manager.jobs():
            return f"{unit} was not started; see systemctl status {unit}"
        return ""


def _told(manager: Manager, unit: str, name: str, kind: str) -> Any:
    """One property of a service."""
    return manager.details(manager.object_path(unit), {name: ("Service", kind)})[name]
