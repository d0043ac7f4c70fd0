"""Commands on the models of a host: models, prune."""

import click

from ollamactl.cli.common import Settings, command, older_option, wait_option
from ollamactl.errors import ExitCode, NotPermitted, UsageError, WrongValueError
from ollamactl.result import Result


@command
def models(settings: Settings) -> Result:
    """List models, who serves them, and which nobody does.

    Of the fleet's store and of others on this host; with -v digests are whole, as a spec takes them.
    """
    from ollamactl import inventory, stock

    stocks, problems = stock.read(settings.host())
    return Result(
        command="models",
        problems=problems,
        data={"stores": [inventory.data(each) for each in stocks]},
        text=inventory.table(stocks, verbose=settings.verbose, prune=settings.typed("prune")),
    )


@command
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only show what would go, and what stays for whom.")
@click.option("--keep", metavar="MODEL", multiple=True, help="Leave this model, too; may be repeated.")
@older_option
@wait_option
def prune(settings: Settings, yes: bool, dry_run: bool, keep: tuple[str, ...], older_than: float, wait: bool) -> Result:
    """Remove models that nobody needs from the fleet's store.

    That is what no instance, neither as installed nor by the spec, and no generation of the history has; and files that
    no model refers to. Shows it first, and asks. Nothing goes while another server uses the store.
    """
    from ollamactl import access, report
    from ollamactl import prune as pruning
    from ollamactl.output import Progress, ask
    from ollamactl.pruning import tell

    host = settings.host(running=True)
    if not dry_run:
        access.require_root(host, "prune")
    names = _names(keep)
    shown = pruning.look(host, keep=names, older=older_than)
    unasked = f"to do it without a question: {settings.typed('prune --yes')}"
    text = tell.text(shown.store, shown.choice)
    if shown.refused or dry_run or shown.choice.empty:
        code = ExitCode.FAILED if shown.refused else ExitCode.OK
        if shown.refused:
            text = report.refused(shown.problems, "FAILED: nothing was removed;")
        elif not shown.choice.empty:
            text = f"{tell.text(shown.store, shown.choice, kept=True)}\nNothing was removed; {unasked}"
        return _pruned(shown, text, code=code, changed=not shown.refused and not shown.choice.empty)
    if not yes and not (answer := ask(f"{text}\nRemove all of this?")):
        why = "there is no terminal to ask at" if answer is None else "it was not confirmed"
        raise NotPermitted(f"nothing was removed: {why}", hint=f"{unasked}; only to look: add --dry-run")
    with Progress(enabled=settings.output == "human" and not settings.quiet) as told:
        done = pruning.carry_out(host, shown, keep=names, older=older_than, wait=wait, tell=told)
    code = ExitCode.FAILED if done.refused else ExitCode.OK
    text = tell.text(done.store, done.choice, done=True)
    return _pruned(done, text, code=code, changed=not done.choice.empty)


def _names(keep: tuple[str, ...]) -> list[str]:
    from ollamactl.spec import specmodel

    try:
        return [specmodel.model(name) for name in keep]
    except WrongValueError as error:
        raise UsageError(str(error), hint=error.hint) from error


def _pruned(prune: "object", text: str, *, code: ExitCode, changed: bool) -> Result:
    from ollamactl import prune as pruning
    from ollamactl.pruning import tell

    assert isinstance(prune, pruning.Prune)  # noqa: S101 - tells the type without importing it above
    return Result(
        command="prune",
        exit_code=code,
        changed=changed,
        problems=prune.problems,
        data=tell.data(prune.store, prune.choice),
        text=text,
    )
