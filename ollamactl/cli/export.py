"""The command that tells other programs of the fleet: export."""

import click

from ollamactl.cli.common import Settings, command
from ollamactl.result import Result

FORMATS = ("nginx", "litellm", "openwebui", "prometheus")


@command
@click.argument("program", type=click.Choice(FORMATS))
@click.argument("spec", required=False, type=click.Path(dir_okay=False, readable=False, allow_dash=True))
def export(settings: Settings, program: str, spec: str | None) -> Result:
    """Print the fleet as another program's configuration.

    Without SPEC of the fleet that is installed; servers that shall be stopped are left out. The same fleet gives the
    same text.
    """
    from ollamactl import workflow
    from ollamactl.errors import Problem, Severity
    from ollamactl.exporting import litellm, nginx, openwebui, prometheus, server
    from ollamactl.spec import source, specfile

    if spec:
        text = source.read(spec)
        fleet = specfile.load(text.data, name=text.name, source=text.path).fleet
    else:
        fleet = workflow.installed(settings.host()).fleet
    found = server.servers(fleet)
    written = dict(zip(FORMATS, (nginx.text, litellm.text, openwebui.text, prometheus.text), strict=True))[program](
        found
    )
    problems: tuple[Problem, ...] = ()
    if program == "openwebui" and (alone := [each.name for each in found if each.loopback]):
        problems = (
            Problem(
                severity=Severity.NOTE,
                instance=alone[0],
                message="a container reaches what listens on 127.0.0.1 with --network=host only",
                hint="else give them `host: 0.0.0.0` and `allow: [172.16.0.0/12]`, and write host.docker.internal here",
            ),
        )
    return Result(
        command="export", problems=problems, data={"program": program, "text": written}, text=written.rstrip("\n")
    )
