"""What services of somebody else's have made room for, change by change: what a change writes down of them. Pure."""

from collections.abc import Collection

from ollamactl import generation
from ollamactl.generation import Ending, Generation
from ollamactl.model import Fleet
from ollamactl.observed import Observed
from ollamactl.planning import displace
from ollamactl.planning.displace import Ledger
from ollamactl.planning.plan import Plan


class Room:
    """One change's view of it; `past` are the generations before it."""

    def __init__(self, past: Collection[Generation], plan: Plan, observed: Observed) -> None:
        self._earlier = generation.displaced(past)
        self._settled = generation.displaced(past, settled=True)
        self._plan, self._observed = plan, observed
        self._back: Collection[str] = ()
        self.taken = displace.ledger(plan, observed, self._earlier)
        """What will have made room, written before anything is stopped."""

    def undone(self, failed: Plan, former: Fleet) -> Ledger:
        """What is to be again as it was, where the change failed; `former` is the fleet as it was."""
        found = displace.undone(failed, self._observed, former, self._earlier, self._settled)
        self._back = found.keys()
        return found

    def after(self, ending: Ending, to: Generation | None) -> Ledger:
        """What has made room in the end; `to` is the generation that a rollback went back to."""
        if ending is Ending.UNDONE:
            return {unit: was for unit, was in self._earlier.items() if unit not in self._back}
        if ending is Ending.DONE and to:
            kept = to.displaced.keys() | displace.displaced(self._plan)
            return {unit: was for unit, was in self.taken.items() if unit in kept}
        return self.taken


def owed(past: Collection[Generation], to: Generation) -> Ledger:
    """What has made room since a generation, and is there again where a rollback goes back to it."""
    return {unit: was for unit, was in generation.displaced(past).items() if unit not in to.displaced}
