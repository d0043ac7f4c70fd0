"""Looks at the host once, changing nothing: units, sockets, cards, stores. What may not be seen is said."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ollamactl.doctor import beside, places, services
from ollamactl.doctor.host import Host
from ollamactl.doctor.server import Node, Server
from ollamactl.errors import NotPermitted, listed
from ollamactl.facts import Gpu, Vendor
from ollamactl.host import accounts, addresses, discover, gpus, listeners, observe
from ollamactl.proving import probe

_ANSWER_SECONDS = 2.0


def look(host: observe.Host) -> Host:
    """The whole reading. Raises HostError where no service manager answers."""
    units = services.read(host.manager)
    sockets = listeners.read()
    servers = tuple(_whole(server, units.servers, sockets) for server in units.servers)
    stores, closed = places.stores(servers)
    loose, orphans = beside.read(servers, user=host.user)
    cards = gpus.detect(host.root)
    return Host(
        servers=servers,
        masked=units.masked,
        broken=units.broken,
        loose=loose,
        orphans=orphans,
        cards=cards,
        card_problems=gpus.driver_problems(host.root),
        nodes=tuple(_nodes(cards)),
        addresses=addresses.own(),
        stores=stores,
        programs=discover.programs(),
        user_manager=host.user,
        unseen=tuple(_unseen(servers, closed)),
    )


def _whole(server: Server, every: Sequence[Server], sockets: Sequence[listeners.Listener]) -> Server:
    server = _with_account(server)
    server = _with_holder(server, every, sockets)
    server = places.with_places(server)
    if server.process.same_binary is False and server.address:
        inside = server.state.main_pid if server.settings.private_network else None
        return replace(server, process=replace(server.process, version=_version(*server.address, inside)))
    return server


def _with_account(server: Server) -> Server:
    settings = server.settings
    groups = {name: accounts.gid(name) for name in settings.groups}
    # A user that systemd makes has a name while it runs (nss-systemd(8)), and sees folders of its own
    found = accounts.account(settings.user) if settings.user and not settings.dynamic_user else None
    own: tuple[int, ...] = ()
    uid: int | None = None
    if server.user_manager:
        uid, own = os.getuid(), (os.getgid(), *os.getgroups())
    elif found:
        uid, own = found.uid, found.gids
    elif not settings.user and not settings.dynamic_user:
        uid, own = 0, (0,)
    # systemd passes over a home that is none (get_user_creds_clean), and nobody's is / to it
    usual = found.home if found and found.home != "/" and settings.user != "nobody" else ""
    given = server.environment.get("HOME") or usual
    dynamic = settings.dynamic_user  # it makes its user and its group itself
    return replace(
        server,
        uid=uid,
        gids=tuple(dict.fromkeys((*own, *(gid for gid in groups.values() if gid is not None)))),
        account_missing=bool(settings.user) and found is None and not dynamic,
        groups_missing=tuple(name for name, gid in groups.items() if gid is None and not dynamic),
        home=os.path.realpath(given) if given else None,
    )


def _with_holder(server: Server, every: Sequence[Server], sockets: Sequence[listeners.Listener]) -> Server:
    """Where only root may see who listens, it is the one that runs and is set to listen there."""
    if not server.address or server.settings.private_network:  # nobody else is in there
        return server
    found = observe.holder(sockets, *server.address, server.state)
    if found and found.pid is None:
        if server.runs:
            return server
        there = (each.unit for each in every if each.runs and each.address == server.address)
        found = replace(found, unit=next(there, ""))
    return replace(server, holder=found)


def _version(host: str, port: int, inside: int | None) -> str:
    try:
        with probe.Server(host, port, timeout=_ANSWER_SECONDS, inside=inside) as server:
            return server.version()
    except (probe.Unreachable, probe.Silent, probe.Strange, NotPermitted):
        return ""


def _nodes(cards: Sequence[Gpu]) -> Iterator[Node]:
    """The device nodes that servers open to use the cards, as far as they are there."""
    paths: list[str] = []
    for card in cards:
        if card.vendor is Vendor.NVIDIA:
            paths += ["/dev/nvidiactl", "/dev/nvidia-uvm", f"/dev/nvidia{card.minor}"]
        else:
            paths += ["/dev/kfd", *(f"/dev/dri/renderD{node.partition(':')[2]}" for node in card.nodes)]
    for path in dict.fromkeys(paths):
        if node := places.node(path):
            yield node


def _unseen(servers: Sequence[Server], closed: Sequence[str]) -> Iterator[str]:
    hidden = [s.unit for s in servers if s.state.main_pid and s.process.listens is None]
    if hidden:
        yield f"how {listed(hidden)} was started, which program file it runs and where it listens: only root may see"
    for server in servers:
        for file in server.environment_files:
            if file.text is None and not file.missing:
                yield f"{file.path}, which gives {server.unit} its variables: only root may read it"
    for path in closed:
        yield f"the models in {path}: only root may look there"
