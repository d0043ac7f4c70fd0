"""What became of a plan: what was done, what went wrong, what was proved. Pure."""

from dataclasses import dataclass, field

from ollamactl.errors import Problem
from ollamactl.planning.plan import Step
from ollamactl.proving.proof import Proof


@dataclass(slots=True)
class Outcome:
    """What was done, and what did not work."""

    done: list[Step] = field(default_factory=list)
    failed: list[Step] = field(default_factory=list)
    """Steps that were tried in vain: the host may be different all the same."""
    complete: bool = True
    """False where a failure ended it before the last step."""
    interrupted: bool = False
    """Somebody ended it, at a safe point."""
    problems: list[Problem] = field(default_factory=list)
    proofs: tuple[Proof, ...] = ()
    idle: str = ""
    """Whom there was nothing to do for, in words: `2 already running`."""

    @property
    def changed(self) -> bool:
        """Whether the host may be different now."""
        return any(step.changes for step in (*self.done, *self.failed))

    @property
    def ok(self) -> bool:
        """Whether everything was done and proved."""
        return self.complete and not self.problems and all(proof.ok for proof in self.proofs)
