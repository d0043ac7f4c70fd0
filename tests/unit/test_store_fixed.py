"""Models that are fixed to a digest, against a store whose tags move."""

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from ollamactl.host import store
from ollamactl.modelname import ModelName
from ollamactl.spec import specfile
from ollamactl.spec.declared import Declared

LLAMA, CODER = "llama3:latest", "acme/coder:7b"


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A store of two models, open to others up to pytest's own folders."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and str(folder) not in ("/", "/tmp"):
            folder.chmod(0o755)
    base = tmp_path / "models"
    (base / "blobs").mkdir(parents=True)
    for name in (LLAMA, CODER):
        digest = hashlib.sha256(name.encode()).hexdigest()
        (base / "blobs" / f"sha256-{digest}").write_text(name)
        layer = {"digest": f"sha256:{digest}", "size": len(name)}
        path = base / "manifests" / ModelName.parse(name).manifest_path
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"config": layer, "layers": []}))
    return base


def fixed(models: Path, digest: str, *others: str, store: str = "isolated") -> Declared:
    more = "".join(f"  {name}: {{port: 2001, models: [{LLAMA}]}}\n" for name in others)
    first = f"  a: {{port: 2000, store: {store}, models: ['{LLAMA}@sha256:{digest}']}}\n"
    spec = specfile.load(f"version: 1\ninstances:\n{first}{more}".encode(), name="f")
    return Declared(spec.fleet, spec.locations)


def test_a_model_that_is_fixed_to_what_the_store_has_is_like_any_other(models: Path) -> None:
    found = store.read(models)
    assert store.problems(models, found, fixed(models, found[LLAMA].digest)) == ()


@pytest.mark.parametrize("others", [[], ["b"]])
def test_a_tag_that_moved_is_told_where_it_is_fixed(models: Path, others: list[str]) -> None:
    found = store.read(models)
    (told,) = store.problems(models, found, fixed(models, "ab" * 32, *others))
    now = found[LLAMA].digest
    assert told.message == (
        f"{LLAMA} is fixed to abababababab, and the store {models} has {now[:12]} under that name now"
    )
    assert told.hint == f"to take the new one: {LLAMA}@sha256:{now}; no registry gives the old one by its digest"
    assert (told.severity, told.instance, told.path) == ("error", "a", "instances.a.models[0]")
    assert told.location


@pytest.mark.parametrize("there", [True, False])
def test_a_view_that_has_what_a_model_is_fixed_to_is_enough(models: Path, there: bool) -> None:
    found = dict(store.read(models))
    old = replace(found[CODER], digest="ab" * 32)
    if not there:
        del found[LLAMA]
    (told,) = store.problems(models, found, fixed(models, old.digest), kept={old.digest: old})
    now = f"has {found[LLAMA].digest[:12]} under that name now" if there else "has that name no more"
    words = f"{LLAMA} is fixed to abababababab, and the store {models} {now}"
    assert told.message == f"{words}; a keeps the fixed one"
    assert told.severity == "warning"
    (told,) = store.problems(models, found, fixed(models, old.digest, store="shared"), kept={old.digest: old})
    assert told.severity == "error"


def test_parts_of_a_kept_version_are_looked_at_too(models: Path) -> None:
    found = store.read(models)
    data = found[LLAMA].data.replace(hashlib.sha256(LLAMA.encode()).hexdigest().encode(), b"0" * 64)
    old = replace(found[LLAMA], data=data, digest="ab" * 32)
    told = store.problems(models, found, fixed(models, old.digest), kept={old.digest: old})
    assert [(each.severity, each.message) for each in told] == [
        ("warning", told[0].message),
        ("error", f"a part of {LLAMA} is missing, so it can't be loaded"),
    ]
