"""Bodies of messages as they come in: where each ends, and what it holds without its framing (RFC 9112, 6 and 7)."""

import re
from typing import Protocol

from ollamactl.gate.message import Malformed

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[\t\x20-\x7e\x80-\xff]*)?")
"""A chunk's size with its extensions, which nobody knows and all have to ignore. No space before them."""
_TRAILER = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*")
_LINE_BYTES = 256
_TRAILER_BYTES = 8 * 1024


class Body(Protocol):
    """What takes a body's bytes."""

    done: bool
    """The last byte has come."""
    rest: bytes
    """What came behind it."""

    def feed(self, data: bytes) -> bytes:
        """The content in the next bytes of the connection; raises Malformed."""


class Counted:
    """So many bytes."""

    __slots__ = ("_left", "done", "rest")

    def __init__(self, length: int) -> None:
        self._left = length
        self.done = length == 0
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """All of it, up to the end."""
        left = self._left = self._left - len(data)
        if left > 0:
            return data
        self.done = True
        if not left:
            return data
        self.rest = data[left:]
        return data[:left]


NOTHING = Counted(0)
"""No bytes; one for all, since nobody feeds it."""


class Endless:
    """As long as the connection lasts."""

    __slots__ = ("done", "rest")

    def __init__(self) -> None:
        self.done = False
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """All of it."""
        return data


class Chunked:
    """In chunks; extensions and trailers are checked, and dropped."""

    __slots__ = ("_left", "_pending", "_trailers", "done", "rest")

    def __init__(self) -> None:
        self._left = 0  # bytes of the chunk at hand, and 2 for its CRLF; 0: a line with a size comes next
        self._pending = b""  # an unfinished line
        self._trailers = -1  # bytes of trailers seen, or still none to come
        self.done = False
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """The chunks' content, joined."""
        if self._pending:
            data = self._pending + data
            self._pending = b""
        at = 0
        content: list[bytes] = []
        while at < len(data) and not self.done:
            if self._left:
                at = self._content(data, at, content)
                continue
            end = data.find(b"\r\n", at, at + _LINE_BYTES if self._trailers < 0 else len(data))
            if end < 0:
                self._hold(data[at:])
                break
            line, at = data[at:end], end + 2
            if self._trailers < 0:
                self._size(line)
            else:
                self._trailer(line)
        if self.done:
            self.rest = data[at:]
        return content[0] if len(content) == 1 else b"".join(content)

    def _content(self, data: bytes, at: int, content: list[bytes]) -> int:
        """Takes what there is of a chunk and of the CRLF behind it; returns where that ends."""
        if self._left > 2:
            piece = data[at : at + self._left - 2]
            content.append(piece)
            self._left -= len(piece)
            at += len(piece)
        if self._left <= 2 and at < len(data):
            ending = data[at : at + self._left]
            if ending != b"\r\n"[2 - self._left :][: len(ending)]:
                raise Malformed(400, "a chunk is longer than its size says")
            self._left -= len(ending)
            at += len(ending)
        return at

    def _size(self, line: bytes) -> None:
        match = _SIZE.fullmatch(line)
        if not match:
            raise Malformed(400, f"no size of a chunk: {line[:40]!r}")
        size = int(match[1], 16)
        if size:
            self._left = size + 2
        else:
            self._trailers = 0

    def _trailer(self, line: bytes) -> None:
        if not line:
            self.done = True
            return
        self._trailers += len(line)
        if not _TRAILER.fullmatch(line) or self._trailers > _TRAILER_BYTES:
            raise Malformed(400, f"no trailer: {line[:40]!r}")

    def _hold(self, line: bytes) -> None:
        if len(line) >= (_LINE_BYTES if self._trailers < 0 else _TRAILER_BYTES) or b"\n" in line:
            raise Malformed(400, f"no line of a body in chunks: {line[:40]!r}")
        self._pending = line


def chunk(content: bytes) -> bytes:
    """One chunk."""
    return b"%x\r\n%b\r\n" % (len(content), content)


LAST_CHUNK = b"0\r\n\r\n"
