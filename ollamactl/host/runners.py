"""The runners of a server, its child processes that hold the models, and whether they are at work.

Ollama itself does not tell: /api/ps is empty while a model loads, and does not change while one answers. A runner
(llama-server) does, on a port of its own that its command line names: GET /slots (tools/server in llama.cpp).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ollamactl.host import inflight, listeners, processes
from ollamactl.proving import probe

LOADING = 503
"""What llama-server answers on every path while it loads."""

SILENT = "does not answer"
_ANSWER_SECONDS = 2.0
_NAMES = ("llama-server", "runner")
"""The program's name, or Ollama's own subcommand (llm/ in Ollama)."""
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """One runner: its process and its port on 127.0.0.1."""

    pid: int
    port: int
    embeds: bool = False
    """It embeds, and cannot generate."""


def of(server: int, proc: Path = _PROC) -> tuple[Runner, ...]:
    """The runners of a server's process; none where nothing is loaded, or where the caller may not look."""
    return tuple(_runners(server, proc))


def is_runner(words: Sequence[str]) -> bool:
    """Whether a command line is a runner's, with a port of its own."""
    names = {Path(words[0]).name, *words[1:2]} if words else set()
    return bool(names & set(_NAMES)) and "--port" in words[:-1]


def _runners(server: int, proc: Path) -> Iterator[Runner]:
    for pid in processes.family(server, proc):
        words = processes.arguments(pid, proc)
        if pid == server or not is_runner(words):
            continue
        port = words[words.index("--port") + 1]
        if port.isdecimal():
            yield Runner(pid=pid, port=int(port), embeds="--embedding" in words)


def asked(runner: Runner, *, timeout: float) -> probe.Server:
    """The runner, to be asked within its network namespace; `timeout` in seconds as Server's."""
    return probe.Server("127.0.0.1", runner.port, timeout=timeout, inside=runner.pid)


def takes_nobody(runner: Runner) -> bool:
    """Whether a runner that cannot be reached listens: its queue is full, and it takes nobody out of it.

    One that does not listen yet is loading. A queue has an end (listen(2)), and keeps the connections that their
    clients have given up, so that every question to one that hangs helps to fill it.
    """
    there = listeners.serving(listeners.read(_PROC / str(runner.pid)), "127.0.0.1", runner.port)
    return any(each.waiting for each in there)


def at_work(server: int, proc: Path = _PROC) -> str:
    """What a server is at, in words; empty where it is idle.

    Raises NotPermitted where it has a network namespace of its own, and the caller may not enter it.
    """
    if words := next(filter(None, (_at_work(runner) for runner in of(server, proc))), ""):
        return words
    waiting = inflight.unanswered(server)
    return f"it has taken {_requests(waiting)} that it has not answered" if waiting else ""


def _at_work(runner: Runner) -> str:
    try:
        with asked(runner, timeout=_ANSWER_SECONDS) as server:
            busy = server.slots()
    except probe.Unreachable:
        return f"its runner (pid {runner.pid}) {SILENT}" if takes_nobody(runner) else "it is loading a model"
    except probe.Silent:
        return f"its runner (pid {runner.pid}) {SILENT}"
    except probe.Strange as error:
        if error.status == LOADING:
            return "it is loading a model"
        return f"its runner (pid {runner.pid}) does not tell whether it is at work"
    return f"it is answering {_requests(busy)}" if busy else ""


def _requests(count: int) -> str:
    return f"{count} request{'s' if count > 1 else ''}"
