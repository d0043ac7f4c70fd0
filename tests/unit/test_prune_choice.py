"""What of a store may go."""

import json
from dataclasses import replace

import pytest

from ollamactl.model import Fleet, Instance, Store
from ollamactl.modelname import ModelName
from ollamactl.pruning import choice
from ollamactl.pruning.choice import Choice, Contents, Entry, Lying, Needs

HOUR = 3600.0
NOBODY = Needs()


def entry(name: str, *blobs: str) -> Entry:
    rows = [{"digest": f"sha256:{blob * 64}", "size": 1} for blob in blobs]
    data = json.dumps({"config": rows[0], "layers": rows[1:]}).encode()
    return Entry(path=ModelName.parse(name).manifest_path, data=data)


def lying(blob: str, *, age: float = 9 * HOUR, part: bool = False) -> Lying:
    return Lying(name=f"sha256-{blob * 64}{'-partial' if part else ''}", size=1, age=age, part=part)


def store(*entries: Entry, files: tuple[Lying, ...] = ()) -> Contents:
    return Contents(manifests=entries, files=files)


def chosen(contents: Contents, needs: Needs = NOBODY, *keep: str) -> tuple[list[str], list[str]]:
    found = choice.choose(contents, needs, keep=keep, older=HOUR)
    return [each.model for each in found.models], [file.name[7:8] for file in found.files]


A, B = entry("a", "0", "1"), entry("b", "0", "2")
FILES = (lying("0"), lying("1"), lying("2"), lying("3"))


def test_a_model_goes_with_what_only_it_refers_to() -> None:
    needs = Needs(models={"b:latest": "x serves it"})
    assert chosen(store(A, B, files=FILES), needs) == (["a:latest"], ["1", "3"])
    assert choice.choose(store(A, B), needs, older=HOUR).kept == (("b:latest", "x serves it"),)


def test_names_are_one_whatever_their_case() -> None:
    assert chosen(store(entry("Acme/A:X", "0")), Needs(models={"acme/a:x": "y serves it"})) == ([], [])


def test_what_a_view_or_a_generation_has_keeps_its_blobs_without_a_name() -> None:
    needs = Needs(models={"a:latest": "x serves it"}, manifests=(B.data,))
    assert chosen(store(A, files=FILES), needs) == ([], ["3"])
    assert chosen(store(A, files=FILES), Needs(manifests=(B.data,))) == (["a:latest"], ["1", "3"])


def test_files_are_left_while_somebody_may_be_making_them_but_not_those_of_a_model_that_goes() -> None:
    young = (replace(FILES[1], age=5.0), lying("3", age=5.0), lying("4", age=5.0, part=True), lying("5", part=True))
    assert chosen(store(A, files=young)) == (["a:latest"], ["1", "5"])


def test_whoever_asks_keeps_a_model() -> None:
    assert chosen(store(A, B, files=FILES), NOBODY, "a:latest") == (["b:latest"], ["2", "3"])


def test_a_store_that_is_served_whole_keeps_its_models() -> None:
    assert chosen(store(A, B, files=FILES), Needs(whole="x")) == ([], ["3"])


@pytest.mark.parametrize("strange", ["damaged", "a link"])
def test_a_manifest_that_nobody_can_read_keeps_everything(strange: str) -> None:
    other = Entry(path=ModelName.parse("c").manifest_path, strange=strange)
    assert chosen(store(A, B, other, files=FILES)) == ([], [])
    unlisted = Entry(path="registry.ollama.ai/library/c/.hidden", strange=strange)  # no model, to Ollama either
    assert chosen(store(A, unlisted, files=FILES)) == (["a:latest"], ["0", "1", "2", "3"])


def test_a_manifest_without_a_name_stays_and_keeps_its_blobs() -> None:
    nameless = replace(A, path="registry.ollama.ai/library/a/.tag")
    assert chosen(store(nameless, files=FILES)) == ([], ["2", "3"])


def test_who_needs_a_model_is_told_by_the_nearest() -> None:
    def fleet(*models: str, at: Store = Store.ISOLATED) -> Fleet:
        return Fleet(instances=(Instance(name="x", port=1, models=models, store=at),))

    needs = choice.needs(
        fleet("a:latest"),
        [b"view"],
        fleet("a:latest", "b:latest"),
        [(2, fleet("c:latest", at=Store.SHARED), [b"2"]), (3, fleet("b:latest", "c:latest"), [b"3"])],
    )
    assert needs == Needs(
        models={
            "a:latest": "x serves it",
            "b:latest": "x will serve it, by the spec",
            "c:latest": "generation 3 has it: ollamactl history show 3",
        },
        manifests=(b"view", b"3", b"2"),
    )
    assert choice.needs(fleet("a:latest", at=Store.SHARED), [], None, []).whole == "x"
    own = [("a:latest", "made by /M"), ("base:latest", "a:latest is made from it")]
    assert choice.needs(fleet("a:latest"), [], None, [], made=own).models == {
        "a:latest": "x serves it", "base:latest": "a:latest is made from it",
    }  # fmt: skip


def test_only_what_was_shown_goes() -> None:
    shown = Choice(models=(A,), files=(FILES[0], FILES[1]))
    now = Choice(models=(A, B), files=(FILES[1], replace(FILES[0], size=7), FILES[2]), kept=(("c", "d"),))
    assert choice.again(now, shown) == Choice(models=(A,), files=(FILES[1],), kept=(("c", "d"),))
    assert choice.again(now, Choice(models=(replace(A, data=b""),))).empty
