"""What a registry has of a model, before anything of it is fetched; and whether the disk has room."""

import json

import pytest

from ollamactl.pulling import offer
from ollamactl.pulling.moment import Moment, Phase, PullError
from ollamactl.pulling.offer import Offer, offered

ONE, TWO, THREE = (f"sha256:{digit * 64}" for digit in "123")
SMALL = Offer(model="small", digest="d", blobs=((ONE, 10), (TWO, 1_000_000), (TWO, 1_000_000)))
LARGE = Offer(model="large", digest="e", blobs=((TWO, 1_000_000), (THREE, 5_000_000_000)))


def row(**changed: object) -> bytes:
    return json.dumps({"model": "m", "digest": "d", "blobs": [[ONE, 5]], **changed}).encode()


def test_a_line_is_an_offer() -> None:
    assert offered(row()) == Offer(model="m", digest="d", blobs=((ONE, 5),))


@pytest.mark.parametrize(
    "line",
    [
        b"", b"Traceback", b"[]", json.dumps({"model": "m", "error": "HTTPError: 503"}).encode(),
        row(blobs=[["sha256:../../etc", 5]]), row(blobs=[[ONE, -5]]), row(blobs=[[ONE]]), row(blobs=[[ONE, "x"]]),
    ],
)  # fmt: skip
def test_what_is_none_is_left_to_ollama(line: bytes) -> None:
    assert offered(line) is None


def test_what_is_to_come_is_told_and_what_models_share_comes_once() -> None:
    told: list[Moment] = []
    there = {ONE: 0}

    def lacks(digest: str, size: int) -> int:
        return there.get(digest, size)

    offer.check([SMALL, LARGE], lacks=lacks, free=5_001_000_000, where="/models", watch=told.append)
    assert [(each.phase, each.model, each.total) for each in told] == [
        (Phase.SIZE, "small", 1_000_000), (Phase.SIZE, "large", 5_000_000_000),
    ]  # fmt: skip
    with pytest.raises(PullError) as error:
        offer.check([SMALL, LARGE], lacks=lacks, free=5_000_999_999, where="/models", watch=told.append)
    words = "small and large do not fit: 5.0 GB are still to come, and /models has 5.0 GB free"
    assert (str(error.value), error.value.hint) == (words, "make room: df -h /models")


def test_a_model_that_is_there_is_not_mentioned() -> None:
    told: list[Moment] = []
    offer.check([SMALL], lacks=lambda _digest, _size: 0, free=0, where="/models", watch=told.append)
    assert told == []
