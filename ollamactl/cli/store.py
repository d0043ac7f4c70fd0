"""Commands on the models of a host: models."""

from ollamactl.cli.common import Settings, command
from ollamactl.result import Result


@command
def models(settings: Settings) -> Result:
    """List the models of the fleet's store and of others: size, digest, and who serves them.

    With -v digests are whole, as `models: ["NAME@sha256:DIGEST"]` in a spec takes them.
    """
    from ollamactl import inventory, stock

    stocks, problems = stock.read(settings.host())
    return Result(
        command="models",
        problems=problems,
        data={"stores": [inventory.data(each) for each in stocks]},
        text=inventory.table(stocks, verbose=settings.verbose),
    )
