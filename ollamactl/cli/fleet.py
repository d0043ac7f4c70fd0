"""Commands on a spec: check, render, plan, apply, verify, destroy."""

from typing import TYPE_CHECKING, Any

import click

from ollamactl.cli.common import (
    Settings,
    command,
    idle_option,
    only_option,
    pull_option,
    replace_option,
    spec_argument,
    systemd_option,
    timeout_option,
    wait_option,
)
from ollamactl.errors import ExitCode, NotPermitted
from ollamactl.result import Result

if TYPE_CHECKING:
    from ollamactl.host.observe import Host


@command
@spec_argument
def check(settings: Settings, spec: str | None) -> Result:
    """Check a spec without looking at the host."""
    from ollamactl import report
    from ollamactl.spec import source, specfile

    text = source.read(spec)
    found = specfile.load(text.data, name=text.name, source=text.path)
    names = [instance.name for instance in found.fleet.instances]
    words = f"{text.name}: {report.plural(len(names), 'instance')}, no errors."
    return Result(command="check", problems=found.problems, data={"instances": names}, text=words)


@command
@spec_argument
@click.option("--diff", is_flag=True, help="Show how each differs from what is installed.")
@systemd_option("Render for this systemd instead of the running one.")
@only_option
def render(
    settings: Settings, spec: str | None, diff: bool, systemd_version: int | None, only: tuple[str, ...]
) -> Result:
    """Print the files that apply would install."""
    from ollamactl import operate, report, workflow
    from ollamactl.spec import source

    host = settings.host(systemd=systemd_version)
    if diff:
        planned = workflow.plan(host, source.read(spec), only=only, replacing=True)
        text = report.diff_text(planned.plan)
        changed = report.plan_data(planned.plan, diff=True)
        return Result(command="render", problems=planned.problems, data={"steps": changed}, text=text)
    files = operate.rendered(host, source.read(spec), only=only)
    return Result(command="render", data={"files": report.files_data(files)}, text=report.files_text(files))


@command
@spec_argument
@click.option("--diff", is_flag=True, help="Show each file's change.")
@click.option("--exit-code", is_flag=True, help="Exit with 3 when there is something to do.")
@click.option(
    "--as", "home", metavar="PATH", default="", help="Take SPEC for the one at PATH, which it is about to replace."
)
@replace_option
@systemd_option("With --root: the image's systemd; without it 252.")
@pull_option
@only_option
def plan(
    settings: Settings,
    spec: str | None,
    diff: bool,
    exit_code: bool,
    home: str,
    replace: bool,
    systemd_version: int | None,
    only: tuple[str, ...],
    pull: bool,
) -> Result:
    """Show what apply would do, step by step, and why."""
    host = settings.target(systemd_version)
    how = {"diff": diff, "exit_code": exit_code, "replace": replace, "pulling": pull}
    return _plan(host, "plan", spec, only=only, home=home, **how)


def _plan(
    host: "Host",
    name: str,
    spec: str | None,
    *,
    diff: bool,
    exit_code: bool,
    replace: bool,
    only: tuple[str, ...],
    pulling: bool,
    home: str = "",
) -> Result:
    from ollamactl import report, workflow
    from ollamactl.spec import source

    wanted = source.read(spec, home=home)
    planned = workflow.plan(host, wanted, only=only, replacing=replace, pulling=pulling)
    steps = planned.plan
    code = ExitCode.DRIFT if exit_code and steps.changes else ExitCode.OK
    text = report.plan_text(steps, diff=diff)
    if planned.errors:
        text += f"\n{report.refused(planned.problems, 'apply would refuse this:')}"
    return Result(
        command=name,
        exit_code=ExitCode.FAILED if planned.errors else code,
        changed=bool(steps.changes),
        problems=(*planned.problems, *workflow.cut_off(planned)),
        data={"steps": report.plan_data(steps, diff=diff)},
        text=text,
    )


@command
@spec_argument
@click.option("--dry-run", is_flag=True, help="Only show the plan.")
@click.option("--diff", is_flag=True, help="Show each file's change, too.")
@click.option("--load", is_flag=True, help="Also prove that every model loads, and where.")
@replace_option
@click.option("--keep-going", is_flag=True, help="Leave the new state also where its proof fails.")
@click.option(
    "--canary", metavar="NAME", default="", help="Change and prove this instance first; the rest if it holds."
)
@systemd_option("With --root: the image's systemd; without it 252.")
@timeout_option("How long servers may take to start, answer and, with --load, to load, all together.")
@idle_option
@wait_option
@pull_option
@only_option
def apply(
    settings: Settings,
    spec: str | None,
    dry_run: bool,
    diff: bool,
    replace: bool,
    systemd_version: int | None,
    **options: Any,
) -> Result:
    """Make the host match the spec, and prove it.

    Where a proof fails, what was changed is rolled back.
    """
    host = settings.target(systemd_version)
    if dry_run:
        only, pulling = options["only"], options["pull"]
        return _plan(host, "apply", spec, diff=diff, exit_code=False, replace=replace, only=only, pulling=pulling)
    from ollamactl import report, transaction, workflow
    from ollamactl.output import Progress
    from ollamactl.pull import PullsFailed
    from ollamactl.spec import source

    text = source.read(spec)
    try:
        with Progress(enabled=progress(settings), events=settings.output == "json") as tell:
            wanted = transaction.Options(replacing=replace, **options)
            applied = transaction.apply(host, text, wanted, tell, tell.watch)
    except workflow.NotReadyError as error:
        words = report.refused(error.problems, "FAILED: nothing was changed;")
        return Result(command="apply", exit_code=error.exit_code, problems=error.problems, text=words)
    except PullsFailed as error:
        words = report.refused(error.problems, "FAILED: the fleet was not changed;")
        return Result(
            command="apply", exit_code=error.exit_code, changed=error.changed, problems=error.problems, text=words
        )
    return applied_result("apply", applied, settings, diff=diff)


@command
@click.argument("spec", required=False, type=click.Path(dir_okay=False, readable=False, allow_dash=True))
@click.option("--load", is_flag=True, help="Load every model that is not loaded, and say where it landed.")
@timeout_option(
    "How long to wait for servers that do not answer and for loads, all together; without it 5m, and 5s for the "
    "answer of a server that has run for a while.",
    default=None,
)
@only_option
def verify(settings: Settings, spec: str | None, load: bool, timeout: float | None, only: tuple[str, ...]) -> Result:
    """Prove who answers on each port, and with which models.

    Exits with 3 where it is not the right server with the right models.

    Without SPEC it proves the fleet that is installed.
    """
    from ollamactl import operate
    from ollamactl.output import Progress
    from ollamactl.spec import source

    text = source.read(spec) if spec else None
    with Progress(enabled=progress(settings)) as tell:
        proved = operate.verify(settings.host(running=True), text, only=only, load=load, timeout=timeout, tell=tell)
    return applied_result("verify", proved, settings, failed=ExitCode.DRIFT)


@command
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only show the plan.")
@timeout_option("How long servers may take to stop, all together.")
@wait_option
def destroy(settings: Settings, yes: bool, dry_run: bool, timeout: float, wait: bool) -> Result:
    """Stop and remove the whole fleet; models stay."""
    from ollamactl import access, report, transaction, workflow
    from ollamactl.output import Progress, ask

    host = settings.host()
    if not dry_run:
        access.require_root(host, "destroy")
    plan = workflow.plan_destroy(host).plan
    unasked = f"to do it without a question: {settings.typed('destroy --yes')}"
    text = "No fleet is installed here."
    if plan.changes:
        stays = "models" if host.offline else "models and the history (ollamactl rollback)"
        homes = f"The servers' homes below {host.layout.instance_state} go too"
        text = f"{report.plan_text(plan)}\n{homes}; {stays} stay."
    if dry_run or not plan.changes:
        said = f"{text}\nNothing was changed; {unasked}" if plan.changes else text
        return Result(command="destroy", changed=bool(plan.changes), data={"steps": report.plan_data(plan)}, text=said)
    if not yes and not (answer := ask(f"{text}\nStop and remove all of this?")):
        why = "there is no terminal to ask at" if answer is None else "it was not confirmed"
        raise NotPermitted(f"nothing was destroyed: {why}", hint=f"{unasked}; only to look: add --dry-run")
    with Progress(enabled=progress(settings)) as tell:
        applied = transaction.destroy(host, transaction.Options(timeout=timeout, wait=wait), tell)
    return applied_result("destroy", applied, settings)


def progress(settings: Settings) -> bool:
    """Whether a person wants to see how it goes."""
    return settings.output == "human" and not settings.quiet


def applied_result(
    name: str, applied: "object", settings: Settings, *, diff: bool = False, failed: ExitCode = ExitCode.FAILED
) -> Result:
    """What a command that made or proved a fleet came to."""
    from ollamactl import report, workflow

    assert isinstance(applied, workflow.Applied)  # noqa: S101 - tells the type without importing it above
    outcome, undone, errors = applied.outcome, applied.undone, len(applied.planned.errors)
    diffs = [report.diff_text(applied.planned.plan)] if diff else []
    if name == "verify":
        text = report.proofs_text(outcome.proofs, verbose=settings.verbose, errors=errors)
    else:
        # What was undone is not the state any more.
        look = "" if undone else settings.look
        text = report.outcome_text(outcome, verbose=settings.verbose, look=look)
        text += f"\n{report.undone_text(name, undone.outcome)}" if undone else ""
    return Result(
        command=name,
        exit_code=ExitCode.INTERRUPTED if outcome.interrupted else failed if errors or not outcome.ok else ExitCode.OK,
        changed=outcome.changed,
        problems=applied.problems,
        data={
            "steps": report.plan_data(applied.planned.plan, diff=diff),
            "proofs": report.proof_data(outcome.proofs),
            **({"generation": applied.generation} if applied.generation else {}),
            **({"rollback": report.outcome_data(undone.planned.plan, undone.outcome)} if undone else {}),
        },
        text="\n".join(part for part in [*diffs, text] if part),
    )
