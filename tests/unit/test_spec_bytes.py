"""Whatever the bytes: a Spec or a SpecError, soon."""

import json
import time
from contextlib import suppress
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from ollamactl.errors import SpecError
from ollamactl.spec import schema, specfile

EXAMPLES = [path.read_bytes() for path in sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))]
PIECES = [
    *(b"\n", b"  ", b": ", b"- ", b"[", b"]", b"{", b"}", b", ", b"&a ", b"*a", b"<<: ", b'"', b"'", b"|\n", b"#"),
    *(b"!!x ", b"\0", b"\xff", b"\xc2\x85", b'"\\uFFFE"', b"null", b"true", b"-1", b"9" * 400, b"1.5", b"..", b"::"),
    *(f"{key}: ".encode() for key in schema.instance_keys()),
]  # fmt: skip
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=8),
    st.sampled_from(["none", "all", "any", "auto", "0.0.0.0", "::", "5m", "forever", "llama3", "GPU-1234", "1G"]),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1, max_size=5), inner, max_size=3),
    max_leaves=6,
)


def attempt(data: bytes) -> None:
    start = time.process_time()
    with suppress(SpecError):
        specfile.load(data, name="fleet.yaml")
    assert time.process_time() - start < 1


@given(st.binary(max_size=200))
@settings(max_examples=150)
def test_any_bytes(data: bytes) -> None:
    attempt(data)


@given(st.text(max_size=200))
@settings(max_examples=100)
def test_any_text(text: str) -> None:
    attempt(text.encode("utf-8", "surrogatepass"))


@given(
    st.sampled_from(EXAMPLES),
    st.lists(st.tuples(st.integers(0, 1500), st.integers(0, 40), st.sampled_from(PIECES)), min_size=1, max_size=4),
)
@settings(max_examples=300)
def test_any_mutated_example(example: bytes, edits: list[tuple[int, int, bytes]]) -> None:
    for at, length, piece in edits:
        example = example[:at] + piece + example[at + length :]
    attempt(example)


@given(
    st.dictionaries(st.sampled_from([*schema.instance_keys()]), VALUES, max_size=6),
    st.dictionaries(st.sampled_from([*schema.instance_keys()]), VALUES, max_size=3),
)
@settings(max_examples=300)
def test_any_values_of_real_keys(keys: dict[str, object], defaults: dict[str, object]) -> None:
    document = {"version": 1, "defaults": defaults, "instances": {"a": {"port": 11434, **keys}, "b": {"port": 11435}}}
    attempt(json.dumps(document).encode())


def test_many_wrong_things_are_told_soon_and_not_all() -> None:
    keys = ", ".join(f"key{number}: 1" for number in range(20_000))
    attempt(f"version: 1\ninstances: {{a: {{port: 2000, {keys}}}}}".encode())
    attempt(b"version: 1\ninstances:\n" + b"".join(b" a%d: {port: 2000, x: 1}\n" % number for number in range(4000)))
    variables = ", ".join(f"OLLAMA_V{number}: x" for number in range(20_000))
    attempt(f"version: 1\ninstances: {{a: {{port: 2000, environment: {{{variables}}}}}}}".encode())
    attempt(b"version: 1\ninstances:\n" + b"".join(b" a%d: {port: 1}\n" % number for number in range(30_000)))
    attempt(b"version: 1\ninstances:\n" + b"".join(b" a%d: {port: %d}\n" % (at, at % 65535 + 1) for at in range(5_000)))
    attempt(b"version: 1\ninstances:\n" + b"".join(b" a%d: {port: 2, after: [b%d]}\n" % (at, at) for at in range(200)))
    attempt(b"version: 1\nx: &x {a: 1}\ninstances:\n" + b"".join(b" a%d: *x\n" % number for number in range(30_000)))
    items = ", ".join(f"x{number}" for number in range(30_000))
    attempt(f"version: 1\ninstances: {{a: {{port: 2000, models: [{items}], gpus: [{items}]}}}}".encode())
