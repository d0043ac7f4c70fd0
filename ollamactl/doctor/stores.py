"""Model stores: shared by servers that prune, out of reach, damaged, or lying where nobody looks. Pure."""

from collections.abc import Iterator

from ollamactl.doctor import mend, rights
from ollamactl.doctor.finding import Finding, Mend, Trap
from ollamactl.doctor.host import Host, Store
from ollamactl.doctor.server import Server
from ollamactl.errors import Severity, listed
from ollamactl.quantity import format_size
from ollamactl.units import envconfig

_HOMES = ("/home", "/root", "/run/user")
_TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108 - names of what PrivateTmp= hides


def findings(host: Host) -> Iterator[Finding]:
    """Every trap of this kind."""
    for server in host.servers:
        yield from _prunes(server, host)
        yield from _closed(server)
        yield from _hidden(server)
    served = {server.store for server in host.servers if server.store}
    for store in host.stores:
        if store.path in served:
            yield from _partial(store, host)
            yield from _damaged(store, host)
        elif served:
            yield from _forgotten(store, host, served)
    yield from _twice([store for store in host.stores if store.path in served])


def _prunes(server: Server, host: Host) -> Iterator[Finding]:
    """At its start, and after a pull, a server deletes the blobs that no manifest names (PruneLayers)."""
    others = [other.unit for other in host.on_store(server.store) if other is not server] if server.store else []
    value = server.environment.get("OLLAMA_NOPRUNE")
    if not others or envconfig.truth(value) or not (value or server.environment.lacks("OLLAMA_NOPRUNE")):
        return
    are = "is" if len(others) == 1 else "are"
    yield Finding(
        trap=Trap.PRUNES_SHARED_STORE,
        severity=Severity.ERROR,
        unit=server.unit,
        path=server.store,
        message=f"each start of it may delete what {listed(others)} {are} pulling: they share a store, and it prunes",
        evidence=(server.environment.told("OLLAMA_NOPRUNE"), f"{server.store} is also the store of {listed(others)}"),
        mend=mend.assign(server, "OLLAMA_NOPRUNE", "1"),
    )


def _closed(server: Server) -> Iterator[Finding]:
    if server.ours or server.models is None or server.account_missing:
        return
    obstacle = rights.obstacle(server.models, server, rights.READ)
    if obstacle is None:
        return
    user, path = server.settings.user or "its user", mend.quoted(server.store)
    what = "read its model store" if server.models.there else "make its model store"
    if server.models.there:
        commands = f"`{mend.sudo(server)}chown -R {user} {path}`"
    else:
        commands = f"`{mend.sudo(server)}install -d -o {user} {path}`"
    if obstacle.path != server.store and server.models.there:
        commands = f"`{mend.sudo(server)}chmod o+x {mend.quoted(obstacle.path)}`"
    yield Finding(
        trap=Trap.STORE_CLOSED,
        severity=Severity.ERROR,
        unit=server.unit,
        path=server.store,
        message=f"{user} may not {what} {server.store}",
        evidence=(rights.words(obstacle),),
        mend=Mend(f"{commands}, then {mend.restart(server)}"),
    )


def _hidden(server: Server) -> Iterator[Finding]:
    """What a unit's own /home or /tmp covers, unless it is bound in."""
    settings = server.settings
    bound = (_below(server.store, (path,)) or _below(path, (server.store,)) for path in settings.binds)
    if not server.store or any(bound):
        return
    if settings.protect_home in ("yes", "tmpfs") and _below(server.store, _HOMES):
        setting, off = f"ProtectHome={settings.protect_home}", "ProtectHome=no"
    elif settings.private_tmp and _below(server.store, _TEMPORARY):
        setting, off = "PrivateTmp=yes", "PrivateTmp=no"
    else:
        return
    yield Finding(
        trap=Trap.STORE_HIDDEN,
        severity=Severity.ERROR,
        unit=server.unit,
        path=server.store,
        message=f"its unit hides its model store {server.store} from it",
        evidence=(f"{setting}, and no BindPaths= for {server.store}",),
        mend=mend.edit(server, f"[Service]\n{off}\n"),
    )


def _below(path: str, folders: tuple[str, ...]) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


def _partial(store: Store, host: Host) -> Iterator[Finding]:
    """A start deletes them, unless OLLAMA_NOPRUNE is set; then they stay for ever."""
    if store.partial:
        yield Finding(
            trap=Trap.PARTIAL_DOWNLOADS,
            path=store.path,
            message="parts of downloads lie in the store that nobody has gone on with for an hour",
            evidence=(f"{store.partial} files, {_gib(store.partial_size)}: {store.path}/blobs/*-partial*",),
            mend=Mend(
                f"`{host.sudo}find {mend.quoted(store.path)}/blobs -name '*-partial*' -mmin +60 -delete`; "
                "or pull those models again, which goes on where it was"
            ),
        )


def _gib(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB" if size >= 1 << 27 else f"{format_size(size)} bytes"


def _damaged(store: Store, host: Host) -> Iterator[Finding]:
    servers = ", ".join(server.unit for server in host.on_store(store.path))
    for problem in store.damage:
        yield Finding(
            trap=Trap.MODEL_DAMAGED,
            severity=Severity.ERROR,
            path=problem.path,
            message=problem.message,
            evidence=(f"{problem.path}, of the store of {servers}",),
            mend=Mend(f"`{host.sudo}rm -f {mend.quoted(problem.path)}`, then pull that model again: ollama pull"),
        )


def _forgotten(store: Store, host: Host, served: set[str]) -> Iterator[Finding]:
    """Typically what a user pulled with a server by hand, or what the official service had."""
    if not store.models:
        return
    main = max(served, key=lambda path: len(host.on_store(path)))
    source, target = mend.quoted(store.path), mend.quoted(main)
    known = {other.path: other.models for other in host.stores}.get(main, {})
    new = [model for model, digest in store.models.items() if known.get(model) != digest]
    if new:
        merge = f"`{host.sudo}cp -an {source}/. {target}/`, `{host.sudo}chown -R --reference={target} {target}`"
        hint = f"to have them served: {merge}; then look with: ollama list; and remove {store.path}"
    else:
        hint = f"{main} has all of them, so: `{host.sudo}rm -r {source}`"
    yield Finding(
        trap=Trap.TWO_STORES,
        path=store.path,
        message="models lie in a store that no server serves"
        + ("" if new else ", and in another that one does: they take their room twice"),
        evidence=(f"{store.path} has {listed(sorted(store.models))}", f"served: {', '.join(sorted(served))}"),
        mend=Mend(hint),
    )


def _twice(stores: list[Store]) -> Iterator[Finding]:
    for at, store in enumerate(stores):
        for other in stores[:at]:
            both = sorted(model for model, digest in store.models.items() if other.models.get(model) == digest)
            if both:
                yield Finding(
                    trap=Trap.TWO_STORES,
                    path=store.path,
                    message=f"{listed(both)} lie in two stores, each for servers of its own, and take their room twice",
                    evidence=(store.path, other.path),
                    mend=Mend("have the servers share one store (OLLAMA_MODELS), each with OLLAMA_NOPRUNE=1"),
                )
