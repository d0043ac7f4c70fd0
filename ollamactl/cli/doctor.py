"""The command that looks for trouble: doctor."""

from ollamactl.cli.common import Settings, command
from ollamactl.errors import ExitCode
from ollamactl.result import Result


@command
def doctor(settings: Settings) -> Result:
    """Look for the known traps on a host, whoever set its servers up.

    Names each with what shows it and what mends it; exits with 3 when there is one. Changes nothing, and runs without
    root as far as it may see.
    """
    from ollamactl.doctor import gather, judge, tell

    seen = gather.look(settings.host(running=True))
    found = judge.findings(seen)
    return Result(
        command="doctor",
        exit_code=ExitCode.DRIFT if found else ExitCode.OK,
        problems=tell.unseen(seen),
        data={
            "findings": [tell.data(finding) for finding in found],
            "servers": [server.unit for server in seen.servers],
            "unseen": list(seen.unseen),
        },
        text=tell.text(found, seen),
    )
