"""Looks at the host once, changing nothing: units, sockets, cards, stores. What may not be seen is said."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ollamactl.doctor import services
from ollamactl.doctor.host import Host, Server
from ollamactl.errors import listed
from ollamactl.host import accounts, gpus, listeners, observe


def look(host: observe.Host) -> Host:
    """The whole reading. Raises HostError where no service manager answers."""
    servers, masked = services.read(host.manager)
    sockets = listeners.read()
    seen = tuple(_placed(_with_holder(server, servers, sockets)) for server in servers)
    return Host(
        servers=seen,
        masked=masked,
        cards=gpus.detect(host.root),
        user_manager=host.user,
        unseen=tuple(_unseen(seen)),
    )


def _with_holder(server: Server, all_of_them: Sequence[Server], sockets: Sequence[listeners.Listener]) -> Server:
    """Where only root may see who listens, it is the one that runs and is set to listen there."""
    if not server.address:
        return server
    found = observe.holder(sockets, *server.address, server.state)
    if found and found.pid is None:
        if server.runs:
            return server
        there = (each.unit for each in all_of_them if each.runs and each.address == server.address)
        found = replace(found, unit=next(there, ""))
    return replace(server, holder=found)


def _placed(server: Server) -> Server:
    """Where its home and its models are (os.UserHomeDir; envconfig.Models)."""
    environment, settings = server.environment, server.settings
    account = accounts.account(settings.user) if settings.user and not settings.dynamic_user else None
    given = environment.get("HOME") or (account.home if account else "")
    home = os.path.realpath(given) if given else None
    models = environment.get("OLLAMA_MODELS") or (f"{home}/.ollama/models" if home else "")
    known = environment.get("OLLAMA_MODELS") or environment.complete
    return replace(server, home=home, store=os.path.realpath(models) if models and known else "")


def _unseen(servers: Sequence[Server]) -> Iterator[str]:
    closed = [s.unit for s in servers if s.state.main_pid and s.process.environment is None]
    if closed:
        yield f"how {listed(closed)} was started, which program file it runs and where it listens: only root may see"
    for server in servers:
        for file in server.environment_files:
            if file.text is None and not file.missing:
                yield f"{file.path}, which gives {server.unit} its variables: only root may read it"
