"""Heads: what is read, what is refused, and that a parser of others never reads one differently."""

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollamactl.gate import forward
from ollamactl.gate.limits import Limits
from ollamactl.gate.message import Malformed, RequestHead, head_end, read_answer, read_request

LIMITS = Limits()


def request(*lines: str, first: str = "POST /api/chat HTTP/1.1") -> RequestHead:
    return read_request("\r\n".join([first, *lines, "", ""]).encode("latin-1"), LIMITS)


def test_a_request_as_clients_send_it() -> None:
    head = request(
        "Host: localhost:11434", "Content-Type:application/json \t", "Content-Length: 12", "Expect: 100-continue"
    )

    assert (head.method, head.target, head.minor, head.host) == (b"POST", b"/api/chat", 1, b"localhost:11434")
    assert head.fields == ((b"Content-Type", b"application/json"),)
    assert (head.length, head.keep, head.expects) == (12, True, True)


def test_what_concerns_one_connection_is_not_passed_on() -> None:
    head = request(
        "Host: a", "Connection: X-Mine, upgrade", "x-mine: 1", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQ",
        "Keep-Alive: 300", "Proxy-Connection: keep-alive", "TE: trailers", "Trailer: X", "X-Other: 1",
    )  # fmt: skip

    assert head.fields == ((b"X-Other", b"1"),)


def test_connection_cannot_name_away_what_frames_the_message() -> None:
    head = request("Host: a", "Connection: content-length, host", "Content-Length: 3")

    assert (head.length, head.host) == (3, b"a")
    assert forward.request(head, b"b:1").endswith(b"\r\nHost: b:1\r\nContent-Length: 3\r\n\r\n")


@pytest.mark.parametrize(
    ("first", "lines", "keep"),
    [
        ("GET / HTTP/1.1", ["Host: a"], True),
        ("GET / HTTP/1.1", ["Host: a", "Connection: Close"], False),
        ("GET / HTTP/1.1", ["Host: a", "Connection: x", "Connection: y ,close"], False),
        ("GET / HTTP/1.0", [], False),
        ("GET / HTTP/1.0", ["Connection: keep-alive"], True),
    ],
)
def test_whether_a_connection_goes_on(first: str, lines: list[str], keep: bool) -> None:
    assert request(*lines, first=first).keep is keep


@pytest.mark.parametrize(
    ("target", "host", "read"),
    [
        ("http://b:1/x?y", "a", (b"/x?y", b"b:1")),
        ("HTTP://b", "a", (b"/", b"b")),
        ("https://b?y", "a", (b"/?y", b"b")),
        ("/x?http://b/", "a", (b"/x?http://b/", b"a")),
        ("//b/x", "a", (b"//b/x", b"a")),
    ],
)
def test_an_absolute_target_names_the_host(target: str, host: str, read: tuple[bytes, bytes]) -> None:
    head = request(f"Host: {host}", first=f"GET {target} HTTP/1.1")

    assert (head.target, head.host) == read


@pytest.mark.parametrize(
    ("status", "first", "lines"),
    [
        (400, "POST / HTTP/1.1", ["Host: a", "Content-Length: 5", "Transfer-Encoding: chunked"]),
        (400, "POST / HTTP/1.1", ["Host: a", "Content-Length: 5", "Content-Length: 6"]),
        (400, "POST / HTTP/1.1", ["Host: a", "Content-Length: 5", "Content-Length: 5"]),
        (400, "POST / HTTP/1.1", ["Host: a", "Content-Length: 5, 5"]),
        (400, "POST / HTTP/1.1", ["Host: a", "Content-Length: +5"]),
        (400, "POST / HTTP/1.1", ["Host: a", "Content-Length: -1"]),
        (400, "POST / HTTP/1.1", ["Host: a", "Content-Length: 0x5"]),
        (400, "POST / HTTP/1.1", ["Host: a", "Content-Length: 5 5"]),
        (400, "POST / HTTP/1.1", ["Host: a", "Content-Length:"]),
        (400, "POST / HTTP/1.1", ["Host: a", "Content-Length: \xb2"]),
        (400, "POST / HTTP/1.1", ["Host: a", "Content-Length: 9999999999999999999"]),
        (501, "POST / HTTP/1.1", ["Host: a", "Transfer-Encoding: chunked, chunked"]),
        (501, "POST / HTTP/1.1", ["Host: a", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"]),
        (501, "POST / HTTP/1.1", ["Host: a", "Transfer-Encoding: gzip, chunked"]),
        (501, "POST / HTTP/1.1", ["Host: a", "Transfer-Encoding: xchunked"]),
        (501, "POST / HTTP/1.1", ["Host: a", "Transfer-Encoding: identity"]),
        (400, "POST / HTTP/1.0", ["Transfer-Encoding: chunked"]),
        (400, "GET / HTTP/1.1", ["Host : a"]),
        (400, "GET / HTTP/1.1", ["Host: a", " folded: b"]),
        (400, "GET / HTTP/1.1", ["Host: a", "\tfolded"]),
        (400, "GET / HTTP/1.1", [" Host: a"]),
        (400, "GET / HTTP/1.1", ["Host: a", "X: a\nY: b"]),
        (400, "GET / HTTP/1.1", ["Host: a", "X: a\rY: b"]),
        (400, "GET / HTTP/1.1", ["Host: a", "X: a\0"]),
        (400, "GET / HTTP/1.1", ["Host: a", "X: \x7f"]),
        (400, "GET / HTTP/1.1", ["Host: a", "X"]),
        (400, "GET / HTTP/1.1", ["Host: a", ": x"]),
        (400, "GET / HTTP/1.1", ["Host: a", "X\xe9: x"]),
        (400, "GET / HTTP/1.1", ["Host: a", "(x): x"]),
        (400, "GET / HTTP/1.1", []),
        (400, "GET / HTTP/1.1", ["Host: a", "Host: a"]),
        (400, "GET / HTTP/1.1", ["Host: a/b"]),
        (400, "GET / HTTP/1.1", ["Host: a@b"]),
        (400, "GET http://u@b/ HTTP/1.1", ["Host: b"]),
        (400, "GET x HTTP/1.1", ["Host: a"]),
        (400, "GET * HTTP/1.1", ["Host: a"]),
        (400, "GET /#x HTTP/1.1", ["Host: a"]),
        (400, "GET /\xe9 HTTP/1.1", ["Host: a"]),
        (400, "GET  / HTTP/1.1", ["Host: a"]),
        (400, "GET / HTTP/1.1 ", ["Host: a"]),
        (400, "GET /", ["Host: a"]),
        (400, "GET / http/1.1", ["Host: a"]),
        (400, "GET / HTTP/1.10", ["Host: a"]),
        (400, "\tGET / HTTP/1.1", ["Host: a"]),
        (505, "GET / HTTP/2.0", ["Host: a"]),
        (505, "GET / HTTP/1.2", ["Host: a"]),
        (417, "GET / HTTP/1.1", ["Host: a", "Expect: 200-ok"]),
        (431, "GET / HTTP/1.1", ["Host: a", *["X: y"] * LIMITS.fields]),
    ],
)  # fmt: skip
def test_what_could_be_read_in_two_ways_is_refused(status: int, first: str, lines: list[str]) -> None:
    with pytest.raises(Malformed) as refused:
        request(*lines, first=first)

    assert refused.value.status == status


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\nHost: a\n\n", b"GET / HTTP/1.1\r\nHost: a\r\r", b"\n", b"\n\nGET"])
def test_a_line_that_ends_otherwise_is_refused_before_the_head_is_whole(data: bytes) -> None:
    with pytest.raises(Malformed):
        head_end(data, LIMITS)


def test_a_head_has_an_end_to_its_length() -> None:
    assert head_end(b"GET / HTTP/1.1\r", LIMITS) == 0
    assert head_end(b"GET / HTTP/1.1\r\n\r\nrest", LIMITS) == 18
    with pytest.raises(Malformed) as refused:
        head_end(b"GET /" + b"x" * LIMITS.head_bytes, LIMITS)
    assert refused.value.status == 431


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("X : y", "line 3 of the request is no header field: b'X : y\\r\\n'"),
        (" y", "line 3 of the request continues the one before"),
    ],
)
def test_a_refusal_says_what_is_wrong(line: str, told: str) -> None:
    with pytest.raises(Malformed) as refused:
        request("Host: a", line)
    assert told in refused.value.text


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"220 mail ESMTP\r\n\r\n",
    ],
)
def test_an_answer_that_is_none_is_a_bad_gateway(data: bytes) -> None:
    with pytest.raises(Malformed) as refused:
        read_answer(data, LIMITS)
    assert refused.value.status == 502


def test_a_page_of_the_same_origin_stays_one_when_the_host_changes() -> None:
    own = request("Host: box:11434", "Origin: http://box:11434")
    foreign = request("Host: box:11434", "Origin: http://evil")

    assert b"Origin" not in forward.request(own, b"127.0.0.1:1")
    assert b"Origin: http://evil" in forward.request(foreign, b"127.0.0.1:1")


LINES = st.sampled_from([
    "Host: a", "Content-Length: 3", "Content-Length: 4", "Content-Length: 03", "Transfer-Encoding: chunked",
    "Transfer-Encoding:chunked ", "transfer-encoding: Chunked", "Transfer-Encoding: x", "Connection: close",
    "Expect: 100-continue", "X: y", "X:y", "X : y", " X: y", "X:", "X: \xe9", "X: a\x0bb", "X: a\rb", "X: a\nb", "",
])  # fmt: skip
FIRST = st.sampled_from(
    ["GET / HTTP/1.1", "POST /x HTTP/1.1", "POST /x HTTP/1.0", "GET /a b HTTP/1.1", "POST / HTTP/1.2"]
)


@given(FIRST, st.lists(LINES, max_size=6), st.lists(st.tuples(st.integers(0, 120), st.binary(max_size=2)), max_size=2))
def test_whatever_is_read_h11_reads_the_same_way(first: str, lines: list[str], damage: list[tuple[int, bytes]]) -> None:
    """h11 is strict, and others keep it well. It may take more than the gate does, and nothing of it differently."""
    data = "\r\n".join([first, *lines, "", ""]).encode("latin-1")
    for at, replacement in damage:
        data = data[:at] + replacement + data[at + 1 :]
    try:
        end = head_end(data, LIMITS)
        head = read_request(data[:end], LIMITS)
    except Malformed:
        return
    other = h11.Connection(h11.SERVER)
    other.receive_data(data[:end])
    event = other.next_event()

    assert isinstance(event, h11.Request)
    assert (event.method, event.http_version) == (head.method, b"1.%d" % head.minor)
    framing = {name: value for name, value in event.headers if name in (b"content-length", b"transfer-encoding")}
    assert framing.get(b"transfer-encoding", b"").lower() == (b"chunked" if head.length is None else b"")
    assert int(framing.get(b"content-length", b"0")) == (head.length or 0)
    anew = h11.Connection(h11.SERVER)
    anew.receive_data(forward.request(head, b"127.0.0.1:1"))
    assert isinstance(anew.next_event(), h11.Request)
