"""One server that runs as an instance of a fleet: its values, and what is left behind. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence

from ollamactl.adoption import directives, settings, variables
from ollamactl.adoption.directives import Directive
from ollamactl.adoption.entry import Adopted, Entry, Left
from ollamactl.adoption.variables import Value
from ollamactl.doctor.host import STOCK
from ollamactl.doctor.server import Server
from ollamactl.errors import WrongValueError
from ollamactl.model import instance_name
from ollamactl.modelname import ModelName
from ollamactl.spec import checks, specvalue
from ollamactl.units.ollama_env import VARIABLES

_SPECIAL = {"localhost": ("127.0.0.0/8", "::1/128"), "any": ("any",), "link-local": ("169.254.0.0/16", "fe80::/64")}
"""systemd's own words for networks (systemd.resource-control(5)); `multicast` reaches nobody over TCP."""


def adopt(server: Server, models: Sequence[str], *, name: str, cards: int, secrets: bool = False) -> Adopted:
    """The instance that does what the server does."""
    texts = directives.read(server.texts)
    given = values(server, texts)
    found = [
        *variables.translate(given, allow=_allowed(server, texts), cards=cards, secrets=secrets),
        *settings.translate(server, texts),
        *_program(server, texts),
    ]
    entries = [each for each in found if isinstance(each, Entry)]
    store = given.get("OLLAMA_MODELS")
    told = f"OLLAMA_MODELS in {store.where}" if store and store.text else "the home of the user that it runs as"
    return Adopted(
        name=name,
        unit=server.unit,
        binary=next((each for each in entries if each.key == "binary"), None),
        models=tuple(models),
        store=server.store,
        store_from=told,
        entries=tuple(each for each in entries if each.key != "binary"),
        left=tuple(each for each in found if isinstance(each, Left)),
    )


def values(server: Server, texts: Sequence[Directive]) -> Mapping[str, Value]:
    """Its variables with file and line; those that a script may set are taken from the process."""
    found = {}
    for name, given in server.environment.given.items():
        where = directives.origin(name, texts, server.environment_files) or given.where
        found[name] = Value(text=given.value, where=where or "the manager's own environment", inherited=not where)
    if server.settings.wrapped:
        for name, text in (server.process.environment or {}).items():
            if name in VARIABLES and (name not in found or found[name].text != text):
                found[name] = Value(text=text, where=f"the running process {server.state.main_pid}")
    return found


def named(server: Server, models: Sequence[str], taken: set[str]) -> str:
    """A name for the instance that is not taken: the unit's own, or for Ollama's service its only model's."""
    own = instance_name(server.unit) or server.unit.removesuffix(".service").removeprefix("ollama-")
    if server.unit == STOCK and len(models) == 1:
        own = ModelName.parse(models[0]).model
    base = re.sub(r"[^A-Za-z0-9_.-]", "-", own).strip("_.-")[:60] or "ollama"
    base = base.replace(".", "-") if base.endswith(checks.UNIT_SUFFIXES) else base
    spellings = (base, *(f"{base}-{number}" for number in range(2, 1000)))
    name = next(each for each in spellings if each not in taken)
    taken.add(name)
    return name


def _program(server: Server, texts: Sequence[Directive]) -> Iterator[Entry | Left]:
    written = directives.last(texts, "ExecStart")
    where = written.place if written else server.unit
    if server.settings.wrapped or not server.settings.argv:
        why = "a script or a shell starts it; the new unit starts the program itself, so look what else that one does"
        yield Left(what="ExecStart=", where=where, why=why)
        return
    try:
        yield Entry(key="binary", value=specvalue.program(server.settings.binary), where=f"ExecStart= in {where}")
    except WrongValueError as error:
        yield Left(what="ExecStart=", where=where, why=f"{error}: {error.hint}")


def _allowed(server: Server, texts: Sequence[Directive]) -> Sequence[str] | None:
    """Whom the unit lets in; None where it lets in everybody."""
    if not server.settings.fenced:
        return None
    words = [word for each in texts if each.name == "IPAddressAllow" for word in each.value.split()]
    found: list[str] = []
    for word in words:
        for each in _SPECIAL.get(word, (word,)):
            try:
                found += specvalue.allow(each)
            except WrongValueError:
                continue
    return ("any",) if "any" in found else tuple(dict.fromkeys(found))
