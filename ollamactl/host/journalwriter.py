"""Writing entries with fields of their own to the journal (systemd.journal-fields(7)), by its native protocol."""

import socket
from collections.abc import Mapping
from contextlib import suppress

SOCKET = "/run/systemd/journal/socket"
_IDENTIFIER = "ollamactl"


def write(message: str, *, priority: int, fields: Mapping[str, str], place: str = SOCKET) -> None:
    """One entry; `priority` as syslog(3) counts. Where nobody keeps a journal it is lost: it is not what we are for.

    https://systemd.io/JOURNAL_NATIVE_PROTOCOL
    """
    rows = {"MESSAGE": message, "PRIORITY": str(priority), "SYSLOG_IDENTIFIER": _IDENTIFIER, **fields}
    entry = b"".join(_field(name, value) for name, value in rows.items())
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.sendto(entry, place)


def _field(name: str, value: str) -> bytes:
    data = value.encode(errors="replace")
    if b"\n" in data:
        return name.encode() + b"\n" + len(data).to_bytes(8, "little") + data + b"\n"
    return name.encode() + b"=" + data + b"\n"
