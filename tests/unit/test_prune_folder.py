"""Looking into a store and removing from it, past whatever its owner may have put there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ollamactl.errors import HostError
from ollamactl.pruning import folder, others

MANIFEST = json.dumps({"config": {"digest": "sha256:" + "0" * 64, "size": 0}, "layers": []})
LLAMA = "registry.ollama.ai/library/llama3/latest"
BLOB = "sha256-" + "0" * 64


@pytest.fixture
def models(tmp_path: Path) -> Path:
    base = tmp_path / "models"
    (base / "manifests" / LLAMA).parent.mkdir(parents=True)
    (base / "manifests" / LLAMA).write_text(MANIFEST)
    (base / "blobs").mkdir()
    (base / "blobs" / BLOB).write_text("x")
    return base


def strange(models: Path) -> dict[str, str]:
    with folder.opened(str(models)) as held:
        return {entry.model: entry.strange for entry in held.contents().manifests if entry.strange}


def test_what_is_there_is_told_with_ages_by_its_last_change_of_any_kind(models: Path) -> None:
    os.utime(models / "blobs" / BLOB, (0, 0))
    for name in (f"{BLOB}-partial", f"{BLOB}-partial-12", "README", "sha256-12", f"{BLOB}.bak"):
        (models / "blobs" / name).write_text("y")
    (models / "blobs" / ("sha256-" + "1" * 64)).symlink_to("/etc/passwd")
    with folder.opened(str(models)) as held:
        contents = held.contents()
    assert [(entry.model, entry.path) for entry in contents.manifests] == [("llama3:latest", LLAMA)]
    assert [(file.name, file.part) for file in contents.files] == [
        (BLOB, False), (f"{BLOB}-partial", True), (f"{BLOB}-partial-12", True),
    ]  # fmt: skip
    assert contents.files[0].age < 60


def test_a_model_and_the_folders_that_it_leaves_empty_are_removed(models: Path) -> None:
    other = models / "manifests/registry.ollama.ai/acme/x/y"
    other.parent.mkdir(parents=True)
    other.write_text(MANIFEST)
    with folder.opened(str(models)) as held:
        first, second = held.contents().manifests
        assert held.remove_model(second)
        assert not held.remove_model(second)
        assert held.remove_file(held.contents().files[0])
        other.write_text(f"{MANIFEST} ")
        assert not held.remove_model(first)  # it is another one by now
    assert [str(path.relative_to(models)) for path in sorted(models.rglob("*"))] == [
        "blobs", "manifests", "manifests/registry.ollama.ai", "manifests/registry.ollama.ai/acme",
        "manifests/registry.ollama.ai/acme/x", "manifests/registry.ollama.ai/acme/x/y",
    ]  # fmt: skip


@pytest.mark.parametrize("beside", ["", "blobs/"])
def test_what_pulls_of_our_own_left_is_found_beside_the_store(models: Path, beside: str) -> None:
    staged = models / f"{beside}.ollamactl-pull/models/blobs"
    staged.mkdir(parents=True)
    (staged / f"{BLOB}-partial").write_text("x")
    (staged / ("sha256-" + "1" * 64)).symlink_to(models / "blobs" / BLOB)
    with folder.opened(str(models)) as held:
        names = [file.name for file in held.contents().files]
        assert names == [f".ollamactl-pull/{BLOB}-partial", BLOB]
        assert held.remove_file(held.contents().files[0])
    assert [path.name for path in staged.iterdir()] == ["sha256-" + "1" * 64]
    if os.geteuid() == 0:
        (staged / f"{BLOB}-partial").write_text("x")
        os.lchown(models / f"{beside}.ollamactl-pull", 4711, 4711)
        with folder.opened(str(models)) as held:
            assert len(held.contents().files) == 1


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_no_link_is_followed_at_any_depth(models: Path, tmp_path: Path, depth: int) -> None:
    place = models / "manifests" / "/".join(LLAMA.split("/")[:depth])
    away = tmp_path / "away"
    place.rename(away)
    place.symlink_to(away)
    assert list(strange(models).values()) == ["a link"]


def test_a_link_that_comes_after_the_look_leads_no_removal_anywhere(models: Path, tmp_path: Path) -> None:
    with folder.opened(str(models)) as held:
        (entry,) = held.contents().manifests
        library = models / "manifests/registry.ollama.ai/library"
        library.rename(tmp_path / "away")
        library.symlink_to(tmp_path / "away")
        with pytest.raises(HostError):
            held.remove_model(entry)
    assert (tmp_path / "away/llama3/latest").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can give links away")
def test_root_goes_by_no_link_of_the_stores_owner(models: Path, tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir()
    (models / "blobs").rename(tmp_path / "old")
    (models / "blobs").symlink_to(private)
    os.lchown(models / "blobs", 4711, 4711)
    with pytest.raises(HostError, match="which is not theirs"), folder.opened(str(models)):
        pass
    os.lchown(models / "blobs", 0, 0)
    with folder.opened(str(models)) as held:  # root's own link may lead where it likes
        assert held.contents().files == ()


def test_a_fifo_keeps_nobody_waiting_and_what_is_no_model_to_ollama_is_passed_by(models: Path) -> None:
    library = models / "manifests" / LLAMA
    os.mkfifo(library.with_name("pipe"))
    library.with_name("folder").mkdir()
    (models / "manifests/.DS_Store").write_text("x")
    assert strange(models) == {"llama3:pipe": "no file"}


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_what_is_no_manifest_is_strange(models: Path, text: str) -> None:
    (models / "manifests" / LLAMA).write_text(text)
    assert strange(models) == {"llama3:latest": "damaged"}


def test_a_store_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(HostError), folder.opened(str(tmp_path / "none")):
        pass


@pytest.mark.parametrize("how", ["OLLAMA_MODELS", "HOME", "relative"])
def test_a_server_is_found_by_the_store_that_it_sees(tmp_path: Path, how: str) -> None:
    models = tmp_path / ".ollama/models"
    models.mkdir(parents=True)
    (tmp_path / "other").mkdir()
    given = {
        "OLLAMA_MODELS": {"OLLAMA_MODELS": f'"{models}"'},
        "HOME": {"HOME": str(tmp_path)},
        "relative": {"OLLAMA_MODELS": ".ollama/models"},
    }[how]
    code = "import sys; print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        ["/opt/ollama", "-c", code, "serve"], executable=sys.executable, env=given, cwd=tmp_path,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as server:  # fmt: skip
        assert server.stdin
        assert server.stdout
        server.stdout.readline()
        (told,) = others.of(str(models), [])
        assert told.startswith(f"pid {server.pid} (/opt/ollama -c ")
        assert others.of(str(tmp_path / "other"), []) == ()
        assert others.of(str(tmp_path / "none"), []) == ()
        server.stdin.close()
    assert others.of(str(models), []) == ()
