"""Messages written anew, for the server and for the client, and the gate's own answers (RFC 9112)."""

import json
from http import HTTPStatus

from ollamactl.gate.message import AnswerHead, RequestHead

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_BODYLESS = (204, 304)


def request(head: RequestHead, host: bytes) -> bytes:
    """The head for the server, with `host` in the place of the client's.

    A request of a page's own origin loses its Origin: who compares the two (gin-contrib/cors does) would take it for
    one of a foreign page, now that Host is another.
    """
    fields = head.fields
    if origins := head.values(b"origin"):
        own = (b"http://" + head.host, b"https://" + head.host)
        if len(origins) == 1 and origins[0] in own:
            fields = tuple(field for field in fields if field[0].lower() != b"origin")
    lines = [b"%b %b HTTP/1.1\r\nHost: %b" % (head.method, head.target, host), *(b"%b: %b" % each for each in fields)]
    if head.length is None:
        lines.append(b"Transfer-Encoding: chunked")
    elif head.length or head.method in (b"POST", b"PUT", b"PATCH"):
        lines.append(b"Content-Length: %d" % head.length)
    lines.append(b"\r\n")
    return b"\r\n".join(lines)


def has_body(head: AnswerHead, method: bytes) -> bool:
    """Whether content follows, or just its description (RFC 9112, 6.3)."""
    return method != b"HEAD" and head.status not in _BODYLESS


def answer(head: AnswerHead, to: RequestHead, *, close: bool) -> tuple[bytes, bool]:
    """The head for the client, and whether the content goes in chunks; the last answer of a connection says `close`."""
    lines = [b"HTTP/1.1 %d %b" % (head.status, head.reason), *(b"%b: %b" % each for each in head.fields)]
    chunked = False
    if head.length is not None:
        if head.status != HTTPStatus.NO_CONTENT:
            lines.append(b"Content-Length: %d" % head.length)
    elif to.minor and has_body(head, to.method):
        chunked = True
        lines.append(b"Transfer-Encoding: chunked")
    if close:
        lines.append(b"Connection: close")
    elif not to.minor:
        lines.append(b"Connection: keep-alive")
    lines.append(b"\r\n")
    return b"\r\n".join(lines), chunked


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
