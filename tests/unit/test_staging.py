"""The folder beside the store: what the server sees there, what stays, and how a model moves over."""

# ruff: noqa: PTH208
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ollamactl.errors import HostError, OllamactlError
from ollamactl.modelname import ModelName
from ollamactl.pulling import staging
from ollamactl.pulling.staging import NAME, Staging

MODEL = ModelName.parse("reg:5000/acme/x:y")
OLD, NEW = b"old weights", b"new weights"


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def blob(folder: Path, data: bytes) -> Path:
    return folder / "blobs" / digest(data).replace(":", "-")


def manifest(*blobs: bytes) -> bytes:
    rows = [{"digest": digest(each), "size": len(each)} for each in blobs]
    return json.dumps({"config": rows[0], "layers": rows[1:]}).encode()


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A store with one blob."""
    models = tmp_path / "models"
    (models / "blobs").mkdir(parents=True)
    (models / "manifests").mkdir()
    blob(models, OLD).write_bytes(OLD)
    return models


@contextmanager
def opened(models: Path) -> Iterator[tuple[Staging, Path]]:
    with staging.opened(str(models), seen="/seen") as place:
        yield place, models / NAME / "models"


def wrote(inner: Path, data: bytes) -> None:
    """What the server leaves: a new blob and a manifest."""
    blob(inner, NEW).write_bytes(NEW)
    path = inner / "manifests" / MODEL.manifest_path
    path.parent.mkdir(parents=True)
    path.write_bytes(data)


def test_the_server_sees_each_blob_as_a_link_and_a_damaged_one_not_at_all(models: Path) -> None:
    with opened(models) as (place, inner):
        place.fill()
        assert str(blob(inner, OLD).readlink()) == f"/seen/{blob(models, OLD).name}"
        place.fill(damaged=[digest(OLD)])
        assert not blob(inner, OLD).is_symlink()
        assert [oct((models / NAME).stat().st_mode)[-3:], oct(inner.stat().st_mode)[-3:]] == ["700", "777"]


def test_a_store_that_is_not_there_is_made(tmp_path: Path) -> None:
    with opened(tmp_path / "a" / "models"):
        pass
    assert sorted(os.listdir(tmp_path / "a" / "models")) == [NAME, "blobs", "manifests"]


def test_what_came_with_another_content_than_its_digest_says_is_thrown_away(models: Path) -> None:
    data = manifest(OLD, NEW)
    with opened(models) as (place, inner):
        place.fill()
        wrote(inner, data)
        place.check(MODEL, staging.layers(data))
        blob(inner, NEW).write_bytes(NEW[::-1])
        with pytest.raises(HostError, match="came with another content than its digest says"):
            place.check(MODEL, staging.layers(data))
        assert not blob(inner, NEW).exists()


def test_what_ollama_itself_has_just_looked_at_is_not_read_again_but_what_it_passed_by_is(models: Path) -> None:
    data = manifest(OLD, NEW)
    with opened(models) as (place, inner):
        place.fill()
        passed = place.whole()
        wrote(inner, data)
        blob(inner, NEW).write_bytes(NEW[::-1])  # as nothing but a test would do it
        place.check(MODEL, staging.layers(data), passed=passed)
        left = place.whole()
    assert (list(passed), list(left)) == ([], [blob(models, NEW).name])
    with opened(models) as (place, inner):
        with pytest.raises(HostError, match="came with another content than its digest says"):
            place.check(MODEL, staging.layers(data), passed=place.whole())
        assert list(place.whole()) == []


def test_a_damaged_blob_of_the_store_is_named_with_what_removes_it(models: Path) -> None:
    data = manifest(OLD, NEW)
    blob(models, OLD).write_bytes(OLD[1:])
    with opened(models) as (place, inner):
        place.fill()
        wrote(inner, data)
        with pytest.raises(HostError, match="has 10 bytes instead of 11") as caught:
            place.check(MODEL, staging.layers(data))
    assert f"-name {blob(models, OLD).name} -delete" in caught.value.hint


def test_a_whole_model_moves_over_and_nothing_is_left(models: Path) -> None:
    data = manifest(OLD, NEW)
    with opened(models) as (place, inner):
        place.fill()
        wrote(inner, data)
        assert place.manifest(MODEL) == data
        taken = place.take(MODEL, data, staging.layers(data))
        place.tidy()
    assert (taken.size, blob(models, NEW).read_bytes()) == (len(OLD) + len(NEW), NEW)
    there = models / "manifests" / MODEL.manifest_path
    assert (there.read_bytes(), oct(there.stat().st_mode)[-3:]) == (data, "644")
    assert sorted(os.listdir(models)) == ["blobs", "manifests"]


@pytest.mark.parametrize("how", ["cut", "missing"])
def test_a_model_that_is_not_whole_does_not(models: Path, how: str) -> None:
    data = manifest(OLD, NEW)
    with opened(models) as (place, inner):
        place.fill()
        wrote(inner, data)
        blob(inner, NEW).write_bytes(b"new") if how == "cut" else blob(inner, NEW).unlink()
        with pytest.raises(OllamactlError):
            place.take(MODEL, data, staging.layers(data))
    assert (os.listdir(models / "manifests"), len(os.listdir(models / "blobs"))) == ([], 1)


def test_what_is_unfinished_stays_for_the_next_time_and_what_is_unsound_does_not(models: Path) -> None:
    with opened(models) as (place, inner):
        place.fill()
        (inner / "blobs" / "sha256-1-partial").touch(0o600)
        (inner / "blobs" / "sha256-1-partial-0").touch()
        blob(inner, NEW).write_bytes(NEW)
        unsound = blob(inner, b"other")
        unsound.write_bytes(b"not that")
        before = place.written_down()
        os.utime(inner / "blobs" / "sha256-1-partial-0", (1, 1))
        assert place.written_down() != before
        place.tidy()
    with opened(models) as (place, inner):
        place.fill()
        names = {blob(inner, NEW).name, blob(inner, OLD).name, "sha256-1-partial", "sha256-1-partial-0"}
        assert set(os.listdir(inner / "blobs")) == names
        assert oct((inner / "blobs" / "sha256-1-partial").stat().st_mode)[-3:] == "666"


def test_nobody_leads_it_elsewhere_by_links(models: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (models / NAME).symlink_to(other)
    with pytest.raises(HostError), opened(models):
        pass
    (models / NAME).unlink()
    with opened(models) as (place, inner):
        place.fill()
        wrote(inner, manifest(NEW))
        (models / "manifests" / "reg:5000").symlink_to(other)
        with pytest.raises(HostError):
            place.take(MODEL, manifest(NEW), staging.layers(manifest(NEW)))
        (inner / "manifests" / MODEL.manifest_path).unlink()
        (inner / "manifests" / MODEL.manifest_path).symlink_to("/etc/shadow")
        with pytest.raises(HostError):
            place.manifest(MODEL)
    assert os.listdir(other) == []


@pytest.mark.parametrize(
    "data", [b"x", b"{}", b'{"config": {"digest": "sha256:x", "size": 1}, "layers": []}', b'{"config": 1}']
)
def test_what_is_no_manifest_is_refused(data: bytes) -> None:
    with pytest.raises(HostError):
        staging.layers(data)


def test_a_model_to_make_another_one_from_is_shown(models: Path) -> None:
    with opened(models) as (place, inner):
        place.put(MODEL, b"{}")
        assert (inner / "manifests" / MODEL.manifest_path).read_bytes() == b"{}"


def test_what_a_model_is_made_of_is_the_servers_own_copy(models: Path, tmp_path: Path) -> None:
    weights, secret = tmp_path / "a.gguf", tmp_path / "secret"
    weights.write_bytes(b"GGUF weights")
    secret.write_bytes(b"root:x")
    with opened(models) as (place, inner):
        place.fill()
        place.bare()
        assert os.listdir(inner / "blobs") == []
        place.lend(digest(OLD), uid=os.getuid())
        assert (blob(inner, OLD).read_bytes(), blob(inner, OLD).is_symlink()) == (OLD, False)
        assert place.add(str(weights), uid=os.getuid(), others=True) == digest(b"GGUF weights")
        assert blob(inner, b"GGUF weights").read_bytes() == b"GGUF weights"
        with pytest.raises(HostError, match="is not a GGUF file"):
            place.add(str(secret), uid=os.getuid(), others=True)
        weights.chmod(0o600)
        with pytest.raises(HostError, match="only its owner may read it"):
            place.add(str(weights), uid=os.getuid(), others=True)
        assert place.add(str(weights), uid=os.getuid(), others=False)


def test_folders_that_a_store_lacks_are_its_owners(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    if not os.geteuid():
        os.chown(tmp_path / "models", 4711, 4711)
    with opened(tmp_path / "models"):
        (tmp_path / "models" / NAME).rename(tmp_path / "ours")
        owners = {path.stat().st_uid for path in (tmp_path / "models").iterdir()}
    assert owners == {(tmp_path / "models").stat().st_uid}


def test_what_of_a_blob_is_still_to_come(models: Path) -> None:
    with opened(models) as (place, inner):
        place.fill()
        assert place.lacks(digest(NEW), 1 << 20) == 1 << 20
        partial = blob(inner, NEW).with_name(f"{blob(inner, NEW).name}-partial")
        with partial.open("wb") as file:
            file.write(b"x" * (1 << 18))
            file.truncate(1 << 20)  # a hole, as Ollama leaves it
        assert place.lacks(digest(NEW), 1 << 20) == (1 << 20) - partial.stat().st_blocks * 512
        assert [place.lacks(digest(OLD), size) for size in (len(OLD), len(OLD) + 1)] == [0, len(OLD) + 1]
        wrote(inner, b"")
        assert place.lacks(digest(NEW), len(NEW)) == 0
