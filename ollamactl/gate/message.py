"""Heads of HTTP/1.1 messages, read by an allow-list: what RFC 9112 leaves room to read in two ways is refused.

A message is what these values say, and is written anew from them; no byte of a head is ever passed through. So nobody
behind the gate can see a length, a header or a request that the gate did not.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from ollamactl.gate.limits import Limits

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_FIELD = rb"%b:[\t\x20-\x7e\x80-\xff]*\r\n" % _TOKEN
_REQUEST = re.compile(rb"(%b) ([!-~]+) HTTP/([0-9]\.[0-9])\r\n((?:%b)*)\r\n" % (_TOKEN, _FIELD))
_ANSWER = re.compile(rb"HTTP/([0-9]\.[0-9]) ([1-9][0-9][0-9])(?: ([\t\x20-\x7e\x80-\xff]*))?\r\n((?:%b)*)\r\n" % _FIELD)
_SPLIT = re.compile(rb"([^:\r]+):[\t ]*([^\r]*)\r\n")
_LINE = re.compile(_FIELD)
_ABSOLUTE = re.compile(rb"https?://([^/?#]*)(/[^#]*|\?[^#]*|)", re.IGNORECASE)
_ORIGIN = re.compile(rb"/[^#]*")
_HOST = re.compile(rb"[0-9A-Za-z._~!$&'()*+,;=%:\[\]-]*")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_LONE = re.compile(rb"(?<!\r)\n|\r(?!\n)(?=.)", re.DOTALL)

_START = re.compile(rb"%b|\r|\Z" % _TOKEN)

_HOP = frozenset(
    b"connection keep-alive proxy-connection proxy-authenticate proxy-authorization te trailer upgrade"
    b" http2-settings".split()
)
"""What concerns one connection alone (RFC 9110, 7.6.1). Upgrade, too: a server may ignore it, and Ollama knows none."""
_OURS = frozenset(b"host content-length transfer-encoding expect".split())
"""What is not passed on either, but said anew."""
_SPECIAL = _HOP | _OURS
_KNOWN_OPTIONS = frozenset((b"", b"close", b"keep-alive"))

Fields = tuple[tuple[bytes, bytes], ...]
Special = dict[bytes, list[bytes]]


class Malformed(Exception):
    """A message that is not read: with a status for the client, and what is wrong with it."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class RequestHead(NamedTuple):
    """A request but for its body. A tuple, since one is made for each request, and a frozen dataclass takes longer."""

    method: bytes
    target: bytes
    """In origin-form, or `*`."""
    minor: int
    """Of HTTP/1.x, 0 or 1."""
    host: bytes
    """As the client named it, with its port; nothing where an HTTP/1.0 client named none."""
    fields: Fields
    """End to end ones, names as they came."""
    lines: bytes
    """The same, written anew."""
    length: int | None
    """Bytes of the body; None: in chunks."""
    keep: bool
    """The client would send another request on this connection."""
    expects: bool
    """The client waits for `100 Continue`."""

    def values(self, name: bytes) -> list[bytes]:
        """The values of the fields of that name, given in lower case."""
        return [value for each, value in self.fields if each.lower() == name]


class AnswerHead(NamedTuple):
    """A server's answer but for its body."""

    status: int
    reason: bytes
    lines: bytes
    """Its fields that are end to end, written anew."""
    length: int | None
    """Content-Length, where there is one."""
    chunked: bool
    """With neither, the body lasts as long as the connection (RFC 9112, 6.3)."""
    keep: bool
    """The server takes another request on this connection."""


def head_end(data: bytes, limits: Limits) -> int:
    """How many bytes of `data` the head at its start has, or 0 where its end is still to come.

    Raises Malformed where it can be none, however it goes on.
    """
    at = data.find(b"\r\n\r\n", 0, limits.head_bytes)
    if at >= 0:
        return at + 4
    if len(data) >= limits.head_bytes:
        raise Malformed(431, f"the head of the request is longer than {limits.head_bytes} bytes")
    if not _START.match(data):
        raise Malformed(400, "this is no HTTP; for HTTPS, put a server that ends TLS before this port")
    if _LONE.search(data):
        raise Malformed(400, "a line of the head ends with CR or LF alone")
    return 0


def read_request(data: bytes, limits: Limits) -> RequestHead:
    """The head that `data` is, from its first byte to its empty line; raises Malformed."""
    return (_request_again if len(data) <= _SMALL else _request)(data, limits.fields)


def read_answer(data: bytes, limits: Limits) -> AnswerHead:
    """The head of a server's answer; raises Malformed with 502."""
    try:
        return (_answer_again if len(data) <= _SMALL else _answer)(data, limits.fields)
    except Malformed as error:
        raise Malformed(502, error.text) from error


def _request(data: bytes, most: int) -> RequestHead:
    match = _REQUEST.fullmatch(data)
    if not match:
        raise Malformed(400, _blame(data, "request"))
    method, target, version, block = match.groups()
    minor = _minor(version)
    fields, special = _split(block, most)
    length, chunked = _length(special, minor)
    keep, fields = _connection(fields, special, minor)
    hosts = special.get(b"host", ())
    if len(hosts) > 1 or (minor and not hosts):
        raise Malformed(400, f"the request has {len(hosts)} Host fields instead of one")
    target, host = _target(method, target, hosts[0] if hosts else b"")
    if not _HOST.fullmatch(host):
        raise Malformed(400, "the Host field is no host")
    expects = [value.lower() for value in special.get(b"expect", ())]
    if expects and expects != [b"100-continue"]:
        raise Malformed(417, "no other expectation than 100-continue is met here")
    return RequestHead(
        method,
        target,
        minor,
        host,
        fields,
        written(fields),
        None if chunked else length or 0,
        keep,
        bool(expects and minor),
    )


def _answer(data: bytes, most: int) -> AnswerHead:
    match = _ANSWER.fullmatch(data)
    if not match:
        raise Malformed(502, _blame(data, "answer"))
    version, status, reason, block = match.groups()
    minor = _minor(version)
    fields, special = _split(block, most)
    length, chunked = _length(special, minor)
    keep, fields = _connection(fields, special, minor)
    return AnswerHead(int(status), reason or b"", written(fields), length, chunked, keep)


def written(fields: Fields) -> bytes:
    """Their lines."""
    return b"".join([b"%b: %b\r\n" % field for field in fields])


# Who polls says the same again and again, and so does who answers, but for the date.
_SMALL = 1024
_request_again = lru_cache(maxsize=256)(_request)
_answer_again = lru_cache(maxsize=256)(_answer)


def _minor(version: bytes) -> int:
    if version not in (b"1.1", b"1.0"):
        raise Malformed(505, f"HTTP/{version.decode()} is not spoken here, HTTP/1.1 is")
    return version[2] - ord("0")


def _split(block: bytes, most: int) -> tuple[Fields, Special]:
    """What is end to end; and what is not, or is said anew, by its name in small letters."""
    found = _SPLIT.findall(block)
    if len(found) > most:
        raise Malformed(431, f"the head has more than {most} fields")
    fields: list[tuple[bytes, bytes]] = []
    special: Special = {}
    for name, value in found:
        lower = name.lower()
        if lower in _SPECIAL:
            special.setdefault(lower, []).append(value.rstrip(b"\t "))
        else:
            fields.append((name, value.rstrip(b"\t ")))
    return tuple(fields), special


def _length(special: Special, minor: int) -> tuple[int | None, bool]:
    """Content-Length, and whether the body is in chunks.

    Strict where RFC 9112, 6.1 and 6.3 leave a choice: a length twice, even the same, or with chunks, is refused.
    """
    lengths, codings = special.get(b"content-length", ()), special.get(b"transfer-encoding", ())
    if codings:
        if lengths:
            raise Malformed(400, "both Content-Length and Transfer-Encoding")
        if not minor:
            raise Malformed(400, "Transfer-Encoding, which HTTP/1.0 does not know")
        if len(codings) > 1 or codings[0].lower() != b"chunked":
            raise Malformed(501, "another Transfer-Encoding than chunked")
        return None, True
    if not lengths:
        return None, False
    if len(lengths) > 1:
        raise Malformed(400, "Content-Length more than once")
    if not _LENGTH.fullmatch(lengths[0]):
        raise Malformed(400, "a Content-Length that is no number")
    return int(lengths[0]), False


def _connection(fields: Fields, special: Special, minor: int) -> tuple[bool, Fields]:
    """Whether the connection goes on, and the fields without those that Connection names (RFC 9110, 7.6.1)."""
    values = special.get(b"connection")
    if not values:
        return minor == 1, fields
    options = {option.strip(b"\t ") for option in b",".join(values).lower().split(b",")}
    keep = b"close" not in options if minor else b"keep-alive" in options
    if options <= _KNOWN_OPTIONS:
        return keep, fields
    return keep, tuple(field for field in fields if field[0].lower() not in options)


def _target(method: bytes, target: bytes, host: bytes) -> tuple[bytes, bytes]:
    """The target in origin-form, and the host, which an absolute target names instead of Host (RFC 9112, 3.2.2)."""
    if _ORIGIN.fullmatch(target) or (target == b"*" and method == b"OPTIONS"):
        return target, host
    if absolute := _ABSOLUTE.fullmatch(target):
        authority, path = absolute.groups()
        return path if path.startswith(b"/") else b"/" + path, authority
    raise Malformed(400, "the request's target is neither a path nor a URL")


def _blame(data: bytes, what: str) -> str:
    """What is wrong with a head that does not match, for whoever has to mend the client."""
    for number, line in enumerate(_lines(data), start=1):
        if number == 1:
            continue
        if line[:1] in (b" ", b"\t"):
            return f"line {number} of the {what} continues the one before, which HTTP/1.1 no longer allows"
        if not _LINE.fullmatch(line):
            return f"line {number} of the {what} is no header field: {line[:60]!r}"
    return f"the first line is none of an HTTP/1.1 {what}: {next(_lines(data))[:60]!r}"


def _lines(data: bytes) -> Iterator[bytes]:
    return (line + b"\r\n" for line in data.removesuffix(b"\r\n\r\n").split(b"\r\n"))
