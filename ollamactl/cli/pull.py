"""The commands that get models: pull, key."""

import click

from ollamactl.cli.common import Settings, command, timeout_option
from ollamactl.errors import ExitCode
from ollamactl.result import Result


@command
@click.argument("words", metavar="[SPEC] [NAME|MODEL]...", nargs=-1)
@timeout_option("Give a model up when not a byte has come for so long.", default="2m")
def pull(settings: Settings, words: tuple[str, ...], timeout: float) -> Result:
    """Pull models into the store.

    Those of the fleet; with NAME those of some instances; with MODEL any others.

    NAME is an instance and stands for its models; MODEL is any model (MODEL:latest, where an instance is called so). A
    first word that ends in .yaml, or is a path, is the spec; without one it is that of the installed fleet, or
    fleet.yaml as for apply. A newer version of a model takes effect with the next apply.
    """
    from ollamactl import access, pulled
    from ollamactl import pull as puller
    from ollamactl.output import Progress

    host = settings.host(running=True)
    access.require_root(host, "pull")
    fleet, rest = pulled.fleet(host, words)
    models = pulled.models(fleet, rest)
    shows = settings.output == "human" and not settings.quiet
    with Progress(enabled=shows, events=settings.output == "json") as tell:
        found = puller.pull(host, fleet, models, patience=timeout, watch=tell.watch, tell=tell)
    failed = any(each.problem for each in found)
    return Result(
        command="pull",
        exit_code=ExitCode.FAILED if failed else ExitCode.OK,
        changed=any(each.changed for each in found),
        problems=(*filter(None, (each.problem for each in found)), *pulled.notes(host, found, settings.typed("apply"))),
        data={"models": [pulled.data(each) for each in found]},
        text=pulled.text(found),
    )


@command
def key(settings: Settings) -> Result:
    """Print the key by which registries know this host.

    Its public half: tell it to your account at the registry, for private and gated models, and write
    `pull: {identity: true}` in the spec. The key is made where there is none yet.
    """
    from ollamactl import pull as puller
    from ollamactl import pulled
    from ollamactl.output import Progress

    host = settings.host(running=True)
    with Progress(enabled=settings.output == "human" and not settings.quiet) as tell:
        found, made = puller.key(host, pulled.installed(host), tell)
    data = {"public": found.public(), "path": found.path}
    return Result(command="key", changed=made, data=data, text=found.public())
