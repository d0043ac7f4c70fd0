"""Messages written anew, for the server and for the client, and the gate's own answers (RFC 9112)."""

import json
from http import HTTPStatus

from ollamactl.gate.message import AnswerHead, RequestHead, written

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_BODYLESS = (204, 304)
_WITH_BODY = frozenset((b"POST", b"PUT", b"PATCH"))
"""Whose length is said even where it is none (RFC 9110, 8.6)."""


def request(head: RequestHead, host: bytes) -> bytes:
    """The head for the server, with `host` in the place of the client's.

    A request of a page's own origin loses its Origin: who compares the two (gin-contrib/cors does) would take it for
    one of a foreign page, now that Host is another.
    """
    lines = head.lines
    if b"://" in lines and (origins := head.values(b"origin")):
        own = (b"http://" + head.host, b"https://" + head.host)
        if len(origins) == 1 and origins[0] in own:
            lines = written(tuple(field for field in head.fields if field[0].lower() != b"origin"))
    if head.length is None:
        framing = b"Transfer-Encoding: chunked\r\n"
    elif head.length or head.method in _WITH_BODY:
        framing = b"Content-Length: %d\r\n" % head.length
    else:
        framing = b""
    return b"%b %b HTTP/1.1\r\nHost: %b\r\n%b%b\r\n" % (head.method, head.target, host, lines, framing)


def has_body(head: AnswerHead, method: bytes) -> bool:
    """Whether content follows, or just its description (RFC 9112, 6.3)."""
    return method != b"HEAD" and head.status not in _BODYLESS


def answer(head: AnswerHead, to: RequestHead, *, close: bool) -> tuple[bytes, bool]:
    """The head for the client, and whether the content goes in chunks; the last answer of a connection says `close`."""
    framing = connection = b""
    chunked = False
    if head.length is not None:
        if head.status != HTTPStatus.NO_CONTENT:
            framing = b"Content-Length: %d\r\n" % head.length
    elif to.minor and has_body(head, to.method):
        chunked = True
        framing = b"Transfer-Encoding: chunked\r\n"
    if close:
        connection = b"Connection: close\r\n"
    elif not to.minor:
        connection = b"Connection: keep-alive\r\n"
    start = b"HTTP/1.1 %d %b\r\n%b%b%b\r\n" % (head.status, head.reason, head.lines, framing, connection)
    return start, chunked


def counts_itself(head: AnswerHead, to: RequestHead) -> bool:
    """Whether the client sees where the answer ends without the connection's end: HTTP/1.0 knows no chunks."""
    return bool(to.minor) or head.length is not None or not has_body(head, to.method)


def refusal(status: int, text: str, *, date: str, to: RequestHead | None, close: bool, retry_after: int) -> bytes:
    """An answer of the gate's own, in the form of Ollama's errors; `to` nobody where no request could be read.

    `retry_after` in seconds, 0 for none.
    """
    body = json.dumps({"error": text}).encode()
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        f"Date: {date}",
        "Content-Type: application/json; charset=utf-8",
        f"Content-Length: {len(body)}",
    ]
    if retry_after:
        lines.append(f"Retry-After: {retry_after}")
    if close:
        lines.append("Connection: close")
    elif to and not to.minor:
        lines.append("Connection: keep-alive")
    lines.append("\r\n")
    return "\r\n".join(lines).encode() + (b"" if to and to.method == b"HEAD" else body)
