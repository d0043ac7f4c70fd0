"""What every command shares: the global options, the way from a result to an exit code, the target host."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from ollamactl.errors import OllamactlError

if TYPE_CHECKING:
    from ollamactl.host.observe import Host
    from ollamactl.result import Result


@dataclass(slots=True)
class Settings:
    """The global options, whichever side of the command's name they were written on."""

    output: str = "human"
    quiet: bool = False
    verbose: bool = False
    root: str = "/"
    user: bool = False

    @property
    def look(self) -> str:
        """The command that shows how these servers are; empty where none can run."""
        return "" if self.root != "/" else f"ollamactl {'--user ' if self.user else ''}status"

    def typed(self, command: str) -> str:
        """The command with what it takes to mean the same host."""
        if self.user:
            return f"ollamactl --user {command}"
        return f"sudo ollamactl {command}" if self.root == "/" else f"ollamactl --root {quote(self.root)} {command}"

    def host(self, *, systemd: int | None = None, running: bool = False) -> "Host":
        """The host that --root and --user name; with `running` it must be one that can have servers.

        `systemd` is the version that its manager is taken to have. Raises UsageError where that cannot be.
        """
        from ollamactl.errors import UsageError
        from ollamactl.host import observe

        if running and self.root != "/":
            raise UsageError(
                f"nothing runs below --root {self.root}",
                hint="boot the image and ask there, or: ollamactl plan --root DIR",
            )
        if self.user and self.root != "/":
            raise UsageError("--user and --root exclude each other", hint="prepare images for the system's manager")
        return observe.host(root=self.root, user=self.user, systemd=systemd)

    def target(self, systemd: int | None) -> "Host":
        """The host that a plan is made for. Raises UsageError for another version than that of a running manager."""
        from ollamactl.errors import UsageError

        if systemd is not None and self.root == "/":
            raise UsageError(
                "--systemd-version is for images (--root DIR): a running systemd is asked for its own",
                hint="to see the files for another host: ollamactl render --systemd-version N",
            )
        return self.host(systemd=systemd)


class Group(click.Group):
    """Lists commands in the order in which they were added, not by the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of use."""
        return list(self.commands)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Nothing at all asks for the help; click has counted that as a mistake since 8.2."""
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help())
            ctx.exit()
        return super().parse_args(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command; a name that there is not ends with the one that was probably meant."""
        found = super().get_command(ctx, cmd_name)
        if found is None and not ctx.resilient_parsing:
            from ollamactl.spec import suggest

            meant = suggest.hint(cmd_name, self.commands)
            ctx.fail(f"there is no command {cmd_name!r}{f'; {meant}' if meant else ''}")
        return found


def global_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --output, -q, -v, --root and --user, and hands their values to the commands as Settings."""

    @click.option("--output", "-o", type=click.Choice(["human", "json"]), help="For people, or one JSON document.")
    @click.option("--quiet", "-q", is_flag=True, default=None, help="No progress and no notes; errors stay.")
    @click.option("--verbose", "-v", is_flag=True, default=None, help="Say what was found where all is well, too.")
    @click.option(
        "--root",
        metavar="DIR",
        callback=_folder,
        help="Prepare the image below DIR: files and links only, no manager.",
    )
    @click.option("--user", is_flag=True, default=None, help="Your own service manager instead of the system's.")
    @wraps(function)
    def wrapper(**parameters: Any) -> Any:
        context = click.get_current_context()
        settings = context.ensure_object(Settings)
        for name in ("output", "quiet", "verbose", "root", "user"):
            value = parameters.pop(name)
            if value is not None:
                setattr(settings, name, value)
        return function(**parameters)

    return wrapper


def command(function: Callable[..., "Result"]) -> click.Command:
    """A click command from a function (Settings, options) -> Result; prints the result and returns its exit code."""

    @wraps(function)
    def run(**parameters: Any) -> int:
        from ollamactl import output
        from ollamactl.result import failure

        context = click.get_current_context()
        settings = context.ensure_object(Settings)
        try:
            result = function(settings, **parameters)
        except OllamactlError as error:
            result = failure(context.info_name or "", error)
        return output.show(result, as_json=settings.output == "json", quiet=settings.quiet)

    return click.command(global_options(run))


def wants_json(argv: list[str]) -> bool:
    """Whether JSON was asked for, also where the rest of the line cannot be parsed."""
    return re.search(r"(^| )(--output[= ]|-[qv]*o ?)json( |$)", " ".join(argv)) is not None


def spec_argument(function: Callable[..., Any]) -> Callable[..., Any]:
    """The spec's path; without one fleet.yaml here or in /etc/ollamactl."""
    return click.argument("spec", required=False, type=click.Path(dir_okay=False, readable=False, allow_dash=True))(
        function
    )


def installed_names(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """The installed servers whose names begin so, for a shell to complete; none where they cannot be read."""
    from ollamactl.host.observe import host
    from ollamactl.units.record import installed_fleet

    user = any(each.params.get("user") for each in (context, context.parent) if each)
    target = host(user=user)
    try:
        fleet = installed_fleet(target.files.managed(target.layout))
    except OllamactlError:
        return []
    return [instance.name for instance in fleet.instances if instance.name.startswith(incomplete)]


def only_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """--only NAME, as often as wanted."""
    help_text = "Only this instance; may be repeated."
    return click.option("--only", metavar="NAME", multiple=True, shell_complete=installed_names, help=help_text)(
        function
    )


def replace_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """--replace: this spec instead of another."""
    help_text = "Take the place of a fleet that another spec describes."
    return click.option("--replace", is_flag=True, help=help_text)(function)


def systemd_option(help_text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """--systemd-version; managers before 247 do not know all settings of the units, and would pass over them."""
    return click.option("--systemd-version", type=click.IntRange(247, 999), metavar="N", help=help_text)


def timeout_option(help_text: str, *, default: str | None = "5m") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """--timeout with units; what may take so long differs from command to command."""
    return click.option(
        "--timeout", metavar="TIME", default=default, show_default=True, callback=_patience, help=help_text
    )


def older_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """--older-than with units; an hour is Ollama's own patience (layerPruneGracePeriod in server/images.go)."""
    help_text = "Leave files that no model refers to for so long: somebody may be making one of them."
    return click.option(
        "--older-than", metavar="TIME", default="1h", show_default=True, callback=_seconds, help=help_text
    )(function)


def wait_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """--no-wait."""
    help_text = "Fail at once where another ollamactl is at work, and say who."
    return click.option("--no-wait", "wait", is_flag=True, flag_value=False, default=True, help=help_text)(function)


def pull_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """--no-pull."""
    help_text = "Do not pull models that are missing: say which, and stop."
    return click.option("--no-pull", "pull", is_flag=True, flag_value=False, default=True, help=help_text)(function)


def idle_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """--when-idle[=TIME]; the bare word is spelled out before the line is parsed."""
    return click.option(
        "--when-idle",
        metavar="[=TIME]",
        callback=_seconds,
        help=f"Stop or restart a server only when it has no request; wait so long (without TIME {PATIENCE}).",
    )(function)


PATIENCE = "10m"
"""What a bare --when-idle stands for."""


def spelled_out(argv: list[str]) -> list[str]:
    """The command line with TIME for each bare --when-idle: click would take the next word for it.

    A word that begins as a time does is what was meant, though people leave out the `=`; specs are not called so.
    """
    words: list[str] = []
    for word in argv:
        if words and words[-1] == f"--when-idle={PATIENCE}" and _TIME.fullmatch(word):
            words[-1] = f"--when-idle={word}"
        else:
            words.append(f"{word}={PATIENCE}" if word == "--when-idle" else word)
    return words


_TIME = re.compile(r"([0-9]+(\.[0-9]+)?[a-z]*)+")


def _folder(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """Its real path; not even an unset variable in a script (an empty DIR) may mean the folder that one is in."""
    if value is None:
        return None
    if not value or not Path(value).is_dir():
        raise click.BadParameter(f"there is no folder {value!r}")
    return str(Path(value).resolve())


def _patience(context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    seconds = _seconds(context, parameter, value)
    if seconds == 0:
        raise click.BadParameter("no server answers in no time at all; write 90s, 5m or 1h30m")
    return seconds


def _seconds(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    from ollamactl.quantity import parse_duration

    try:
        seconds = parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(f"{error}; write 90s, 5m or 1h30m") from error
    return min(seconds, 365 * 86400.0)
