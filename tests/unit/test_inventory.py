"""Who has which version of a model."""

import json

import pytest

from ollamactl import inventory
from ollamactl.facts import Manifest
from ollamactl.inventory import Stock, Version
from ollamactl.model import Fleet, Instance, Store

A, B, C = "a" * 64, "b" * 64, "c" * 64


def version(model: str, digest: str, size: int = 5_000_000_000) -> Manifest:
    layer = {"digest": f"sha256:{digest}", "size": size - 1}
    data = json.dumps({"config": {**layer, "size": 1}, "layers": [layer]}).encode()
    return Manifest(model=model, path="", data=data, digest=digest)


def instance(name: str, *models: str, store: Store = Store.ISOLATED, fixed: str = "") -> Instance:
    digests = tuple((model, fixed) for model in models if fixed)
    return Instance(name=name, port=1, models=models, store=store, digests=digests)


def told(
    *instances: Instance, stored: tuple[Manifest, ...] = (), views: tuple[tuple[str, Manifest], ...] = ()
) -> list[str]:
    rows = inventory.of_fleet(Fleet(instances=instances), {each.model: each for each in stored}, views)
    text = inventory.table([Stock(path="/models", versions=rows, fleets=True)])
    return [" ".join(line.split()) for line in text.splitlines()[2:]]


def test_a_model_is_served_unused_or_both_as_its_versions_go() -> None:
    m, n = version("m:latest", A), version("n:latest", B, size=800)
    rows = told(instance("x", "m:latest"), instance("y", "m:latest"), stored=(m, n), views=(("x", m), ("y", m)))
    assert rows == ["m:latest aaaaaaaaaaaa 5.0 GB x, y", "n:latest bbbbbbbbbbbb 800 B nobody"]


def test_a_tag_that_moved_has_two_rows() -> None:
    old, new = version("m:latest", A), version("m:latest", B)
    rows = told(
        instance("x", "m:latest"), instance("y", "m:latest", fixed=A), stored=(new,), views=(("x", old), ("y", old))
    )
    assert rows == [
        "m:latest bbbbbbbbbbbb 5.0 GB x with the next apply",
        "m:latest aaaaaaaaaaaa 5.0 GB x, y; no longer in the store",
    ]


def test_what_is_declared_and_nowhere_is_told() -> None:
    m = version("m:latest", A)
    assert told(instance("x", "m:latest"), instance("y", "n:latest")) == [
        "m:latest - - missing; declared by x", "n:latest - - missing; declared by y",
    ]  # fmt: skip
    assert told(instance("x", "m:latest", fixed=C), stored=(m,), views=(("x", m),)) == [
        "m:latest aaaaaaaaaaaa 5.0 GB x", "m:latest cccccccccccc - x with the next apply",
    ]  # fmt: skip


def test_who_loses_a_model_of_the_store_keeps_that_of_its_view() -> None:
    m = version("m:latest", A)
    assert told(instance("x", "m:latest"), views=(("x", m),)) == [
        "m:latest aaaaaaaaaaaa 5.0 GB x; no longer in the store"
    ]


@pytest.mark.parametrize("store", [Store.SHARED, Store.WRITABLE])
def test_who_sees_the_whole_store_serves_all_of_it(store: Store) -> None:
    m, n = version("m:latest", A), version("n:latest", B)
    rows = told(instance("x", "m:latest", store=store), instance("y", "n:latest"), stored=(m, n), views=(("y", n),))
    assert rows == ["m:latest aaaaaaaaaaaa 5.0 GB x", "n:latest bbbbbbbbbbbb 5.0 GB x, y"]


def test_nobody_knows_who_uses_another_store() -> None:
    damaged = Manifest(model="m:latest", path="", data=b"{", digest=A)
    rows = inventory.stored({"m:latest": damaged})
    stock = Stock(path="/other", versions=rows, fleets=False, size=12_300_000)
    lines = inventory.table([stock], verbose=True).splitlines()
    assert (lines[0], lines[2].split()) == (
        "/other: another store, 12 MB on disk", ["m:latest", f"sha256:{A}", "-", "-"]
    )  # fmt: skip
    assert inventory.data(stock)["models"][0]["unused"] is None
    assert inventory.table([Stock(path="/none", versions=(), fleets=True)]) == "/none: the fleet's store, no models"
    assert Version(model="m", digest=A, stored=True).unused


def test_who_has_models_that_nobody_uses_is_told_of_prune() -> None:
    rows = inventory.stored({"m:latest": version("m:latest", A)})
    words = "1 of the fleet's store is unused; what may go: sudo ollamactl prune"
    ours, other = (Stock(path="/m", versions=rows, fleets=fleets) for fleets in (True, False))
    assert inventory.table([ours], prune="sudo ollamactl prune").splitlines()[-1] == words
    assert "unused" not in inventory.table([other], prune="sudo ollamactl prune")


def test_what_the_specs_own_models_are_made_from_is_not_unused() -> None:
    rows = inventory.of_fleet(Fleet(), {"m:latest": version("m:latest", A)}, [], {"m:latest": "x is made from it"})
    text = inventory.table([Stock(path="/m", versions=rows, fleets=True)], prune="prune")
    assert text.splitlines()[-1].split(maxsplit=4)[4] == "nobody; x is made from it"
    assert not rows[0].unused
