"""The command that looks for servers that hang: heal."""

import click

from ollamactl.cli.common import Settings, command
from ollamactl.errors import ExitCode
from ollamactl.result import Result


@command
@click.option("--failures", type=click.IntRange(1, 1000), metavar="N", help="Restart after N in a row, not the spec's.")
@click.option("--dry-run", is_flag=True, help="Say what it would do; count nothing, restart nothing.")
def heal(settings: Settings, failures: int | None, dry_run: bool) -> Result:
    """Look for servers that hang, and restart them.

    It exits with 3 when there is one. A server hangs that does not answer HTTP, or has an idle model that does not
    generate a token. It is restarted after several failures in a row (`health` in the spec, which also has systemd run
    this again and again), but not while it is loading a model or answering anybody, nor before its first answer. Each
    run is one look, and counts.
    """
    from ollamactl import access
    from ollamactl import heal as healer
    from ollamactl.healing import tell
    from ollamactl.output import Progress

    host = settings.host(running=True)
    if not dry_run:
        access.require_root(host, "heal")
    with Progress(enabled=settings.output == "human" and not settings.quiet) as told:
        healed = healer.heal(host, failures=failures, dry_run=dry_run, told=told)
    found = any(verdict.finding for verdict in healed.verdicts)
    code = ExitCode.DRIFT if found else ExitCode.OK
    text = tell.text(
        healed.verdicts,
        healed.restarted,
        dry=dry_run,
        verbose=settings.verbose,
        restart=settings.typed("restart"),
    )
    return Result(
        command="heal",
        exit_code=ExitCode.FAILED if healed.problems else code,
        changed=bool(healed.restarted),
        problems=healed.problems,
        data={
            "servers": [tell.data(verdict, healed.restarted) for verdict in healed.verdicts],
            "skipped": healed.skipped or None,
        },
        text=f"Skipped this turn: {healed.skipped}" if healed.skipped else text,
    )
