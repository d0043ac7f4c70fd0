import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollamactl.quantity import format_duration, format_size, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90), ("5m", 300), ("1h30m", 5400), ("2min 5s", 125), ("0", 0), ("1.5s", 1.5), ("500ms", 0.5),
        ("1d", 86400), ("2 hours", 7200), ("forever", math.inf), ("infinity", math.inf), ("36500d", 36500 * 86400),
    ],
)  # fmt: skip
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", " ", "5 parsecs", "m5", "-1", "5m!", "1h 30", "for ever", "99999999d", "5M", "\n"]
)
def test_what_is_no_duration(text: str) -> None:
    if text == "1h 30":
        assert parse_duration(text) == 3630
    else:
        with pytest.raises(ValueError, match=r"is no|more than 100 years"):
            parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [("512M", 512 << 20), ("24G", 24 << 30), ("1.5G", 3 << 29), ("24GiB", 24 << 30), ("1000", 1000), ("2TB", 2 << 40)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "G", "24X", "-1", "1e9", "24 G B", "1,5G"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        parse_size(text)


@given(st.integers(0, 10**9))
def test_a_duration_survives_its_spelling(milliseconds: int) -> None:
    assert math.isclose(parse_duration(format_duration(milliseconds / 1000)), milliseconds / 1000)


@given(st.integers(0, 1 << 49))
def test_a_size_survives_its_spelling(size: int) -> None:
    assert parse_size(format_size(size)) == size


@pytest.mark.parametrize(("seconds", "text"), [(90, "1m30s"), (0, "0s"), (math.inf, "forever"), (0.5, "500ms")])
def test_durations_are_spelt_shortly(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
