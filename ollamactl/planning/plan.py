"""What apply will do, as a list of steps: `plan` prints it, `apply` executes it, tests compare its text."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from ollamactl.errors import Problem
from ollamactl.files import File
from ollamactl.model import Instance


class StepKind(StrEnum):
    """What a step does; the order here is the order of execution."""

    PULL = "pull"
    """Before the others, and without the lock: it may take hours (pull.pull)."""
    CREATE = "create"
    """Likewise: a model of the spec's own."""
    WRITE = "write"
    STOP = "stop"
    DISABLE = "disable"
    ENABLE = "enable"
    REMOVE = "remove"
    RELOAD = "reload"
    DISPLACE = "displace"
    """Stop somebody else's service, whose place the spec gives to a server that is started next."""
    RESTART = "restart"
    START = "start"
    RESTORE = "restore"
    """Start such a service again."""
    WAIT = "wait"
    VERIFY = "verify"


ON_DISK = (StepKind.WRITE, StepKind.DISABLE, StepKind.ENABLE, StepKind.REMOVE)
"""What can be done without a manager."""

ORDER = {kind: place for place, kind in enumerate(StepKind)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing to do, to one subject, for one reason."""

    kind: StepKind
    subject: str
    """A path, a unit's name, or an address."""
    cause: str = ""
    instance: str = ""
    file: File | None = field(default=None, repr=False)
    """What to write (WRITE)."""
    before: bytes | None = field(default=None, repr=False)
    """What is there now (WRITE, REMOVE), for --diff; None where there is nothing."""
    target: Instance | None = field(default=None, repr=False)
    """Whom to prove (WAIT, VERIFY)."""
    links: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Of somebody else's service: the links that go or come back, path -> target (DISABLE, ENABLE)."""
    group: str = ""
    """The same for all that go down together, because one requires the other (STOP, RESTART); empty for one alone."""
    size: int | None = None
    """Bytes that a model takes of the disk (CREATE); None where only its registry knows (PULL)."""

    @property
    def changes(self) -> bool:
        """Whether it changes the host."""
        return self.kind not in (StepKind.WAIT, StepKind.VERIFY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Every step, in the order of execution, and what the operator should know before."""

    steps: tuple[Step, ...] = ()
    notes: tuple[Problem, ...] = ()

    @property
    def changes(self) -> tuple[Step, ...]:
        """The steps that change the host; empty when it matches the spec."""
        return tuple(step for step in self.steps if step.changes)

    def of(self, *kinds: StepKind) -> tuple[Step, ...]:
        """The steps of some kinds, in order."""
        return tuple(step for step in self.steps if step.kind in kinds)

    def __str__(self) -> str:
        """One line a step, aligned; what `plan` prints and golden tests compare."""
        steps = [step for step in self.steps if step.kind is not StepKind.VERIFY]
        width = max((len(step.subject) for step in steps), default=0)
        lines = [f"{step.kind:<8} {step.subject:<{width}}  {step.cause}".rstrip() for step in steps]
        proofs = self.of(StepKind.VERIFY)
        if proofs:
            lines.append(f"{StepKind.VERIFY:<8} {', '.join(step.instance for step in proofs)}")
        return "\n".join(lines)


def wait_for(instance: Instance) -> Step:
    """The step that waits for a server's first answer."""
    return _about(StepKind.WAIT, instance, f"until {instance.listen} answers")


def proof_of(instance: Instance) -> Step:
    """The step that proves a server."""
    return _about(StepKind.VERIFY, instance, f"proves {instance.listen}")


def _about(kind: StepKind, instance: Instance, cause: str) -> Step:
    return Step(kind=kind, subject=instance.unit, cause=cause, instance=instance.name, target=instance)
