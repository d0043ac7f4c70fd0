"""The text that `adopt` writes: a spec with the origin of every value, and how the old units make room. Pure."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from shlex import quote
from typing import Any

from ollamactl.adoption.entry import Adopted, Entry, quoted
from ollamactl.doctor import mend
from ollamactl.doctor.server import Server
from ollamactl.errors import Problem, Severity, listed
from ollamactl.model import Fleet, instance_name
from ollamactl.spec import starter

_BARE = re.compile(r"/[A-Za-z0-9_./@+-]+|(?!(?:true|false|null|yes|no|on|off|y|n)$)[a-z][a-z0-9_.-]*", re.IGNORECASE)
_COLUMN = 44
_DIFFERENT = """\
# What is different in a fleet: a server shows its declared models only, and cannot pull or delete them unless it has
# store: writable; it reaches no other machine unless it has egress: open; its user, home and sandbox are its own.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What is written, and what goes with it."""

    text: str
    take_over: tuple[str, ...]
    """What to type to move over, apply last."""
    go_back: tuple[str, ...]
    """What to type to have the old units again."""
    problems: tuple[Problem, ...]


def spec(adopted: Sequence[Adopted], servers: Sequence[Server]) -> Spec:
    """The whole of it."""
    take_over, go_back = tuple(_take_over(servers)), tuple(_go_back(servers))
    store = _store(adopted)
    binary = Counter(each.binary.value for each in adopted if each.binary).most_common(1)
    lines = [
        f"# Made by `ollamactl adopt` of {listed([each.unit for each in adopted])}: behind each value is its origin.",
        "#   ollamactl check fleet.yaml          is it right?",
        "#   ollamactl plan fleet.yaml           what would change on this host?",
        "# To move over; what a spec replaces is stopped and disabled right before its successor starts:",
        *(f"#   {command}" for command in take_over),
        "# To go back, to the old units as they are now:",
        *(f"#   {command}" for command in go_back),
        *_DIFFERENT.splitlines(),
        "version: 1",
        "",
        *_ollama(adopted, store, binary[0][0] if binary else ""),
        "instances:",
    ]
    for each in adopted:
        lines += _instance(each, binary[0][0] if binary else "", store)
    problems = tuple(_problems(adopted, store))
    return Spec(text="\n".join(lines).rstrip("\n") + "\n", take_over=take_over, go_back=go_back, problems=problems)


def data(each: Adopted) -> dict[str, Any]:
    """One server as JSON values; the values themselves are in the spec."""
    rows = [*([each.binary] if each.binary else []), *each.entries]
    return {
        "instance": each.name,
        "unit": each.unit,
        "values": [{"key": row.key, "from": row.where, "hidden": row.hidden} for row in rows],
        "left": [{"what": row.what, "from": row.where, "why": row.why} for row in each.left],
    }


def _store(adopted: Sequence[Adopted]) -> str:
    """A fleet has one store: the one with the most models."""
    usable = [each for each in adopted if each.store and starter.can_be_store(each.store)]
    return max(usable, key=lambda each: len(each.models)).store if usable else ""


def _ollama(adopted: Sequence[Adopted], store: str, binary: str) -> Iterator[str]:
    yield "ollama:"
    usual = Fleet()
    chosen = next((each.binary for each in adopted if each.binary and each.binary.value == binary), None)
    where = chosen.where if chosen else "where Ollama usually is: no unit says it plainly"
    yield _line("  ", "binary", _scalar(binary or usual.binary), where)
    home = next((each for each in adopted if each.store == store), None) if store else None
    where = f"{home.store_from} ({home.unit})" if home else "the usual one: no unit's could be taken"
    yield _line("  ", "models", _scalar(store or usual.models_dir), where)
    yield ""


def _instance(adopted: Adopted, binary: str, store: str) -> Iterator[str]:
    yield _line("  ", _scalar(adopted.name), "", adopted.unit)
    if adopted.models:
        where = f"all of {adopted.store}" + (
            "" if adopted.store == store else f", which is not the fleet's store, {store}"
        )
        yield _line("    ", "models", "", where)
        yield from (f"      - {quoted(model)}" for model in adopted.models)
    else:
        store = _plain(adopted.store) or "its store"
        yield f"    # models: [...]    none was found in {store}: write what it is to serve"
    if not instance_name(adopted.unit):
        yield _line("    ", "replaces", f"[{_scalar(adopted.unit)}]", "makes room for it; `rollback` brings it back")
    if adopted.binary and adopted.binary.value != binary:
        yield _line("    ", "binary", _scalar(adopted.binary.value), adopted.binary.where)
    for group, rows in groupby(sorted(adopted.entries, key=_group), key=_group):
        yield from _group_lines(group, list(rows))
    for left in adopted.left:
        yield f"    # not carried over: {_plain(left.what)} in {_plain(left.where)}: {_plain(left.why)}"
    yield ""


def _group(entry: Entry) -> str:
    return entry.key.partition(".")[0] if "." in entry.key else ""


def _group_lines(group: str, rows: Sequence[Entry]) -> Iterator[str]:
    if not group:
        yield from (_line("    ", row.key, row.value, row.where) for row in rows)
        return
    off = "# " if all(row.hidden for row in rows) else ""
    yield f"    {off}{group}:"
    for row in rows:
        name = row.key.partition(".")[2]
        if row.hidden:
            yield f"    #   {name}: its value is in {_plain(row.where)}; `ollamactl adopt --secrets` writes it"
        else:
            yield _line("      ", _scalar(name), row.value, row.where)


def _line(indent: str, key: str, value: str, where: str) -> str:
    return f"{f'{indent}{key}: {value}'.rstrip():<{_COLUMN}}  # {_plain(where)}"


def _take_over(servers: Sequence[Server]) -> Iterable[str]:
    """The spec replaces what it can; ollamactl's own names have to be free before."""
    systemctl, sudo = servers[0].systemctl, mend.sudo(servers[0])
    if moved := _in_the_way(servers):
        units = [quote(server.unit) for server in servers if instance_name(server.unit)]
        yield f"{systemctl} disable --now {' '.join(units)}"
        yield from (f"{sudo}mv {quote(path)} {quote(f'{path}.old')}" for path in moved)
        yield f"{systemctl} daemon-reload"
    yield f"{_ours(servers)} apply fleet.yaml"


def _go_back(servers: Sequence[Server]) -> Iterable[str]:
    systemctl, sudo = servers[0].systemctl, mend.sudo(servers[0])
    replaced = any(not instance_name(server.unit) for server in servers)
    yield f"{_ours(servers)} rollback{'' if replaced else ' 0'}"
    if moved := _in_the_way(servers):
        yield from (f"{sudo}mv {quote(f'{path}.old')} {quote(path)}" for path in moved)
        yield f"{systemctl} daemon-reload"
    for verb in ("enable --now", "enable", "start"):
        units = [quote(s.unit) for s in servers if instance_name(s.unit) and _state(s) == verb]
        if units:
            yield f"{systemctl} {verb} {' '.join(units)}"


def _ours(servers: Sequence[Server]) -> str:
    """How ollamactl is called for the same manager."""
    return "ollamactl --user" if servers[0].user_manager else "sudo ollamactl"


def _state(server: Server) -> str:
    if not server.settings.enabled:
        return "start"
    return "enable --now" if server.runs else "enable"


def _in_the_way(servers: Sequence[Server]) -> tuple[str, ...]:
    """Files of units that have the name of ollamactl's own: it replaces none, and drop-ins would go on to count."""
    ours = [server for server in servers if instance_name(server.unit)]
    return tuple(dict.fromkeys(path for server in ours for path in server.settings.files))


def _problems(adopted: Sequence[Adopted], store: str) -> Iterator[Problem]:
    for each in adopted:
        if each.store and store and each.store != store:
            yield Problem(
                path=f"instances.{each.name}.models",
                instance=each.name,
                message=f"its models are in {each.store}, and a fleet has one store, {store}",
                hint=f"sudo cp -an {quote(each.store)}/. {quote(store)}/",
                severity=Severity.WARNING,
            )
        if hidden := [row.key.partition(".")[2] for row in each.entries if row.hidden]:
            yield Problem(
                path=f"instances.{each.name}.secrets",
                instance=each.name,
                message=f"{listed(hidden)} {'is' if len(hidden) == 1 else 'are'} left out",
                hint="with the values, for your eyes only: (umask 077; sudo ollamactl adopt --secrets > fleet.yaml)",
                severity=Severity.NOTE,
            )


def _scalar(text: str) -> str:
    return text if _BARE.fullmatch(text) else quoted(text)


def _plain(text: str) -> str:
    return "".join(character for character in text if character.isprintable())
