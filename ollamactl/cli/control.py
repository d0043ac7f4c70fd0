"""Commands on the installed fleet: status, start, stop, restart, logs, env."""

import os
import time
from typing import TYPE_CHECKING

import click

from ollamactl.cli.common import Settings, command, installed_names, timeout_option
from ollamactl.errors import ExitCode, NotPermitted, Problem, Severity
from ollamactl.result import Result

if TYPE_CHECKING:
    from ollamactl.outcome import Outcome

names_argument = click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=installed_names)


@command
@names_argument
def status(settings: Settings, names: tuple[str, ...]) -> Result:
    """Show how each server is; exits with 3 when one is not well."""
    from ollamactl import status as state

    rows = state.read(settings.host(running=True), names)
    healthy = all(row.healthy for row in rows)
    return Result(
        command="status",
        exit_code=ExitCode.OK if healthy else ExitCode.DRIFT,
        data={"instances": [state.data(row) for row in rows]},
        text=state.table(rows, now=time.time(), verbose=settings.verbose, user=settings.user),
    )


def _control(settings: Settings, verb: str, names: tuple[str, ...], timeout: float) -> Result:
    from ollamactl import access, operate, report
    from ollamactl.output import Progress

    host = settings.host(running=True)
    access.require_root(host, verb)
    with Progress(enabled=settings.output == "human" and not settings.quiet) as tell:
        applied = operate.control(host, verb, names, timeout=timeout, tell=tell)
    outcome = applied.outcome
    return Result(
        command=verb,
        exit_code=ExitCode.OK if outcome.ok else ExitCode.INTERRUPTED if outcome.interrupted else ExitCode.FAILED,
        changed=outcome.changed,
        problems=(*outcome.problems, *_for_now(verb, outcome, settings)),
        data={"steps": report.plan_data(applied.planned.plan), "proofs": report.proof_data(outcome.proofs)},
        text=report.outcome_text(outcome, verbose=settings.verbose, look=settings.look),
    )


def _for_now(verb: str, outcome: "Outcome", settings: Settings) -> tuple[Problem, ...]:
    if verb != "stop" or not outcome.ok or not outcome.changed:
        return ()
    words = "what was stopped stays so until the next start, apply or boot"
    hint = f"again: {settings.typed('start')}; for good: `state: stopped` in the spec"
    return (Problem(message=words, hint=hint, severity=Severity.NOTE),)


@command
@names_argument
@timeout_option("How long servers may take to start and answer, all together.")
def start(settings: Settings, names: tuple[str, ...], timeout: float) -> Result:
    """Start servers (all without NAME) and prove them."""
    return _control(settings, "start", names, timeout)


@command
@names_argument
@timeout_option("How long servers may take to stop, all together.")
def stop(settings: Settings, names: tuple[str, ...], timeout: float) -> Result:
    """Stop servers (all without NAME).

    They stay so until the next start, apply or boot.
    """
    return _control(settings, "stop", names, timeout)


@command
@names_argument
@timeout_option("How long servers may take to start and answer, all together.")
def restart(settings: Settings, names: tuple[str, ...], timeout: float) -> Result:
    """Restart servers (all without NAME) and prove them.

    Requests in flight are cut.
    """
    return _control(settings, "restart", names, timeout)


@command
@names_argument
@click.option("--follow", "-f", is_flag=True, help="Go on as lines come.")
@click.option(
    "--lines", "-n", type=click.IntRange(min=0), default=50, show_default=True, help="How many to begin with."
)
@click.option(
    "--since", metavar="TIME", help="From this time on: 10m for the last ten minutes, or as journalctl reads it."
)
def logs(settings: Settings, names: tuple[str, ...], follow: bool, lines: int, since: str | None) -> Result:
    """Show the servers' journal, as journalctl does.

    With --output json each line is an entry of the journal as JSON, as `journalctl --output=json` has it: this is the
    one command without ollamactl's envelope, unless it fails.
    """
    from ollamactl import output, workflow
    from ollamactl.host import journal

    host = settings.host(running=True)
    units = [instance.unit for instance in workflow.chosen(workflow.installed(host).fleet, names)]
    if not journal.readable(user=settings.user):
        once = "" if settings.user else "sudo ollamactl logs ..., or for good: "
        raise NotPermitted(
            "the journal is not open to this user",
            hint=f"{once}sudo usermod -aG systemd-journal $USER, and log in again",
        )
    words = journal.follow_command(units, follow=follow, lines=lines, since=since, user=settings.user)
    if settings.output == "json":
        words.append("--output=json")
    output.flush()
    os.execvp(words[0], words)  # noqa: S606 - journalctl takes over: its paging and signals are its own


@command
@click.argument("name", shell_complete=installed_names)
@click.option("--server", is_flag=True, help="What the server itself has, not what a client needs.")
def env(settings: Settings, name: str, server: bool) -> Result:
    """Print what a shell exports to have `ollama` speak to a server.

    In a shell: eval "$(ollamactl env NAME)"
    """
    from ollamactl import operate, workflow
    from ollamactl.units import serverenv

    host = settings.host()
    compiled = workflow.installed(host)
    (instance,) = workflow.chosen(compiled.fleet, (name,))
    if server:
        found = operate.server_environment(host, compiled, instance)
        data = {"environment": found.variables, "notes": [str(note) for note in found.notes]}
        return Result(command="env", data=data, text=found.text)
    variables = operate.client_environment(instance)
    text = "\n".join(serverenv.export(*each) for each in variables.items())
    return Result(command="env", data={"environment": variables}, text=text)
