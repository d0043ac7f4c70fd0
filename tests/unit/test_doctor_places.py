"""Folders, stores and device nodes as they are read, and which commands are taken for servers."""

import os
import time
from pathlib import Path

import pytest

from ollamactl.doctor import places
from ollamactl.doctor.server import Settings
from ollamactl.host import rivals
from tests.unit.doctor_values import environment, server


def test_the_way_to_a_folder_ends_where_it_does(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)

    there, half = places.place(str(tmp_path)), places.place(f"{tmp_path}/a/b")

    assert (there.there, there.way[0].path, there.way[-1].path) == (True, "/", str(tmp_path))
    assert (half.there, half.path, half.way) == (False, f"{tmp_path}/a/b", there.way)
    assert (there.way[-1].uid, there.way[-1].mode) == (os.getuid(), 0o750)


def test_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")

    assert places.place(f"{tmp_path}/link").path == f"{tmp_path}/real"


def test_a_node_that_is_not_there_is_none(tmp_path: Path) -> None:
    assert places.node(f"{tmp_path}/x") is None


@pytest.mark.parametrize(
    ("variables", "complete", "keys", "models"),
    [
        ({}, True, "/nonexistent/.ollama", "/nonexistent/.ollama/models"),
        ({"OLLAMA_MODELS": "/m"}, True, "/nonexistent/.ollama", "/m"),
        ({"OLLAMA_MODELS": "/m"}, False, "/nonexistent/.ollama", "/m"),
        ({}, False, "/nonexistent/.ollama", None),
        ({"OLLAMA_MODELS": "m"}, True, "/nonexistent/.ollama", None),
    ],
)
def test_keys_and_models(variables: dict[str, str], complete: bool, keys: str, models: str | None) -> None:
    given = environment(variables)
    seen = server(environment=type(given)(given=given.given, complete=complete), home="/nonexistent")

    found = places.with_places(seen)

    assert (found.keys and found.keys.path, found.models and found.models.path) == (keys, models)


def test_the_program_and_its_libraries(tmp_path: Path) -> None:
    binary = tmp_path / "bin/ollama"
    for name in ("cuda_v13/libggml-cuda.so", "vulkan/libggml-vulkan.so", "empty/readme"):
        (tmp_path / "lib/ollama" / name).parent.mkdir(parents=True)
        (tmp_path / "lib/ollama" / name).touch()

    def seen() -> tuple[str, tuple[str, ...]]:
        found = places.with_places(server(settings={"argv": (str(binary), "serve")}))
        return found.program_lacks, found.libraries

    binary.parent.mkdir()
    assert seen()[0] == "is not there"
    binary.touch(0o644)
    assert seen()[0] == "can't be executed"
    binary.chmod(0o755)
    assert seen() == ("", ("cuda_v13", "vulkan"))


def test_old_parts_of_downloads_are_counted_by_what_they_take(tmp_path: Path) -> None:
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    (tmp_path / "manifests").mkdir()
    for name in ("sha256-a-partial", "sha256-a-partial-0", "sha256-b", "sha256-c-partial"):
        (blobs / name).write_bytes(b"x" * 5000)
    old = time.time() - 7200
    for name in ("sha256-a-partial", "sha256-a-partial-0", "sha256-b"):
        os.utime(blobs / name, (old, old))

    stores, closed = places.stores([server(models=places.place(str(tmp_path)))])
    store = stores[0]

    assert (store.partial, store.partial_size, store.models) == (2, 16384, {})
    assert str(tmp_path) not in closed


@pytest.mark.parametrize(
    ("words", "serves"),
    [
        ("/usr/local/bin/ollama serve", True),
        ("/opt/ollama-0.33 start", True),
        ("ollama list", False),
        ("/usr/bin/ollamactl start", False),
        ("grep ollama serve", False),
        ("", False),
    ],
)
def test_what_is_a_server(words: str, serves: bool) -> None:
    assert rivals.is_server(words.split()) is serves


def test_a_program_behind_a_shell_is_not_the_unit_s() -> None:
    assert Settings(argv=("/bin/sh", "-c", "ollama serve")).binary == ""
    assert Settings(argv=("/opt/ollama", "serve")).binary == "/opt/ollama"
    assert not Settings().wrapped
