"""Whatever a spec holds: `check` ends soon, with 0 or with 78, without a traceback, and tells no secret."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tests.soak import amount
from tests.soak.checking import Checked, check
from tests.soak.damage import damaged
from tests.soak.documents import made
from tests.soak.pieces import KEYS
from tests.soak.secretive import secretive
from tests.unit.test_spec_bytes import EXAMPLES, PIECES, VALUES

SPECS = amount("SPECS", 600)
BLOCK = min(SPECS, 500)
DOCUMENTS = st.fixed_dictionaries(
    {
        "version": st.just(1) | VALUES,
        "instances": st.dictionaries(
            st.text(max_size=9), st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=6), max_size=3
        ),
    },
    optional=dict.fromkeys(("defaults", "ollama", "x"), VALUES),
)
EDITS = st.lists(st.tuples(st.integers(0, 1500), st.integers(0, 40), st.sampled_from(PIECES)), min_size=1, max_size=9)


def spec(number: int) -> bytes:
    """The spec of a number, always the same."""
    return (damaged if number % 3 else made)(random.Random(number))


class Tally:
    """What came of the specs of one test."""

    def __init__(self, record: Callable[[str, object], None]) -> None:
        self.codes: Counter[object] = Counter()
        self.slowest = 0.0
        self._record = record

    def add(self, checked: Checked) -> None:
        assert checked.code in (0, 78), checked.said
        self.codes[checked.code] += 1
        self.slowest = max(self.slowest, checked.seconds)

    def tell(self, what: str) -> None:
        """To the summary that ends the run."""
        self._record(
            "soak",
            {
                "what": what,
                "counts": {f"ended with {code}": n for code, n in self.codes.items()},
                "slowest": self.slowest,
            },
        )


@pytest.mark.parametrize("block", range(0, SPECS * 8 // 10, BLOCK))
def test_any_spec_that_chance_makes(block: int, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    tally = Tally(record_property)
    for number in range(block, min(block + BLOCK, SPECS * 8 // 10)):
        data = spec(number)
        try:
            checked = check(data, tmp_path, *(["--output", "json"] if number % 4 == 0 else []))
            tally.add(checked)
            if number % 4 == 0:
                json.loads(checked.said)
        except BaseException as error:
            error.add_note(f"the spec: python3 -m tests.soak {number}")
            raise
    tally.tell("specs by chance")


@pytest.mark.parametrize("block", range(0, SPECS // 10, BLOCK))
def test_any_spec_that_hypothesis_makes(
    block: int, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    tally = Tally(record_property)
    count = min(BLOCK, SPECS // 10 - block)

    @seed(block)
    @settings(max_examples=count - count // 2, database=None, suppress_health_check=list(HealthCheck))
    @given(DOCUMENTS)
    def documents(document: object) -> None:
        tally.add(check(json.dumps(document).encode(), tmp_path))

    @seed(block)
    @settings(max_examples=max(1, count // 2), database=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(EXAMPLES), EDITS)
    def edits(example: bytes, changes: list[tuple[int, int, bytes]]) -> None:
        for at, length, piece in changes:
            example = example[:at] + piece + example[at + length :]
        tally.add(check(example, tmp_path))

    documents()
    edits()
    tally.tell("specs by hypothesis")


@pytest.mark.parametrize("block", range(0, SPECS // 10, BLOCK))
def test_no_secret_is_told(block: int, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    tally = Tally(record_property)
    for number in range(block, min(block + BLOCK, SPECS // 10)):
        data = secretive(random.Random(number))
        checked = check(data, tmp_path)
        tally.add(checked)
        assert "hunter2" not in checked.said, data.decode()
    tally.tell("specs with a secret")
