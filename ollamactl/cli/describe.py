"""Commands that only tell: init, adopt, gpus, schema."""

import click

from ollamactl.cli.common import Settings, command
from ollamactl.errors import ExitCode, Severity
from ollamactl.result import Result


@command
def init(settings: Settings) -> Result:
    """Print a first spec, made of what this machine has."""
    from ollamactl import operate

    text, notes = operate.starter_spec(settings.host())
    return Result(command="init", problems=notes, data={"spec": text}, text=text.rstrip("\n"))


@command
@click.argument("unit", required=False, nargs=-1)
@click.option("--secrets", is_flag=True, help="Write the values of passwords, tokens and keys, too.")
def adopt(settings: Settings, unit: tuple[str, ...], secrets: bool) -> Result:
    """Print a spec of the Ollama servers that run here already.

    Says of each value which file and line it comes from, what cannot be carried over and why, and how the old units
    make room. Takes all of them, or each UNIT; changes nothing.
    """
    from ollamactl.adoption import gather, write

    spec, adopted = gather.spec(settings.host(running=True), unit, secrets=secrets)
    wrong = any(problem.severity is Severity.ERROR for problem in spec.problems)
    return Result(
        command="adopt",
        exit_code=ExitCode.SPEC if wrong else ExitCode.OK,
        problems=spec.problems,
        data={
            "spec": spec.text,
            "adopted": [write.data(each) for each in adopted],
            "take_over": list(spec.take_over),
            "go_back": list(spec.go_back),
        },
        text=spec.text.rstrip("\n"),
    )


@command
def gpus(settings: Settings) -> Result:
    """List the cards, with the text that pins each in a spec."""
    from ollamactl import report
    from ollamactl.host import gpus as cards

    host = settings.host()
    found = cards.detect(host.root)
    return Result(
        command="gpus",
        problems=cards.driver_problems(host.root),
        data={"gpus": [report.card_data(card) for card in found]},
        text=report.cards_text(found),
    )


@command
def schema(settings: Settings) -> Result:
    """Print the spec's JSON Schema, for editors and validators."""
    import json

    from ollamactl.spec import schema as spec_schema

    loaded = spec_schema.load()
    return Result(command="schema", data={"schema": loaded}, text=json.dumps(loaded, indent=2, ensure_ascii=False))
