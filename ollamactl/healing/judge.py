"""Whether a server hangs, how often in a row it did, and whether it may be restarted for it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from ollamactl.healing.signs import Life, Signs
from ollamactl.planning.reconcile import STARTING_SECONDS


class Finding(StrEnum):
    """What is wrong with a server."""

    SERVER = "server"
    """It does not answer HTTP."""
    RUNNER = "runner"
    """A loaded model that nobody uses does not generate a token."""
    COMPUTING = "computing"
    """A runner has answered nobody for long, and computes all the time: that may be right."""
    UNREACHABLE = "unreachable"
    """It listens, but no connection reaches it."""


CURABLE = (Finding.SERVER, Finding.RUNNER)
"""What a restart mends."""


class State(StrEnum):
    """How a server is."""

    OK = "ok"
    BUSY = "busy"
    """It answers somebody, or loads a model."""
    STARTING = "starting"
    """It has not answered yet, and may still be looking for cards."""
    DOWN = "down"
    """systemd's business: stopped, failed, between two restarts."""
    FAILING = "failing"
    HIDDEN = "hidden"
    """It could not be looked at: that needs root."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What is known of a server from the looks before."""

    identity: str = ""
    """The process that all but `restarts` is about."""
    answered: bool = False
    """It has answered HTTP, so it is past its start."""
    finding: Finding | None = None
    culprits: tuple[str, ...] = ()
    """The processes that failed at the last look."""
    failures: int = 0
    """In a row."""
    restarts: int = 0
    """By heal, since the boot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one look, after those before it, says of one server."""

    signs: Signs
    state: State
    memory: Memory
    limit: int
    """After so many failures in a row it is restarted."""
    finding: Finding | None = None
    words: str = ""
    """What is wrong; for what is not failing, how it is."""
    held: str = ""
    """Why it is not restarted though it should be."""

    @property
    def instance(self) -> str:
        """The instance's name."""
        return self.signs.instance.name

    @property
    def unit(self) -> str:
        """The unit's name."""
        return self.signs.unit.name

    @property
    def over(self) -> bool:
        """Whether it has failed often enough."""
        return self.finding in CURABLE and self.memory.failures >= self.limit

    @property
    def due(self) -> bool:
        """Whether it is to be restarted now."""
        return self.over and not self.held


def judge(signs: Signs, before: Memory, *, limit: int) -> Verdict:
    """One server: its signs, and what it is after the looks before; `limit` is in failures in a row."""
    known = before if before.identity == signs.identity else Memory(restarts=before.restarts)
    known = replace(known, identity=signs.identity, answered=known.answered or signs.life is Life.ANSWERS)
    well = replace(known, finding=None, culprits=(), failures=0)
    if signs.life is None:
        words = f"left to systemd: {signs.unit.words}"
        return Verdict(signs=signs, state=State.DOWN, memory=well, limit=limit, words=words)
    if signs.life is Life.HIDDEN:
        words = f"not looked at: {signs.words}"
        return Verdict(signs=signs, state=State.HIDDEN, memory=known, limit=limit, words=words)
    if not known.answered and signs.age < STARTING_SECONDS:
        words = f"started {round(signs.age)} s ago, and has not answered yet"
        return Verdict(signs=signs, state=State.STARTING, memory=well, limit=limit, words=words)
    finding, culprits, words = _failing(signs)
    if finding is None:
        state = State.BUSY if signs.at_work else State.OK
        return Verdict(signs=signs, state=state, memory=well, limit=limit, words=signs.at_work or "answers")
    again = finding is known.finding and not set(culprits).isdisjoint(known.culprits)
    failures = known.failures + 1 if again else 1
    memory = replace(known, finding=finding, culprits=culprits, failures=failures)
    if finding is Finding.COMPUTING and failures < limit:
        # A long prompt: nothing to speak of yet
        return Verdict(signs=signs, state=State.BUSY, memory=memory, limit=limit, words=words)
    verdict = Verdict(signs=signs, state=State.FAILING, memory=memory, limit=limit, finding=finding, words=words)
    return replace(verdict, held=signs.at_work if verdict.over else "")


def _failing(signs: Signs) -> tuple[Finding | None, tuple[str, ...], str]:
    """What fails, the processes that do, and how in words; the server first, for without it nobody asks a runner."""
    if signs.life is Life.SILENT:
        return Finding.SERVER, (signs.identity,), signs.words
    if signs.life is Life.UNREACHABLE:
        return Finding.UNREACHABLE, (signs.identity,), f"it listens on {signs.instance.listen}, but: {signs.words}"
    for life, finding in ((Life.SILENT, Finding.RUNNER), (Life.COMPUTES, Finding.COMPUTING)):
        if runners := [runner for runner in signs.runners if runner.life is life]:
            return finding, tuple(runner.identity for runner in runners), runners[0].words
    return None, (), ""


def hold(verdicts: Sequence[Verdict], along: Mapping[str, Sequence[str]]) -> tuple[Verdict, ...]:
    """The verdicts, where no restart takes a server along that is at work.

    `along` says by unit which others systemd restarts with it.
    """
    by_unit = {verdict.unit: verdict for verdict in verdicts}
    return tuple(
        replace(verdict, held=_held(filter(None, map(by_unit.get, along.get(verdict.unit, ())))))
        if verdict.due
        else verdict
        for verdict in verdicts
    )


def _held(others: "filter[Verdict]") -> str:
    for other in others:
        if words := other.signs.at_work or (other.words if other.state is State.STARTING else ""):
            return f"{other.unit} goes along with it: {words}"
    return ""
