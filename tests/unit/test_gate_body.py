"""Bodies: where they end, whatever pieces they come in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollamactl.gate.body import LAST_CHUNK, Body, Chunked, Counted, chunk
from ollamactl.gate.message import Malformed


def fed(body: Body, data: bytes, cuts: list[int]) -> bytes:
    """All content, and what came behind it, when the data come in pieces."""
    content = b""
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(data)], strict=True):
        if body.done:
            body.rest += data[start:end]
        elif start < end:
            content += body.feed(data[start:end])
    return content


@given(
    st.lists(st.binary(min_size=1, max_size=40)), st.lists(st.integers(0, 200)), st.binary(max_size=9), st.booleans()
)
def test_chunks_are_joined_however_they_are_cut(pieces: list[bytes], cuts: list[int], rest: bytes, more: bool) -> None:
    data = b"".join(map(chunk, pieces)) + (b"0;x=y\r\nA: b\r\n\r\n" if more else LAST_CHUNK) + rest
    body = Chunked()

    assert fed(body, data, [min(cut, len(data)) for cut in cuts]) == b"".join(pieces)
    assert (body.done, body.rest) == (True, rest)


@given(st.binary(max_size=50), st.lists(st.integers(0, 60)), st.binary(max_size=9))
def test_a_counted_body_ends_after_so_many_bytes(content: bytes, cuts: list[int], rest: bytes) -> None:
    body = Counted(len(content))

    assert fed(body, content + rest, [min(cut, len(content + rest)) for cut in cuts]) == content
    assert (body.done, body.rest) == (True, rest)


@pytest.mark.parametrize(
    "data",
    [
        b"5\nhello\r\n0\r\n\r\n",
        b"5\rXhello\r\n0\r\n\r\n",
        b"5\r\nhelloXX0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"5;a\nb\r\nhello\r\n0\r\n\r\n",
        b"5 \r\nhello\r\n0\r\n\r\n",
        b" 5\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"+5\r\nhello\r\n0\r\n\r\n",
        b"5_0\r\n",
        b"g\r\n",
        b"\r\n",
        b"10000000000000005\r\nhello\r\n0\r\n\r\n",
        b"5;" + b"x" * 300,
        b"5;" + b"x" * 300 + b"\r\nhello\r\n0\r\n\r\n",
        b"0\r\n\n",
        b"0\r\nA : b\r\n\r\n",
        b"0\r\n A: b\r\n\r\n",
        b"0\r\n" + b"A: b\r\n" * 3000,
        b"0\r\nA: " + b"b" * 10000,
    ],
)
@pytest.mark.parametrize("step", [1, 7, 100000])
def test_bad_chunks_are_refused_however_they_are_cut(data: bytes, step: int) -> None:
    body = Chunked()

    with pytest.raises(Malformed):
        fed(body, data, list(range(step, len(data), step)))
