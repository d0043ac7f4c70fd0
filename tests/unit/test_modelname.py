import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollamactl.modelname import ModelName


@pytest.mark.parametrize(
    ("text", "short", "path"),
    [
        ("llama3", "llama3:latest", "registry.ollama.ai/library/llama3/latest"),
        ("llama3:8b", "llama3:8b", "registry.ollama.ai/library/llama3/8b"),
        ("library/llama3", "llama3:latest", "registry.ollama.ai/library/llama3/latest"),
        ("acme/coder:7b", "acme/coder:7b", "registry.ollama.ai/acme/coder/7b"),
        ("host:5000/a/b:c", "host:5000/a/b:c", "host:5000/a/b/c"),
        ("host:5000/a/b", "host:5000/a/b:latest", "host:5000/a/b/latest"),
        ("hf.co/unsloth/Qwen3-GGUF:Q4_K_M", "hf.co/unsloth/Qwen3-GGUF:Q4_K_M", "hf.co/unsloth/Qwen3-GGUF/Q4_K_M"),
        ("Registry.Ollama.AI/Library/Llama3", "Llama3:latest", "registry.ollama.ai/library/Llama3/latest"),
        ("other.example/Library/m", "other.example/Library/m:latest", "other.example/Library/m/latest"),
        ("registry.ollama.ai/acme/m", "acme/m:latest", "registry.ollama.ai/acme/m/latest"),
        ("_x.y-z", "_x.y-z:latest", "registry.ollama.ai/library/_x.y-z/latest"),
    ],
)
def test_names_as_ollama_reads_them(text: str, short: str, path: str) -> None:
    name = ModelName.parse(text)

    assert (name.short, name.manifest_path) == (short, path)
    assert ModelName.parse(short) == name


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "its model is empty"),
        (":8b", "its model is empty"),
        ("llama3:", "its tag is empty"),
        ("/llama3", "its namespace is empty"),
        ("a//b", "its namespace is empty"),
        ("//b", "its host is empty"),
        ("a/b/", "its model is empty"),
        ("..", "the model '..' must begin with a letter or digit"),
        ("a/../b", "the namespace '..'"),
        ("../../etc/passwd", "the host '../..'"),
        ("/etc/passwd", "its host is empty"),
        ("a/b/c/d", "the host 'a/b'"),
        ("host:5000/m", "the namespace 'host:5000'"),
        ("m:a:b", "the tag 'a:b'"),
        ("m\n", "the model 'm\\n'"),
        ("m\0", "the model 'm\\x00'"),
        ("m:t\u00e9", "the tag 't\u00e9'"),
        ("m\u0661", "the model"),
        ("a b", "the model 'a b'"),
        (".hidden", "the model '.hidden'"),
        ("-x", "the model '-x'"),
        ("a.b/c", "the namespace 'a.b'"),
        ("m" * 81, "the model"),
        ("m:" + "t" * 81, "the tag"),
        ("m@sha256:" + "a" * 64, "names a digest"),
        ("http://h/n/m", "is a URL"),
    ],
)
def test_what_is_no_name(text: str, why: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        ModelName.parse(text)
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("text", "cloud"), [("m:cloud", True), ("m:120b-Cloud", True), ("m:cloudy", False), ("cloud", False)]
)
def test_cloud_models(text: str, cloud: bool) -> None:
    assert ModelName.parse(text).cloud is cloud


def test_names_that_differ_in_case_are_one_model_to_ollama() -> None:
    one, other = ModelName.parse("Acme/Coder:7B"), ModelName.parse("acme/coder:7b")

    assert one != other
    assert one.folded == other.folded


@given(st.text(alphabet="ab./:@_-\\\0\n \u00e9", max_size=30))
def test_no_name_escapes_its_path(text: str) -> None:
    try:
        path = ModelName.parse(text).manifest_path
    except ValueError:
        return
    parts = path.split("/")
    assert len(parts) == 4
    assert not {"", ".", ".."} & set(parts)
    assert path.isascii()
    assert path.isprintable()
