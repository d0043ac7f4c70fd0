import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ollamactl import manifest
from ollamactl.errors import NotPermitted, Problem, Severity
from ollamactl.host import store
from ollamactl.model import Fleet, Instance
from ollamactl.modelname import ModelName
from ollamactl.spec import specfile
from ollamactl.spec.declared import Declared

LLAMA, CODER, PRIVATE = "llama3:latest", "acme/coder:7b", "registry.example:5000/a/b:c"


def wanted(*names: str) -> list[ModelName]:
    return [ModelName.parse(name) for name in names]


def declared(*names: str, by: str = "a") -> Declared:
    short = tuple(name.short for name in wanted(*names))
    return Declared(Fleet(instances=tuple(Instance(name=one, port=1, models=short) for one in by)))


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A store of three models that share a blob, open to others up to pytest's own folders."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and str(folder) not in ("/", "/tmp"):
            folder.chmod(0o755)
    base = tmp_path / "models"
    (base / "blobs").mkdir(parents=True)
    for name in (LLAMA, CODER, PRIVATE):
        layers = [blob(base, b"weights"), blob(base, name.encode())]
        text = json.dumps({"schemaVersion": 2, "config": blob(base, b"{}"), "layers": layers})
        path = base / "manifests" / ModelName.parse(name).manifest_path
        path.parent.mkdir(parents=True)
        path.write_text(f"{text}\n")
    return base


def blob(base: Path, data: bytes) -> dict[str, object]:
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    (base / "blobs" / digest.replace(":", "-")).write_bytes(data)
    return {"mediaType": "application/x", "digest": digest, "size": len(data)}


def blob_path(base: Path, data: bytes) -> Path:
    return base / "blobs" / f"sha256-{hashlib.sha256(data).hexdigest()}"


def problems(models: Path, *names: str) -> tuple[Problem, ...]:
    return store.problems(models, store.read(models, wanted=wanted(*names)), declared(*names))


def test_all_models_by_the_name_that_ollama_lists(models: Path) -> None:
    found = store.read(models)
    assert sorted(found) == sorted([LLAMA, CODER, PRIVATE])
    manifest = found[LLAMA]
    assert manifest.path == "registry.ollama.ai/library/llama3/latest"
    assert manifest.data == (models / "manifests" / manifest.path).read_bytes()
    assert manifest.digest == hashlib.sha256(manifest.data).hexdigest()


def test_only_what_is_wanted_is_opened(models: Path) -> None:
    for name in (CODER, PRIVATE):
        (models / "manifests" / ModelName.parse(name).manifest_path).write_bytes(b"x" * (2 << 20))
    found = store.read(models, wanted=wanted(LLAMA, "no:such"))
    assert list(found) == [LLAMA]


def test_what_is_no_manifest_by_its_place_is_passed_by(models: Path) -> None:
    library = models / "manifests/registry.ollama.ai/library"
    (library / "llama3/.ollamactl-1").write_text("{}")
    (library / "llama3/deep").mkdir()
    (library / "llama3/deep/er").write_text("{}")
    (library / "stray").write_text("{}")
    os.mkfifo(library / "llama3/pipe")
    assert sorted(store.read(models)) == sorted([LLAMA, CODER, PRIVATE])


def test_a_link_is_followed_within_the_store_only(models: Path, tmp_path: Path) -> None:
    secret = tmp_path / "shadow"
    secret.write_text("root:x")
    folder = models / "manifests/registry.ollama.ai/library/llama3"
    (folder / "outside").symlink_to(secret)
    (folder / "blob").symlink_to(blob_path(models, b"{}"))
    (folder / "up").symlink_to("../../../../../shadow")
    found = store.read(models)
    assert found["llama3:blob"].data == b"{}"
    assert not {"llama3:outside", "llama3:up"} & set(found)


def test_a_store_that_is_itself_linked_and_spread_over_disks_is_read(models: Path, tmp_path: Path) -> None:
    shutil.move(models / "manifests", tmp_path / "elsewhere")
    (models / "manifests").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "link").symlink_to(models)
    assert LLAMA in store.read(tmp_path / "link")


@pytest.mark.parametrize("size", [100, 512, 513, 514, 1536, 1537, 1538, 3585, 4000])
def test_the_digest_leaves_out_a_newline_that_ollamas_decoder_does_not_read(size: int) -> None:
    data = b'{"a":"' + b"x" * (size - 9) + b'"}\n'
    hashed = data[:-1] if size in (513, 1537, 3585) else data
    assert manifest.digest(data) == hashlib.sha256(hashed).hexdigest()


def test_a_store_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert store.read(tmp_path / "no") == {}


@pytest.mark.skipif(os.geteuid() != 0, reason="gives up root's rights")
def test_a_store_that_the_caller_may_not_read_is_not_an_empty_one(models: Path) -> None:
    (models / "manifests").chmod(0o700)
    os.seteuid(65534)
    try:
        with pytest.raises(NotPermitted, match="manifests"):
            store.read(models)
        with pytest.raises(NotPermitted, match="llama3"):
            store.read(models, wanted=wanted(LLAMA))
    finally:
        os.seteuid(0)


def test_a_sound_store_has_no_problems(models: Path) -> None:
    assert problems(models, LLAMA, CODER, PRIVATE) == ()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("lama3", LLAMA),
        ("LLAMA3", LLAMA),
        ("llama3:70b", LLAMA),
        ("llama", LLAMA),
        ("acme/code:7b", CODER),
        ("zzz:9b", ""),
        ("mistral", ""),
    ],
)
def test_a_missing_model_comes_with_what_is_there_what_may_be_meant_and_how_to_pull(
    models: Path, name: str, meant: str
) -> None:
    (found,) = problems(models, LLAMA, name)
    short = ModelName.parse(name).short
    assert found.message == f"{short} is not in the store {models}, which has {CODER}, {LLAMA}, {PRIVATE}"
    assert (found.path, found.instance) == ("instances.a.models", "a")
    assert found.hint.startswith(f"did you mean {meant}? If not, pull it: " if meant else "pull it: ")
    assert found.hint.endswith(f"sudo ollamactl pull {short}")


def test_what_is_to_be_pulled_is_not_missing_and_a_place_without_a_store_gets_one(models: Path, tmp_path: Path) -> None:
    assert store.problems(models, {}, declared("x"), pulling=True) == ()
    (note,) = store.problems(models, {}, declared("lama3"), pulling=True)
    assert (note.severity, note.hint) == (Severity.NOTE, f"did you mean {LLAMA}?")
    assert store.problems(tmp_path / "new", {}, declared("x"), pulling=True, root=tmp_path) == ()
    (tmp_path / "file").touch()
    (found,) = store.problems(tmp_path / "file", {}, declared("x"), pulling=True, root=tmp_path)
    assert found.message == "is not a directory"


def test_who_declares_a_missing_model_is_named_where_it_is_several(models: Path) -> None:
    (found,) = store.problems(models, {}, declared("x", by="ab"))
    assert found.message.startswith(f"x:latest, which a and b declare, is not in the store {models}")
    assert found.instance == ""


def test_the_place_of_a_missing_model_is_told(models: Path) -> None:
    text = f"version: 1\ninstances:\n  a: {{port: 2000, models: [{LLAMA}, x]}}\n  b: {{port: 2001}}\n"
    spec = specfile.load(text.encode(), name="f")
    found = store.problems(models, store.read(models), Declared(spec.fleet, spec.locations))
    assert [str(each).partition(" ")[0] for each in found] == ["f:3:43:", "f:4:3:"]
    assert [each.path for each in found] == ["instances.a.models[1]", "instances.b"]
    assert [each.instance for each in store.problems(models, {}, Declared(spec.fleet, only=["b"]))] == ["b"]


def test_a_model_that_another_store_has_is_found(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_MODELS", str(models))
    other = models.parent / "other"
    for name in ("manifests", "blobs"):
        (other / name).mkdir(parents=True)
    (found,) = problems(other, LLAMA)
    assert found.message == f"{LLAMA} is not in the store {other}, which is empty"
    assert found.hint == f"it is in another store: write `models: {models}` below `ollama:`"
    (found,) = problems(models.parent / "none", LLAMA)
    assert found.message == f"there is no model store here, but there is one in {models}"
    assert found.hint == f"write `models: {models}` below `ollama:`"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"config": 1, "layers": []}',
        b'{"config": {"digest": "sha256:../x", "size": 1}, "layers": []}',
        b"[" * 9000,
    ],
)
def test_a_damaged_manifest(models: Path, data: bytes) -> None:
    path = models / "manifests" / ModelName.parse(LLAMA).manifest_path
    path.write_bytes(data)
    (found,) = problems(models, LLAMA)
    assert (found.message, found.path) == (f"the manifest of {LLAMA} is damaged", str(path))


def test_a_missing_and_a_cut_blob_are_each_told_once(models: Path) -> None:
    blob_path(models, b"weights").write_bytes(b"wei")
    blob_path(models, LLAMA.encode()).unlink()
    cut, missing = problems(models, LLAMA, CODER)
    assert cut.message == f"a part of {LLAMA} has 3 bytes instead of 7"
    assert cut.hint == f"sudo ollamactl pull {LLAMA}"
    assert "missing" in missing.message


@pytest.mark.parametrize(
    ("closed", "mode"),
    [("blobs", 0o750), (".", 0o700), (f"blobs/sha256-{hashlib.sha256(b'weights').hexdigest()}", 0o600)],
)
def test_what_the_servers_users_can_not_read(models: Path, closed: str, mode: int) -> None:
    (models / closed).chmod(mode)
    (found,) = problems(models, LLAMA)
    assert str((models / closed).resolve()) in found.message
    assert found.hint == f"`sudo chmod -R o+rX {models}`"
    assert store.problems(models, store.read(models), declared(LLAMA), others=False) == ()


def test_a_parent_that_others_may_not_pass(models: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    (found,) = problems(models, LLAMA)
    assert found.hint == f"`sudo chmod o+x {tmp_path}`"


@pytest.mark.parametrize("given", ["home/.ollama", "home", "home/.ollama/models/manifests"])
def test_a_folder_near_the_store_is_led_to_it(models: Path, tmp_path: Path, given: str) -> None:
    (tmp_path / "home/.ollama").mkdir(parents=True)
    shutil.move(models, tmp_path / "home/.ollama/models")
    (found,) = problems(tmp_path / given, LLAMA)
    assert f"`models: {tmp_path}/home/.ollama/models`" in found.hint


def test_no_store_an_empty_one_and_a_file(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    said = [problems(tmp_path / name, LLAMA)[0].message for name in ("no", "empty", "file")]
    assert said == [
        "there is no model store here",
        "has no models yet (no manifests/ and blobs/ in it)",
        "is not a directory",
    ]


def test_two_hundred_models_do_not_slow_one(models: Path) -> None:
    for number in range(200):
        folder = models / f"manifests/registry.ollama.ai/library/m{number}"
        folder.mkdir()
        (folder / "latest").write_text("{}")
    # The best of some: a busy machine makes any single one slow
    one = min(seconds(lambda: store.read(models, wanted=wanted(LLAMA))) for _ in range(5))
    assert one < min(seconds(lambda: store.read(models)) for _ in range(5)) / 5


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
