"""Commands that only tell: init, gpus, schema."""

from ollamactl.cli.common import Settings, command
from ollamactl.result import Result


@command
def init(settings: Settings) -> Result:
    """Print a first spec, made of what this machine has."""
    from ollamactl import operate

    text, notes = operate.starter_spec(settings.host())
    return Result(command="init", problems=notes, data={"spec": text}, text=text.rstrip("\n"))


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
