"""One trap that a host has fallen into: which, where, by what evidence, and what mends it. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from ollamactl.errors import Severity


class Trap(StrEnum):
    """The stable names of all traps; scripts may rely on them."""

    CRASH_LOOP = "crash-loop"
    FAILED = "failed"
    ENDLESS_RESTART = "endless-restart"
    MASKED = "masked"
    NEEDS_RELOAD = "needs-reload"
    PORT_TAKEN = "port-taken"
    OPEN_TO_NETWORK = "open-to-network"
    BOOLEAN_OPPOSITE = "boolean-opposite"
    VULKAN_LEAK = "vulkan-leak"
    PRUNES_SHARED_STORE = "prunes-shared-store"


@dataclass(frozen=True, slots=True)
class Mend:
    """What to do about it."""

    hint: str
    """What to type; commands stand in backquotes."""
    drop_in: str = ""
    """The lines for `systemctl edit` where that is the mend."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A trap, as it was found."""

    trap: Trap
    message: str
    """What is wrong, and what it leads to."""
    severity: Severity = Severity.WARNING
    """An error does not work, or harms, now; a warning will."""
    unit: str = ""
    """The unit concerned; empty where it is the host."""
    path: str = ""
    """The file, folder or device concerned, where it is one."""
    evidence: tuple[str, ...] = ()
    """What was seen, a line each."""
    mend: Mend
