"""Looking once at servers and at their runners, side by side, without disturbing them."""

import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from queue import Empty, SimpleQueue

from ollamactl.errors import NotPermitted
from ollamactl.healing.signs import Life, RunnerSigns, Signs
from ollamactl.host import listeners, netns, runners, vitals
from ollamactl.host.runners import Runner
from ollamactl.model import Instance, address
from ollamactl.observed import Active, UnitState
from ollamactl.proving import probe
from ollamactl.proving.proof import ModelSize

_HTTP_SECONDS = 5.0
_TOKEN_SECONDS = 10.0
"""For one token of an idle model, and it may lie on disk meanwhile."""
_WORKERS = 32
_BUSY_CPU = 0.03
"""Seconds of processors: to take in our question and never answer it costs less. Not a share, for whoever computes may
have but a few percent of one, where others crowd it or `cpu_quota` holds it..."""
_BUSY_FAULTS = 32
"""... or none, where it waits so often for pages of its model from disk."""

Subject = tuple[Instance, UnitState]


def look(subjects: Iterable[Subject]) -> tuple[Signs, ...]:
    """The signs of each, in order. The threads are daemons: none keeps the program from its end."""
    todo: SimpleQueue[tuple[int, Subject]] = SimpleQueue()
    found: dict[int, Signs] = {}
    failures: list[BaseException] = []
    for row in enumerate(subjects):
        todo.put(row)

    def work() -> None:
        try:
            while True:
                number, subject = todo.get_nowait()
                found[number] = signs(*subject)
        except Empty:
            return
        except BaseException as error:  # noqa: BLE001 - whoever waits gets it
            failures.append(error)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(_WORKERS, todo.qsize()))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return tuple(found[number] for number in sorted(found))


def signs(instance: Instance, unit: UnitState) -> Signs:
    """One server's, with all its runners'."""
    main = vitals.read(unit.main_pid) if unit.main_pid and unit.active is Active.ACTIVE else None
    if main is None:
        return Signs(instance=instance, unit=unit)
    try:
        life, words, loaded = _server(instance, main.pid)
        found = tuple(filter(None, map(_runner, runners.of(unit.main_pid))))
    except NotPermitted as error:
        life, words, loaded, found = Life.HIDDEN, str(error), {}, ()
    if life is Life.SILENT and main.state:
        words += f"; its process (pid {main.pid}) is {main.state}"
    return Signs(
        instance=instance,
        unit=unit,
        identity=main.identity,
        age=main.age,
        life=life,
        words=words,
        runners=found,
        loaded=loaded,
    )


def _server(instance: Instance, pid: int) -> tuple[Life, str, Mapping[str, ModelSize]]:
    host, port, inside = instance.server_host, instance.port, pid if instance.gated else None
    if inside and netns.is_own(inside):  # where its port is the gate's
        return Life.SILENT, "it has no network of its own, or not yet", {}
    try:
        with probe.Server(host, port, timeout=_HTTP_SECONDS, inside=inside) as server:
            server.version()
            return Life.ANSWERS, "", _loaded(server)
    except probe.Strange:
        return Life.ANSWERS, "", {}  # whatever it says, it says it
    except probe.Silent as error:
        return Life.SILENT, str(error), {}
    except probe.Unreachable as error:
        there = listeners.serving(listeners.read(Path(f"/proc/{pid}")), host, port)
        if not there:
            return Life.SILENT, f"it does not listen on {address(host, port)}", {}
        if any(each.waiting for each in there):
            return Life.SILENT, f"it takes no connections: {error}", {}
        return Life.UNREACHABLE, str(error), {}


def _loaded(server: probe.Server) -> Mapping[str, ModelSize]:
    try:
        return {row.name: ModelSize(size=row.size, size_vram=row.size_vram) for row in server.loaded()}
    except (probe.Unreachable, probe.Silent, probe.Strange):
        return {}


def _runner(runner: Runner, proc: Path = Path("/proc")) -> RunnerSigns | None:
    """None for one that has ended."""
    before = vitals.read(runner.pid, proc)
    if before is None:
        return None
    life, words = _asked(runner)
    after = vitals.read(runner.pid, proc)
    if after is None or after.identity != before.identity:
        return None
    if life is Life.SILENT:
        if _computes(before, after):
            life, words = Life.COMPUTES, f"{words}, and computes"
        elif after.state:
            words += f", and is {after.state}"
    return RunnerSigns(pid=runner.pid, identity=before.identity, life=life, words=words)


def _computes(before: vitals.Vitals, after: vitals.Vitals) -> bool:
    return after.cpu - before.cpu >= _BUSY_CPU or after.faults - before.faults >= _BUSY_FAULTS


def _asked(runner: Runner) -> tuple[Life, str]:
    """The order matters: what is busy is not asked for a token, which would wait in its queue."""
    name = f"its runner (pid {runner.pid})"
    try:
        if busy := _slots(runner):
            return Life.BUSY, busy
    except probe.Silent:
        return Life.SILENT, f"{name} {runners.SILENT}"
    except probe.Unreachable as error:
        return _unreached(runner, error)
    except probe.Strange as error:
        # A runner of another kind answers in another way, but it answers
        return _strange(error)
    try:
        with runners.asked(runner, timeout=_TOKEN_SECONDS) as server:
            (server.embedding if runner.embeds else server.token)()
    except probe.Silent as error:
        return _at_work_since(runner) or (Life.SILENT, f"{name} does not {_verb(runner)}: {error}")
    except probe.Unreachable as error:
        return _unreached(runner, error)
    except probe.Strange as error:
        return _strange(error)
    return Life.ANSWERS, ""


def _unreached(runner: Runner, error: probe.Unreachable) -> tuple[Life, str]:
    if runners.takes_nobody(runner):
        return Life.SILENT, f"its runner (pid {runner.pid}) takes no connections: {error}"
    return Life.LOADING, "it is loading a model"


def _strange(error: probe.Strange) -> tuple[Life, str]:
    return (Life.LOADING, "it is loading a model") if error.status == runners.LOADING else (Life.ANSWERS, "")


def _at_work_since(runner: Runner) -> tuple[Life, str] | None:
    """Somebody else's request may have come first."""
    try:
        busy = _slots(runner)
    except (probe.Silent, probe.Unreachable, probe.Strange):
        return None
    return (Life.BUSY, busy) if busy else None


def _slots(runner: Runner) -> str:
    with runners.asked(runner, timeout=_HTTP_SECONDS) as server:
        count = server.slots()
    return f"it is answering {count} request{'s' if count > 1 else ''}" if count else ""


def _verb(runner: Runner) -> str:
    return "embed" if runner.embeds else "generate a token"
