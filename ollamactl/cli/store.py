"""Commands on the models of a host: models."""

from ollamactl.cli.common import Settings, command
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
        text=inventory.table(stocks, verbose=settings.verbose),
    )
