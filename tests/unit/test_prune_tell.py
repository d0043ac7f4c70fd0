"""What prune says."""

import json

from ollamactl.modelname import ModelName
from ollamactl.pruning import tell
from ollamactl.pruning.choice import Choice, Entry, Lying


def entry(name: str, blob: str, size: int) -> Entry:
    data = json.dumps({"config": {"digest": f"sha256:{blob * 64}", "size": size}, "layers": []}).encode()
    return Entry(path=ModelName.parse(name).manifest_path, data=data)


def lying(blob: str, size: int, *, part: bool = False) -> Lying:
    return Lying(name=f"sha256-{blob * 64}{'-partial' if part else ''}", size=size, age=0, part=part)


CHOICE = Choice(
    models=(entry("qwen", "1", 4_700_000_000), entry("a", "2", 12_000)),
    files=(lying("1", 4_700_000_000), lying("3", 1_000_000), lying("4", 7, part=True), lying("5", 8, part=True)),
    kept=(("m:latest", "x serves it"),),
)


def test_each_model_and_every_kind_of_file_has_a_line() -> None:
    first, second = (each.digest[:12] for each in CHOICE.models)
    lines = [
        f"- qwen:latest  {first}  4.7 GB",
        f"- a:latest     {second}  12 KB",
        "- 1 file that no model refers to",
        "- 2 files of downloads that did not end",
        "4.7 GB in 4 files.",
    ]
    assert tell.text("/m", CHOICE).splitlines() == ["To be removed from /m:", *lines]
    assert tell.text("/m", CHOICE, done=True).splitlines() == ["Removed from /m:", *lines]
    assert tell.text("/m", CHOICE, kept=True).splitlines()[-3:] == ["", "Kept:", "- m:latest: x serves it"]


def test_nothing_is_said_to_be_nothing() -> None:
    assert tell.text("/m", Choice()) == "Nothing to remove from /m."
    assert tell.text("/m", Choice(), done=True) == "Nothing was removed from /m."
    assert tell.data("/m", Choice()) == {"store": "/m", "models": [], "blobs": [], "size": 0, "kept": []}
