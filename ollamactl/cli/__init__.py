"""The command line: options in, workflow called, result printed, exit code out. What costs is imported when it runs."""

import os
import sys

import click

from ollamactl import __version__
from ollamactl.cli import control, describe, doctor, export, fleet, heal, past, pull, store
from ollamactl.cli.common import Group, global_options, spelled_out, wants_json
from ollamactl.errors import UsageError

COMMANDS = (
    describe.init, describe.adopt, fleet.check, fleet.render, fleet.plan, fleet.apply, fleet.verify, control.status,
    control.start, control.stop, control.restart, control.logs, control.env, pull.pull, pull.key, store.models,
    store.prune, past.history, past.rollback, describe.gpus, doctor.doctor, heal.heal, export.export,
    fleet.destroy, describe.schema,
)  # fmt: skip
"""In the order in which a person meets them."""


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="ollamactl", message="%(prog)s %(version)s")
@global_options
def cli() -> None:
    """Run several native Ollama servers on one Linux machine, safely.

    One YAML file describes a fleet; `sudo ollamactl apply fleet.yaml` makes the machine match it and proves that each
    port is answered by the right server with the right models. systemd keeps them running.

    \b
    First steps:
      ollamactl init > fleet.yaml      a commented spec from this machine's cards and models
      ollamactl plan fleet.yaml        what would change, and why
      sudo ollamactl apply fleet.yaml  do it, and prove it
      ollamactl status                 how the fleet is

    Exit codes: 0 done, 1 failed, 2 usage, 3 drift or unhealthy, 77 not permitted, 78 the spec is wrong,
    130 interrupted.
    """


for command in COMMANDS:
    cli.add_command(command)


def main(arguments: list[str] | None = None) -> None:
    """The entry point of `ollamactl` and `python3 -m ollamactl`; exits with the code of the contract."""
    _open_what_is_closed()
    try:
        code = _run(sys.argv[1:] if arguments is None else arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (head, less) has seen enough; python must not complain at its exit either.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        code = 141
    sys.exit(code)


def _open_what_is_closed() -> None:
    """Has streams that the caller closed (`>&-`) lead nowhere: else the next file to be opened would be one of them."""
    while (number := os.open(os.devnull, os.O_RDWR)) < 3:
        os.set_inheritable(number, True)
    os.close(number)
    for name, number in (("stdin", 0), ("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))


def _run(argv: list[str]) -> int:
    try:
        return int(cli.main(args=spelled_out(argv), prog_name="ollamactl", standalone_mode=False) or 0)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.Abort:
        return 130
    except SystemExit:
        # click exits on its own only where the reader is gone, and then with 1.
        raise BrokenPipeError from None
    except click.ClickException as error:
        return _usage(error, argv)


def _usage(error: click.ClickException, argv: list[str]) -> int:
    """What the line lacks or has too much of, printed as every other problem is."""
    from ollamactl import output, result

    name = next((word for word in argv if word in cli.commands), "")
    told = UsageError(error.format_message(), hint=" ".join(filter(None, ("ollamactl", name, "--help"))))
    return output.show(result.failure(name, told), as_json=wants_json(argv))
