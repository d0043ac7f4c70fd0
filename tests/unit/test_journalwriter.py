"""Entries as journald's native protocol wants them."""

import socket
from pathlib import Path

from ollamactl.host import journalwriter


def test_an_entry_has_its_fields(tmp_path: Path) -> None:
    place = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(place)
        fields = {"INSTANCE": "llama3", "FINDING": "server", "WORDS": "two\nlines"}
        journalwriter.write("it hangs", priority=4, fields=fields, place=place)
        entry = journal.recv(4096)
    assert entry == (
        b"MESSAGE=it hangs\nPRIORITY=4\nSYSLOG_IDENTIFIER=ollamactl\nINSTANCE=llama3\nFINDING=server\n"
        b"WORDS\n\x09\0\0\0\0\0\0\0two\nlines\n"
    )


def test_without_a_journal_nothing_is_lost_but_the_entry(tmp_path: Path) -> None:
    journalwriter.write("it hangs", priority=4, fields={}, place=str(tmp_path / "none"))
