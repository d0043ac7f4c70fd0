"""What registries have of models, as the program in the puller's unit tells it (pulling.asking); does it fit? Pure."""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ollamactl.errors import listed
from ollamactl.pulling.moment import Moment, Phase, PullError, Watch
from ollamactl.quantity import shown_size

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A model at its registry."""

    model: str
    digest: str
    """SHA-256 of its manifest, in hex."""
    blobs: tuple[tuple[str, int], ...]
    """Digest and bytes of each part."""


def offered(line: bytes) -> Offer | None:
    """A line that was told; None where the registry said nothing that helps: Ollama will tell why."""
    try:
        row = json.loads(line)
        blobs = tuple((str(digest), int(size)) for digest, size in row["blobs"])
        offer = Offer(model=str(row["model"]), digest=str(row["digest"]), blobs=blobs)
    except (ValueError, KeyError, TypeError):
        return None
    return offer if all(_DIGEST.fullmatch(digest) and size >= 0 for digest, size in blobs) else None


def check(offers: Iterable[Offer], *, lacks: Callable[[str, int], int], free: int, where: str, watch: Watch) -> None:
    """Tells how much of each model is to come, and raises PullError where that is more than the `free` bytes.

    `lacks` says how many bytes of a blob are not there yet; what several models share comes once.
    """
    rows, seen = [], set[str]()
    for offer in offers:
        new = {digest: size for digest, size in offer.blobs if digest not in seen}
        seen.update(new)
        if needed := sum(lacks(digest, size) for digest, size in new.items()):
            rows.append((offer.model, needed))
            watch(Moment(model=offer.model, phase=Phase.SIZE, total=needed))
    total = sum(needed for _, needed in rows)
    if total > free:
        raise does_not_fit([model for model, _ in rows], total, free, where)


def does_not_fit(models: Iterable[str], needed: int, free: int, where: str) -> PullError:
    """The disk is too small."""
    names = tuple(models)
    return PullError(
        f"{listed(names)} {'does' if len(names) == 1 else 'do'} not fit: {shown_size(needed)} are still to come, and "
        f"{where} has {shown_size(free)} free",
        hint=f"make room: df -h {where}",
    )
