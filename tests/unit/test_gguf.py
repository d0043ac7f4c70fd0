"""What a model's file says of its size in memory, and what no such file does."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollamactl import gguf
from ollamactl.facts import Manifest, Shape
from ollamactl.host import gguf as edge
from tests.unit.gguf_heads import head, llama

LLAMA = Shape(elements=32 * 8 * 256, context=8192)


@pytest.mark.parametrize(
    ("values", "shape"),
    [
        (llama(), LLAMA),
        (llama(attention__head_count_kv=None), Shape(elements=32 * 32 * 256, context=8192)),
        (llama(attention__key_length=192, attention__value_length=64), LLAMA),
        (llama(attention__head_count_kv=[8, 0] * 16), Shape(elements=16 * 8 * 256, context=8192)),
        (
            llama(attention__head_count=[32, 0] * 16, attention__head_count_kv=[8, 0] * 16),
            Shape(elements=16 * 8 * 256, context=8192),
        ),
        (llama("bert", attention__causal=False), Shape(elements=0, context=8192)),
    ],
)
def test_the_cache_of_a_token_is_reckoned_from_the_heads_of_all_layers(values: dict[str, Any], shape: Shape) -> None:
    assert gguf.shape(head(values)) == shape


def test_no_more_is_read_than_what_stands_before_the_vocabulary() -> None:
    whole = head(llama())
    end = whole.index(b"tokenizer.ggml.tokens") + len("tokenizer.ggml.tokens")
    assert gguf.shape(whole[:end]) == LLAMA
    assert gguf.shape(whole[: end - 1]) is None, "who knows what else it would have said"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GGUF",
        b"PK\3\4" + bytes(100),
        head(llama(), version=1),
        head(llama(attention__head_count=None)),
        head(llama(attention__head_count=0)),
        head(llama(attention__head_count=[0, 0])),
        head(llama(block_count="many")),
        head({"general.architecture": "llama"}),
    ],
)
def test_what_says_too_little_is_no_shape(data: bytes) -> None:
    assert gguf.shape(data) is None


@given(st.integers(0, 400), st.binary(max_size=20))
def test_damage_is_no_exception(at: int, data: bytes) -> None:
    whole = head(llama())
    found = gguf.shape(whole[:at] + data + whole[at + len(data) :])
    assert found is None or found.context >= 0


def test_of_a_store_only_the_heads_of_models_are_read(tmp_path: Path) -> None:
    digest = "sha256:" + "a" * 64
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / digest.replace(":", "-")).write_bytes(head(llama()))

    def manifest(name: str, *layers: str) -> Manifest:
        written = ",".join(f'{{"mediaType":"application/vnd.ollama.image.model","digest":"{each}"}}' for each in layers)
        return Manifest(model=name, path="x", data=f'{{"layers":[{written}]}}'.encode(), digest=name)

    gone = "sha256:" + "b" * 64
    (tmp_path / "blobs" / f"sha256-{'c' * 64}").mkdir()
    models = [
        manifest("whole", digest),
        manifest("gone", gone),
        manifest("folder", "sha256:" + "c" * 64),
        manifest("parts", digest, gone),
        manifest("hostile", "../../etc/passwd"),
    ]
    assert edge.shapes(tmp_path, models) == {"whole": LLAMA}
