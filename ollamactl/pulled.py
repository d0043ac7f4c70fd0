"""What `pull` is about, and what it came to, in words and as JSON."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ollamactl.compiled import compile_installed, served
from ollamactl.errors import Problem, Severity, UsageError, listed
from ollamactl.host.observe import Host
from ollamactl.model import Fleet
from ollamactl.pull import Pulled
from ollamactl.pulling import choice
from ollamactl.pulling.recipe import read_recipe
from ollamactl.quantity import shown_size
from ollamactl.spec import source
from ollamactl.units import record


def fleet(host: Host, words: Sequence[str]) -> tuple[Fleet, Sequence[str]]:
    """The fleet that is meant, and the words that are left; without any spec only models can be named.

    Raises SpecError, and UsageError where nothing at all is meant.
    """
    from ollamactl.spec import specfile

    spec = words[0] if words and choice.is_spec(words[0]) else None
    rest = words[1:] if spec else words
    home = record.installed_source(host.files.managed(host.layout)) if spec is None else None
    try:
        text = source.read(spec or home or None)
    except UsageError:
        there = installed(host)
        if not rest and not there.instances:
            raise
        return there, rest
    return specfile.load(text.data, name=text.name, source=text.path).fleet, rest


def installed(host: Host) -> Fleet:
    """The fleet that is installed, or what every fleet begins with."""
    return compile_installed(host).fleet


def models(fleet: Fleet, words: Sequence[str]) -> tuple[str, ...]:
    """Those that the words mean, after those that they are made from; all of the spec's own, too, without words.

    Raises UsageError.
    """
    found = [*choice.models(fleet, words), *(model for model, _ in fleet.custom if not words)]
    own = dict(fleet.custom)
    recipes = [read_recipe(each, own[each], Path(fleet.models_dir), spec=fleet.source) for each in found if each in own]
    bases = [recipe.base.short for recipe in recipes if recipe.base and recipe.base.short not in own]
    pulled = [each for each in found if each not in own]
    return tuple(dict.fromkeys([*pulled, *bases, *(model for model in own if model in found)]))


def text(found: Iterable[Pulled]) -> str:
    """A line a model, and what it comes to."""
    rows = [(each.model, _words(each)) for each in found]
    width = max((len(model) for model, _ in rows), default=0)
    return "\n".join(f"{model:<{width}}  {words}" for model, words in rows)


def _words(pulled: Pulled) -> str:
    if pulled.problem:
        return "FAILED" + (f", still {pulled.before[:12]}" if pulled.before else "")
    if not pulled.changed:
        return f"{pulled.after[:12]}, up to date"
    was = f"{pulled.before[:12]} -> " if pulled.before else ""
    return f"{was}{pulled.after[:12]}, {shown_size(pulled.size)}"


def data(pulled: Pulled) -> dict[str, Any]:
    """A model as JSON."""
    return {
        "model": pulled.model,
        "ok": pulled.problem is None,
        "changed": pulled.changed,
        "before": pulled.before or None,
        "after": pulled.after or None,
        "size": pulled.size or None,
    }


def notes(host: Host, found: Iterable[Pulled], apply: str) -> Iterable[Problem]:
    """Who still serves an older version."""
    newer = {each.model: each.after for each in found if each.changed}
    if not newer:
        return
    compiled = compile_installed(host)
    for instance in compiled.fleet.instances:
        has = served(compiled.there, host.layout, instance.name)
        older = [model for model, digest in has.items() if newer.get(model, digest) != digest]
        if older:
            yield Problem(
                path=instance.unit,
                instance=instance.name,
                severity=Severity.NOTE,
                message=f"{instance.name} serves {listed(older)} as before",
                hint=f"to serve the new version: {apply}",
            )
