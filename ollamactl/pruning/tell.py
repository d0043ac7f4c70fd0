"""What goes of a store, or went, in words and as JSON. Pure."""

from collections.abc import Iterator
from typing import Any

from ollamactl.manifest import short
from ollamactl.pruning.choice import Choice, blobs
from ollamactl.quantity import shown_size
from ollamactl.report import plural


def text(store: str, choice: Choice, *, done: bool = False, kept: bool = False) -> str:
    """For people; with `kept` also what stays, and for whom."""
    lines = [f"Nothing {'was removed from' if done else 'to remove from'} {store}."]
    if not choice.empty:
        width = max((len(each.model) for each in choice.models), default=0)
        lines = [f"{'Removed from' if done else 'To be removed from'} {store}:"]
        lines += [f"- {e.model:<{width}}  {short(e.digest)}  {shown_size(e.size)}" for e in choice.models]
        lines += [f"- {words}" for words in _loose(choice)]
        lines.append(f"{shown_size(choice.freed)} in {plural(len(choice.files), 'file')}.")
    if kept and choice.kept:
        lines += ["", "Kept:", *(f"- {model}: {why}" for model, why in choice.kept)]
    return "\n".join(lines)


def _loose(choice: Choice) -> Iterator[str]:
    """Files that go with no model."""
    going = blobs(each.data for each in choice.models)
    parts = sum(file.part for file in choice.files)
    others = sum(not file.part and file.name.lower() not in going for file in choice.files)
    for count, what in ((others, "that no model refers to"), (parts, "of downloads that did not end")):
        if count:
            yield f"{plural(count, 'file')} {what}"


def data(store: str, choice: Choice) -> dict[str, Any]:
    """As JSON; sizes in bytes."""
    return {
        "store": store,
        "models": [{"name": each.model, "digest": each.digest, "size": each.size} for each in choice.models],
        "blobs": [{"name": file.name, "size": file.size, "part": file.part} for file in choice.files],
        "size": choice.freed,
        "kept": [{"name": model, "why": why} for model, why in choice.kept],
    }
