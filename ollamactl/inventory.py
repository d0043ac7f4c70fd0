"""Which versions of which models there are, in stores and in servers' views, and who has them. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from ollamactl import manifest
from ollamactl.facts import Manifest
from ollamactl.model import Fleet, Instance, Store
from ollamactl.quantity import shown_size


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version of a model."""

    model: str
    digest: str
    """In hex; empty where there is none of a model that somebody declares."""
    size: int | None = None
    """Bytes of its parts, which other models may share; None where its manifest is damaged."""
    stored: bool = False
    """Whether the store has it; else a server's view alone, or nobody."""
    instances: tuple[str, ...] = ()
    """Who serves it, or would if started."""
    aliases: tuple[str, ...] = ()
    """Other names under which some of them serve it."""
    waiting: tuple[str, ...] = ()
    """Who declares it, and gets it with the next apply."""
    made: str = ""
    """What of the spec's own it is, or is made from, in words."""

    @property
    def unused(self) -> bool:
        """Whether the store has it for nobody of the fleet."""
        return self.stored and not self.instances and not self.waiting and not self.made


@dataclass(frozen=True, slots=True, kw_only=True)
class Stock:
    """One store."""

    path: str
    versions: tuple[Version, ...]
    fleets: bool
    """Whether it is the fleet's: of another one nobody knows here who uses it."""
    size: int | None = None
    """Bytes of all its blobs; None where the caller may not look."""


Views = Iterable[tuple[str, Manifest]]
"""Each instance with each model that it sees."""


def stored(manifests: Mapping[str, Manifest]) -> tuple[Version, ...]:
    """The versions that a store has."""
    return tuple(_version(manifests[name], stored=True) for name in sorted(manifests))


def of_fleet(
    fleet: Fleet, manifests: Mapping[str, Manifest], views: Views, made: Mapping[str, str] = MappingProxyType({})
) -> tuple[Version, ...]:
    """The versions that the fleet's store has, its servers see or its instances declare, by name.

    `made` says of models what the spec's own ones have to do with them.
    """
    found = {(each.model, each.digest): each for each in stored(manifests)}
    seen: dict[str, dict[str, str]] = {}
    also: dict[tuple[str, str], list[str]] = {}
    other_names = {instance.name: dict(instance.aliases) for instance in fleet.instances}
    for name, each in views:
        if alias_of := other_names.get(name, {}).get(each.model):
            also.setdefault((alias_of, each.digest), []).append(each.model)
            continue
        seen.setdefault(name, {})[each.model] = each.digest
        found.setdefault((each.model, each.digest), _version(each, stored=False))
    for instance in fleet.instances:
        for key, waits in _has(instance, manifests, seen.get(instance.name, {})):
            row = found.get(key) or Version(model=key[0], digest=key[1])
            if waits:
                found[key] = replace(row, waiting=(*row.waiting, instance.name))
            else:
                found[key] = replace(row, instances=(*row.instances, instance.name))
    for key, row in found.items():
        if row.stored and (words := made.get(key[0])):
            found[key] = replace(row, made=words)
    for key, aliases in also.items():
        if key in found:
            found[key] = replace(found[key], aliases=tuple(sorted(set(aliases))))
    return tuple(found[key] for key in sorted(found, key=lambda key: (key[0], not found[key].stored, key[1])))


def _version(each: Manifest, *, stored: bool) -> Version:
    parts = manifest.layers(each.data)
    size = None if parts is None else sum(size for _, size in parts)
    return Version(model=each.model, digest=each.digest, size=size, stored=stored)


def _has(
    instance: Instance, manifests: Mapping[str, Manifest], view: Mapping[str, str]
) -> Iterable[tuple[tuple[str, str], bool]]:
    """Model and digest of all that an instance serves, or (True) will have."""
    if instance.store is not Store.ISOLATED:
        view = {name: each.digest for name, each in manifests.items()}
    for pair in view.items():
        yield pair, False
    fixed = dict(instance.digests)
    for model in instance.models:
        there = manifests[model].digest if model in manifests else ""
        wanted = fixed.get(model, there)
        if wanted != view.get(model) and (wanted or model not in view):
            yield (model, wanted), True


_HEAD = ("MODEL", "DIGEST", "SIZE", "SERVED BY")


def table(stocks: Sequence[Stock], *, verbose: bool = False, prune: str = "") -> str:
    """A block a store; `verbose` writes digests as a spec takes them, `prune` is the command that removes models."""
    blocks = [_block(stock, verbose) for stock in stocks]
    unused = sum(row.unused for stock in stocks if stock.fleets for row in stock.versions)
    if unused and prune:
        blocks.append(f"{unused} of the fleet's store {'is' if unused == 1 else 'are'} unused; what may go: {prune}")
    return "\n\n".join(blocks)


def _block(stock: Stock, verbose: bool) -> str:
    what = "the fleet's store" if stock.fleets else "another store"
    size = f", {shown_size(stock.size)} on disk" if stock.size is not None else ""
    head = f"{stock.path}: {what}{size}"
    if not stock.versions:
        return f"{head}, no models"
    cells = [_HEAD, *(_cells(row, stock.fleets, verbose) for row in stock.versions)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEAD))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    return "\n".join([head, *lines])


def _cells(row: Version, fleets: bool, verbose: bool) -> tuple[str, ...]:
    digest = f"sha256:{row.digest}" if verbose and row.digest else manifest.short(row.digest)
    size = "-" if row.size is None else shown_size(row.size)
    return row.model, digest or "-", size, _served(row) if fleets else "-"


def _served(row: Version) -> str:
    parts = [", ".join(row.instances)] if row.instances else []
    parts += [f"also as {', '.join(row.aliases)}"] if row.aliases else []
    if row.waiting and row.digest:
        parts.append(f"{', '.join(row.waiting)} with the next apply")
    elif row.waiting:
        parts.append(f"missing; declared by {', '.join(row.waiting)}")
    elif not row.stored:
        parts.append("no longer in the store")
    if row.made and not row.instances:
        parts.append(f"nobody; {row.made}")
    return "; ".join(parts) or "nobody"


def data(stock: Stock) -> dict[str, Any]:
    """A store as JSON; sizes in bytes."""
    return {
        "path": stock.path,
        "fleet": stock.fleets,
        "size": stock.size,
        "models": [
            {
                "name": row.model,
                "digest": row.digest or None,
                "size": row.size,
                "stored": row.stored,
                "instances": list(row.instances),
                "aliases": list(row.aliases),
                "waiting": list(row.waiting),
                "made": row.made or None,
                "unused": row.unused if stock.fleets else None,
            }
            for row in stock.versions
        ],
    }
