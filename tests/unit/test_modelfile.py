"""A Modelfile is read as Ollama reads it, and what is wrong in it is told with its line."""

import json
import re
from pathlib import Path

import pytest

from ollamactl.facts import Manifest
from ollamactl.model import Fleet
from ollamactl.pulling import modelfile, recipe

TEXT = '''\
# a comment
FROM qwen
system """You are
"terse".
"""
PARAMETER temperature 0.2
PARAMETER num_ctx 4096
PARAMETER stop "END of it"
PARAMETER stop STOP
PARAMETER use_mmap false
MESSAGE user hi
MESSAGE assistant "hello
there"
TEMPLATE {{ .Prompt }}
LICENSE one
LICENSE two
REQUIRES v0.14.0
ADAPTER ./lora.gguf
'''


def test_every_instruction_reaches_the_request() -> None:
    found = modelfile.parse(TEXT)

    assert (found.sources, found.adapters) == (("qwen",), ("./lora.gguf",))
    assert found.request == {
        "system": 'You are\n"terse".\n',
        "parameters": {"temperature": 0.2, "num_ctx": 4096, "stop": ["END of it", "STOP"], "use_mmap": False},
        "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello\nthere"}],
        "template": "{{ .Prompt }}",
        "license": ["one", "two"],
        "requires": "0.14.0",
    }


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("SYSTEM x\n", "it has no FROM"),
        ("FROM x\nFORM y\n", "line 2: 'FORM' is none of FROM,"),
        ("FROM\n", "line 1: FROM has no value"),
        ('FROM x\nSYSTEM """a\nb\n', "line 2: the quotes that begin here never end"),
        ("FROM x\nPARAMETER moon full\n", "line 2: there is no parameter 'moon'"),
        ("FROM x\nPARAMETER num_ctx many\n", "line 2: num_ctx is a number, not 'many'"),
        ("FROM x\nPARAMETER use_mmap perhaps\n", "line 2: use_mmap is true or false, not 'perhaps'"),
        ("FROM x\nMESSAGE nobody hi\n", "line 2: MESSAGE begins with system, user or assistant"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(why)}"):
        modelfile.parse(text)


def store(folder: Path, **models: bytes) -> Path:
    for name, data in models.items():
        path = folder / "manifests/registry.ollama.ai/library" / name / "latest"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def test_a_model_is_made_again_when_what_it_is_made_from_changes(tmp_path: Path) -> None:
    text, weights, models = tmp_path / "Modelfile", tmp_path / "a.gguf", store(tmp_path / "models", qwen=b"{}")
    text.write_text("FROM qwen\nADAPTER a.gguf\n")
    weights.write_bytes(b"GGUF")
    fleet = Fleet(custom=(("mine:latest", str(text)),))

    def why(made: bytes | None) -> str:
        (found,) = recipe.look(fleet, models)
        assert found.problem == ""
        return found.stale(None if made is None else Manifest(model="mine:latest", path="", data=made, digest=""))

    (first,) = recipe.look(fleet, models)
    made = recipe.marked(b'{"schemaVersion":2}', first.marks or {})
    assert json.loads(made)["schemaVersion"] == 2
    assert (why(None), why(made)) == (f"made by {text}", "")
    assert why(b"{}") == "the Modelfile changed", "somebody made it by hand"
    weights.write_bytes(b"GGUF2")
    assert why(made) == f"{weights} changed"
    made = recipe.marked(b"{}", recipe.look(fleet, models)[0].marks or {})
    store(models, qwen=b"[]")
    assert why(made) == "qwen:latest changed"
    text.write_text("FROM qwen\n")
    assert why(made) == "the Modelfile changed"
    text.write_text("FROM absent\n")
    assert why(made) == "absent:latest is to be pulled"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "cannot be read: no such file or directory"),
        ("SYSTEM x", "it has no FROM"),
        ("FROM ./absent.gguf", "which FROM names"),
        ("FROM .", "is no file: make a GGUF file of it"),
        ("FROM qwen\nADAPTER absent", "no such file or directory"),
        ("FROM a b", "is not a model name"),
    ],
)
def test_what_keeps_a_model_from_being_made_is_told(tmp_path: Path, text: str | None, why: str) -> None:
    path = tmp_path / "Modelfile"
    if text is not None:
        path.write_text(text)
    (found,) = recipe.look(Fleet(custom=(("mine:latest", str(path)),)), tmp_path)
    assert why in found.problem
