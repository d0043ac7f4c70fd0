"""Values as Ollama reads them; tests/system/test_doctor_reads.py asks the real one."""

import pytest

from ollamactl.units import envconfig
from ollamactl.units.envconfig import Listen


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("", ("127.0.0.1", 11434)),
        ("0.0.0.0", ("0.0.0.0", 11434)),
        (":11435", ("0.0.0.0", 11435)),
        ("127.0.0.1:11500", ("127.0.0.1", 11500)),
        ("127.0.0.1:", ("127.0.0.1", 11434)),
        ("localhost:11500", ("127.0.0.1", 11500)),
        ("http://10.0.0.1", ("10.0.0.1", 80)),
        ("https://10.0.0.1/path", ("10.0.0.1", 443)),
        ("ftp://10.0.0.1", ("10.0.0.1", 11434)),
        ("[::1]:11436", ("::1", 11436)),
        ("[::1]", ("::1", 11434)),
        ("::1", ("::1", 11434)),
        ("::1:8080", ("::1:8080", 11434)),
        ("::1:11434", ("::1:11434", 11434)),
        ("1.2.3.4:99999", ("1.2.3.4", 11434)),
        ("1.2.3.4:http", ("1.2.3.4", 11434)),
        ("11435", ("11435", 11434)),
        ('"0.0.0.0:1234"', ("0.0.0.0", 1234)),
        (" 0.0.0.0:1234 ", ("0.0.0.0", 1234)),
        ("[::1]x:1", ("::1]x:1", 11434)),
    ],
)
def test_where_it_listens(value: str, address: tuple[str, int]) -> None:
    assert envconfig.listen_address(value) == address


def test_what_was_wrong_with_the_port_and_which_scheme_was_written_are_kept() -> None:
    assert envconfig.listen("1.2.3.4:99999") == Listen(host="1.2.3.4", port=11434, bad_port="99999")
    assert envconfig.listen("1.2.3.4:").bad_port == "(nothing after the colon)"
    assert envconfig.listen("https://h:1") == Listen(host="h", port=1, scheme="https")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("5m", 300.0), ("1h30m", 5400.0), ("1.5h", 5400.0), (".5s", 0.5), ("90", 90.0), ("-1", -1.0), ("-1m", -60.0),
        ("+1s", 1.0), ("0", 0.0), ("100ms", 0.1), ("'10m'", 600.0),
        ("30min", None), ("1d", None), ("5 m", None), ("forever", None), ("", None), ("m", None), ("1.5", None),
        (".s", None), ("--1", None), ("1h30", None),
    ],
)  # fmt: skip
def test_durations(value: str, seconds: float | None) -> None:
    assert envconfig.duration(value) == seconds


@pytest.mark.parametrize(
    ("value", "number"), [("4", 4), ("'4'", 4), ("0", 0), ("-1", None), ("8k", None), ("+1", None), ("", None)]
)
def test_numbers(value: str, number: int | None) -> None:
    assert envconfig.number(value) == number


@pytest.mark.parametrize(
    ("value", "truth", "read"),
    [("1", True, True), ("T", True, True), ("0", False, True), ("false", False, True), ("'0'", False, True),
     ("", False, True), ("off", True, False), ("no", True, False), ("FaLse", True, False)],
)  # fmt: skip
def test_switches(value: str, truth: bool, read: bool) -> None:
    assert (envconfig.truth(value), envconfig.is_boolean(value)) == (truth, read)
    assert envconfig.truth("", default=True)
