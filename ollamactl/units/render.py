"""From a fleet and its host's facts to every file that ollamactl installs, whole and in order; alone imports jinja2.

The template `ollama@.service` holds what all instances share with `hardening: strict`; the drop-in of an instance what
is its own, and takes back what its spec relaxes. For the user's own manager both are weaker: `lacks` says how.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ollamactl.facts import Facts, Manifest
from ollamactl.files import MARKER, VIEW_NOTE, File, FileKind
from ollamactl.model import (
    GATE_UNITS,
    HEAL_SERVICE,
    HEAL_TIMER,
    TARGET,
    TEMPLATE,
    Fleet,
    Instance,
    Store,
    gate_socket,
)
from ollamactl.modelname import ModelName
from ollamactl.units import changes, gateunits, healunits, record, secretfile, unitfile
from ollamactl.units.dropin import context

if TYPE_CHECKING:
    from jinja2 import Template

DROP_IN = "10-ollamactl.conf"
"""Sorts before an administrator's override.conf, which therefore wins."""

_TEMPLATES = Path(__file__).parents[1] / "templates"
_LACKS = (
    "no device fence (DeviceAllow=): its environment alone pins a server to its cards",
    "no address fence (IPAddressDeny=): `egress: closed` and `allow` are not enforced",
    "no user of its own (DynamicUser=): the servers and you can read, signal and trace each other",
    "no read-only system (ProtectSystem=, ProtectHome=): a server can write what you can write",
)


def render(fleet: Fleet, facts: Facts) -> tuple[File, ...]:
    """Every file of the fleet on this host, sorted by path; the same input gives the same bytes.

    `cardchecks` says beforehand what this host cannot do; models that the store lacks are left out.
    """
    layout = facts.layout
    shared = {
        "marker": MARKER,
        "user": layout.user,
        "record_section": record.SECTION,
        "systemctl": "systemctl --user" if layout.user else "systemctl",
    }
    template = _compiled(TEMPLATE).render(
        shared,
        binary=unitfile.escape_exec_path(fleet.binary),
        state_dir=layout.state_dir,
        lacks=lacks(facts),
    )
    files = [
        _text(f"{layout.unit_dir}/{TEMPLATE}", template, FileKind.TEMPLATE),
        _text(
            f"{layout.unit_dir}/{TARGET}",
            _compiled(TARGET).render(shared, record=record.fleet_line(fleet)),
            FileKind.TARGET,
        ),
    ]
    drop_in = _compiled(DROP_IN)
    for instance in fleet.instances:
        manifests = _manifests(instance, facts)
        text = drop_in.render(shared, preload_script=_preload(), **context(instance, fleet, facts))
        # The digest is of the finished text, so it takes its place afterwards
        digest = changes.restart_digest(template, text, [(each.path, each.digest) for each in manifests])
        text = text.replace(f"\nEnvironment={changes.CONFIG}=\n", f"\nEnvironment={changes.CONFIG}={digest}\n", 1)
        path = f"{layout.unit_dir}/{instance.unit}.d/{DROP_IN}"
        files.append(_text(path, text, FileKind.DROP_IN, instance.name))
        if instance.secrets:
            files.append(_secrets(instance, facts))
        if instance.store is Store.ISOLATED:
            shown = [*manifests, *_aliases(instance, facts)]
            files.extend(_view(instance, shown, f"{layout.views}/{instance.name}"))
    if fleet.health:
        words = {**shared, **healunits.context(fleet, fleet.health, facts)}
        for unit in (HEAL_SERVICE, HEAL_TIMER):
            path = f"{layout.unit_dir}/{unit}"
            files.append(_text(path, _compiled(unit).render(words), layout.kind(path)))
    files += _gate(fleet, facts, shared, files)
    return tuple(sorted(files, key=lambda file: file.path))


def _gate(fleet: Fleet, facts: Facts, shared: Mapping[str, object], files: Sequence[File]) -> Iterator[File]:
    """The sockets that systemd holds for those behind the gate, the gate itself, and its broker."""
    gated = [instance for instance in fleet.instances if instance.gated]
    for instance in gated:
        text = _compiled("ollama-gate.socket").render(shared, **gateunits.socket(instance))
        path = f"{facts.layout.unit_dir}/{gate_socket(instance.name)}"
        yield _text(path, text, FileKind.SOCKET, instance.name)
    if gated:
        words = {**shared, "state_dir": facts.layout.state_dir, **gateunits.service(fleet, facts, files)}
        for unit in GATE_UNITS:
            yield _text(f"{facts.layout.unit_dir}/{unit}", _compiled(unit).render(words), FileKind.GATE)


def lacks(facts: Facts) -> tuple[str, ...]:
    """What the user's own manager cannot enforce, a sentence each; nothing for the system's manager."""
    return _LACKS if facts.layout.user else ()


@lru_cache(maxsize=8)
def _compiled(name: str) -> "Template":
    import jinja2  # here, because --help and completion must not wait for it

    loader = jinja2.FileSystemLoader(_TEMPLATES)
    jinja = jinja2.Environment(  # noqa: S701  unit files know no HTML
        loader=loader,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return jinja.get_template(f"{name}.j2")


@lru_cache(maxsize=1)
def _preload() -> str:
    return unitfile.escape_script((_TEMPLATES / "preload.sh").read_text())


def _text(path: str, text: str, kind: FileKind, instance: str = "", mode: int = 0o644) -> File:
    return File(path=path, data=text.encode(), kind=kind, instance=instance, mode=mode)


def _manifests(instance: Instance, facts: Facts) -> list[Manifest]:
    if instance.store is not Store.ISOLATED:
        return []
    names = {name.short: name.manifest_path for name in map(ModelName.parse, instance.models)}
    found = ((path, facts.manifest(instance, name)) for name, path in names.items())
    return [replace(each, path=path) for path, each in found if each]


def _aliases(instance: Instance, facts: Facts) -> Iterator[Manifest]:
    """A server sees a name that is added at once, so the digest of its configuration leaves them out."""
    for alias, model in instance.aliases:
        if found := facts.manifest(instance, model):
            yield replace(found, path=ModelName.parse(alias).manifest_path)


def _view(instance: Instance, manifests: list[Manifest], folder: str) -> Iterator[File]:
    note = (
        f"{MARKER}\n# The models that {instance.name} serves: copies of the store's manifests. Edit the spec instead.\n"
    )
    yield _text(f"{folder}/{VIEW_NOTE}", note, FileKind.VIEW, instance.name)
    for each in manifests:
        yield File(path=f"{folder}/{each.path}", data=each.data, kind=FileKind.VIEW, instance=instance.name)


def _secrets(instance: Instance, facts: Facts) -> File:
    text = secretfile.text(instance, facts.salts[instance.name])
    path = f"{facts.layout.secrets}/{instance.name}.env"
    return _text(path, text, FileKind.SECRETS, instance.name, mode=0o600)
