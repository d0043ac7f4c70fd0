"""Commands on generations: history, rollback."""

import dataclasses
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from ollamactl.cli.common import Settings, command, idle_option, timeout_option, wait_option
from ollamactl.errors import ExitCode, Problem, Severity, UsageError
from ollamactl.result import Result

if TYPE_CHECKING:
    from ollamactl.host.observe import Host


@command
@click.argument("verb", required=False, type=click.Choice(["show"]))
@click.argument("number", required=False, type=click.IntRange(min=1))
@click.option("--diff", is_flag=True, help="With `show`: also how its files differ from those installed now.")
def history(settings: Settings, verb: str | None, number: int | None, diff: bool) -> Result:
    """List the changes of the fleet, or show one: `history show N`.

    Each change is a generation, written before anything is changed: spec, files, plan, versions, who and when.
    """
    from ollamactl import chronicle
    from ollamactl.history import History

    host = _live(settings)
    if (verb is None) != (number is None):
        raise UsageError("show which one?", hint="ollamactl history show N; the numbers: ollamactl history")
    past = History(host.layout)
    if number is None:
        rows = past.all()
        return Result(
            command="history",
            data={"generations": [chronicle.row_data(row) for row in rows]},
            text=chronicle.table(rows),
        )
    shown = past.read(number)
    text, data = chronicle.told(shown, past.path(number)), chronicle.data(shown, past.path(number))
    if diff:
        from ollamactl import report, transaction

        _, planned = transaction.plan_rollback(host, number)
        text = "\n\n".join(filter(None, [text, report.diff_text(planned.plan)]))
        data["rollback"] = report.plan_data(planned.plan, diff=True)
    return Result(command="history", data={"generation": data}, text=text)


@command
@click.argument("number", required=False, type=click.IntRange(min=0))
@click.option("--dry-run", is_flag=True, help="Only show the plan.")
@click.option("--diff", is_flag=True, help="Show each file's change, too.")
@timeout_option("How long servers may take to start and answer, all together.")
@idle_option
@wait_option
def rollback(settings: Settings, number: int | None, dry_run: bool, diff: bool, **options: Any) -> Result:
    """Go back to an older generation, and prove it.

    Without NUMBER to the one before; 0 is the time before the first, without a fleet.
    A service that has made room for a server since (`replaces`) is enabled and started again, as it was.
    The files come back exactly as they were. The spec file stays as it is: the next apply would bring its state again.
    """
    from ollamactl import chronicle, report, transaction, workflow
    from ollamactl.cli.fleet import applied_result, progress
    from ollamactl.output import Progress

    host = _live(settings)
    if dry_run:
        target, planned = transaction.plan_rollback(host, number)
        return Result(
            command="rollback",
            exit_code=ExitCode.FAILED if planned.errors else ExitCode.OK,
            changed=bool(planned.plan.changes),
            problems=(*planned.problems, *workflow.cut_off(planned)),
            data={"to": target.number, "steps": report.plan_data(planned.plan, diff=diff)},
            text=f"Back to {chronicle.place(target)}.\n{report.plan_text(planned.plan, diff=diff)}",
        )
    with Progress(enabled=progress(settings)) as tell:
        applied = transaction.rollback(host, number, transaction.Options(**options), tell)
    result = applied_result("rollback", applied, settings, diff=diff)
    source = applied.planned.fleet.source
    if result.exit_code is ExitCode.OK and result.changed and source:
        newer = Problem(
            path=source,
            severity=Severity.NOTE,
            message="the next apply of this spec brings the newer state again, unless the file goes back too",
            hint=f"what it would do: {settings.typed('plan')} {quote(source)}",
        )
        result = dataclasses.replace(result, problems=(*result.problems, newer))
    return result


def _live(settings: Settings) -> "Host":
    if settings.root != "/":
        raise UsageError("an image has no history", hint="only changes of a running host are kept")
    return settings.host()
