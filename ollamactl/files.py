"""The files that ollamactl installs, as values, and the marker that says a file is ollamactl's."""

from dataclasses import dataclass, field
from enum import StrEnum

MARKER = "# Managed by ollamactl."
"""First line of every text file of ours; a file without it is never overwritten or removed."""

VIEW_NOTE = "README"
"""Makes a view's folder exist before its first model does; Ollama looks for manifests four levels below."""


class FileKind(StrEnum):
    """What a file is, which decides how it is compared, printed and removed."""

    TEMPLATE = "template"
    DROP_IN = "drop-in"
    TARGET = "target"
    SECRETS = "secrets"
    VIEW = "view"
    SERVICE = "service"
    TIMER = "timer"
    SOCKET = "socket"
    GATE = "gate"


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file as it should be on the host."""

    path: str
    data: bytes = field(repr=False)
    kind: FileKind
    instance: str = ""
    """The instance that it belongs to; empty for what the fleet shares."""
    mode: int = 0o644

    @property
    def is_unit(self) -> bool:
        """Whether systemd reads it, so that a change needs a daemon-reload."""
        return self.kind not in (FileKind.SECRETS, FileKind.VIEW)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedFile:
    """One file as it is on the host, at a place that is ollamactl's to fill."""

    path: str
    data: bytes = field(repr=False)
    ours: bool
    """It carries the marker, or lies in a folder that is ollamactl's alone."""
    mode: int = 0o644
    unread: bool = False
    """It is there, but the caller may not read it: a file of secrets, or the folder of them all, is root's alone."""
    exposed: bool = False
    """It is a secret whose folder others may look into."""
    leftover: bool = False
    """It was being written by a run that was killed: nothing reads it, and it goes with the next apply."""
