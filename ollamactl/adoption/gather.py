"""Looks at the servers of a host and at their stores, and makes a spec of them; changes nothing."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from ollamactl.adoption import write
from ollamactl.adoption.adopted import adopt, named
from ollamactl.adoption.entry import Adopted
from ollamactl.doctor import gather
from ollamactl.errors import HostError, OllamactlError, Problem, Severity, SpecError, UsageError, listed
from ollamactl.host import observe, store
from ollamactl.spec import specfile

SUDO = "with all of it: sudo ollamactl adopt"


def spec(
    host: observe.Host, units: Collection[str] = (), *, secrets: bool = False
) -> tuple[write.Spec, tuple[Adopted, ...]]:
    """A spec of these units, or of all that run Ollama and are not ollamactl's.

    Raises HostError where there is none, UsageError for a unit that is none of them.
    """
    seen = gather.look(host)
    foreign = {server.unit: server for server in seen.servers if not server.ours}
    wanted = {unit if "." in unit else f"{unit}.service" for unit in units}
    if strange := sorted(wanted - foreign.keys()):
        known = f"those that do: {listed(list(foreign))}" if foreign else "no unit of this host does"
        raise UsageError(f"{listed(strange)} runs no Ollama that could be adopted", hint=known)
    servers = [server for server in foreign.values() if not wanted or server.unit in wanted]
    if not servers:
        hint = "write a first spec with: ollamactl init > fleet.yaml"
        raise HostError("no service here runs Ollama but ollamactl's own", hint=hint)
    taken: set[str] = set()
    problems = [Problem(message=words, hint=SUDO, severity=Severity.NOTE) for words in seen.unseen]
    adopted = []
    for server in servers:
        models: tuple[str, ...] = ()
        try:
            models = tuple(sorted(store.read(Path(server.store)))) if server.store else ()
        except OllamactlError as error:
            problems += [replace(each, severity=Severity.WARNING, path=server.unit) for each in error.problems]
        name = named(server, models, taken)
        adopted.append(adopt(server, models, name=name, cards=len(seen.cards), secrets=secrets))
    written = write.spec(adopted, servers)
    return replace(written, problems=(*problems, *written.problems, *_checked(written.text))), tuple(adopted)


def _checked(text: str) -> tuple[Problem, ...]:
    """What `check` would say against it: what runs may be wrong in ways that no fleet can be."""
    try:
        specfile.load(text.encode(), name="fleet.yaml")
    except SpecError as error:
        return error.problems
    return ()
