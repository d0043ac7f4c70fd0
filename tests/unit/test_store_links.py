"""Links in a store that somebody other than root owns: they lead root nowhere that their maker could not go himself."""

import json
import os
from pathlib import Path

import pytest

from ollamactl.errors import HostError
from ollamactl.host import reach, store
from ollamactl.model import Fleet, Instance
from ollamactl.spec.declared import Declared

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="root alone can give files away")

OWNER, OTHER = 4711, 4712
MANIFEST = json.dumps({"config": {"digest": "sha256:" + "0" * 64, "size": 0}, "layers": []})
LLAMA = "manifests/registry.ollama.ai/library/llama3/latest"


def give(path: Path, owner: int = OWNER) -> Path:
    """The path, and all below it, to a user."""
    for each in (path, *path.rglob("*")):
        os.lchown(each, owner, owner)
    return path


def link(place: Path, target: Path, owner: int = OWNER) -> None:
    place.symlink_to(target)
    os.lchown(place, owner, owner)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A store of OWNER's with one model."""
    base = tmp_path / "models"
    (base / "blobs").mkdir(parents=True)
    (base / LLAMA).parent.mkdir(parents=True)
    (base / LLAMA).write_text(MANIFEST)
    return give(base)


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """What only root may read: a file that looks like a manifest, also by its place."""
    folder = tmp_path / "private"
    (folder / "a/b/c").mkdir(parents=True)
    (folder / "a/b/c/d").write_text(MANIFEST)
    (folder / "key").write_text(MANIFEST)
    folder.chmod(0o700)
    return folder


def problems(models: Path) -> list[str]:
    one = Declared(Fleet(instances=(Instance(name="a", port=1, models=("llama3:latest",)),)))
    return [str(problem) for problem in store.problems(models, store.read(models), one)]


def test_a_folder_that_its_owner_replaced_by_a_link_leads_root_nowhere(models: Path, private: Path) -> None:
    (models / "blobs").rmdir()
    link(models / "blobs", private)
    (models / LLAMA).unlink()
    link(models / LLAMA, private / "key")

    assert store.read(models) == {}
    assert (
        f"{models}/blobs is a link that its owner, not root, made to {private}, which is not theirs"
        in problems(models)[0]
    )


def test_nor_do_manifests_that_lie_elsewhere_by_the_name_of_a_model(models: Path, private: Path) -> None:
    (models / "manifests").rename(models / "old")
    link(models / "manifests", private)

    assert store.read(models) == {}
    assert "manifests is a link" in problems(models)[0]


def test_nor_does_a_link_in_place_of_the_store(models: Path, private: Path, tmp_path: Path) -> None:
    (private / "manifests").mkdir()
    (private / "a").rename(private / "manifests" / "a")
    link(tmp_path / "store", private)

    assert store.read(tmp_path / "store") == {}


def test_a_link_to_a_folder_of_its_makers_own_is_followed(models: Path, tmp_path: Path) -> None:
    (tmp_path / "big").mkdir()
    big = give(tmp_path / "big")
    (models / "manifests").rename(big / "manifests")
    link(models / "manifests", big / "manifests")

    assert list(store.read(models)) == ["llama3:latest"]


def test_so_is_one_that_root_made(models: Path, private: Path, tmp_path: Path) -> None:
    (models / "manifests").rename(private / "manifests")
    link(models / "manifests", private / "manifests", owner=0)

    assert list(store.read(models)) == ["llama3:latest"]


def test_a_file_that_only_another_may_read_is_not_copied_for_everybody(models: Path) -> None:
    """Who owns a folder may have moved into it what somebody else left in another one of his."""
    os.chown(models / LLAMA, OTHER, OTHER)
    (models / LLAMA).chmod(0o600)

    with pytest.raises(HostError, match="only its owner may read this manifest"):
        store.read(models)


def test_the_owners_own_may_be_closed(models: Path) -> None:
    (models / LLAMA).chmod(0o600)

    assert list(store.read(models)) == ["llama3:latest"]


def test_links_exchanged_while_root_reads_never_bring_another_file(models: Path, private: Path) -> None:
    """A race: the manifest and the folder of blobs, over and over, each what it should be, or not."""
    secret = MANIFEST.replace("0" * 64, "f" * 64)
    (private / "key").write_text(secret)
    (private / "a/b/c/d").write_text(secret)
    link(models / "evil", private / "key")
    link(models / "blobs2", private)
    stop = os.fork()
    if stop == 0:
        swap = [(models / LLAMA, models / "evil"), (models / "blobs", models / "blobs2")]
        while True:
            for one, other in swap:
                spare = one.rename(one.with_name("spare"))
                other.rename(one)
                spare.rename(other)
    try:
        for _ in range(3000):
            found = store.read(models)
            assert all(secret.encode() != each.data for each in found.values())
    finally:
        os.kill(stop, 9)
        os.waitpid(stop, 0)


def test_what_strays(models: Path, private: Path, tmp_path: Path) -> None:
    link(models / "up", private)
    link(models / "home", models / "blobs")
    link(tmp_path / "roots", private, owner=0)

    assert reach.astray(f"{models}/up/a") == f"{models}/up"
    assert [reach.astray(f"{tmp_path}/{name}") for name in ("models/home", "roots", "models", "missing")] == [""] * 4
