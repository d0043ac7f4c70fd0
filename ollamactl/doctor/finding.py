"""One trap that a host has fallen into: which, where, by what evidence, and what mends it. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from ollamactl.errors import Severity


class Trap(StrEnum):
    """The stable names of all traps; scripts may rely on them."""

    # How systemd keeps servers running
    CRASH_LOOP = "crash-loop"
    FAILED = "failed"
    ENDLESS_RESTART = "endless-restart"
    MASKED = "masked"
    UNIT_BROKEN = "unit-broken"
    NEEDS_RELOAD = "needs-reload"
    NEEDS_RESTART = "needs-restart"
    TYPE_WAITS = "type-waits"
    RUNNERS_OUTLIVE = "runners-outlive"
    # What is run, and as whom
    SERVE_OPTION = "serve-option"
    PROGRAM_MISSING = "program-missing"
    OLD_PROGRAM = "old-program"
    ACCOUNT_MISSING = "account-missing"
    NO_HOME = "no-home"
    HOME_CLOSED = "home-closed"
    SHARED_HOME = "shared-home"
    WITHOUT_UNIT = "without-unit"
    ORPHANED_RUNNER = "orphaned-runner"
    # Where it listens
    PORT_TAKEN = "port-taken"
    SAME_ADDRESS = "same-address"
    HOST_SPELLING = "host-spelling"
    INVALID_PORT = "invalid-port"
    ADDRESS_ELSEWHERE = "address-elsewhere"
    OPEN_TO_NETWORK = "open-to-network"
    ANY_ORIGIN = "any-origin"
    # What its variables mean
    FILE_MISSING = "environment-file-missing"
    FILE_FOR_SHELL = "environment-file-for-shell"
    BOOLEAN_OPPOSITE = "boolean-opposite"
    UNKNOWN_VARIABLE = "unknown-variable"
    UNREADABLE_DURATION = "unreadable-duration"
    UNREADABLE_NUMBER = "unreadable-number"
    UNKNOWN_LIBRARY = "unknown-library"
    UNKNOWN_CACHE_TYPE = "unknown-cache-type"
    OVERHEAD_IGNORED = "overhead-ignored"
    # Cards
    VULKAN_LEAK = "vulkan-leak"
    PIN_BY_INDEX = "pin-by-index"
    PIN_TO_NOTHING = "pin-to-nothing"
    CONTEXT_BY_VRAM = "context-by-vram"
    CARD_UNUSABLE = "card-unusable"
    CARD_CLOSED = "card-closed"
    CARD_HIDDEN = "card-hidden"
    MODPROBE_FORBIDDEN = "modprobe-forbidden"
    # Models
    PRUNES_SHARED_STORE = "prunes-shared-store"
    STORE_CLOSED = "store-closed"
    STORE_HIDDEN = "store-hidden"
    TWO_STORES = "two-stores"
    PARTIAL_DOWNLOADS = "partial-downloads"
    MODEL_DAMAGED = "model-damaged"


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
