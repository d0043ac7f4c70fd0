"""What the program says of itself, and that it does so at once."""

import re
import subprocess
import sys

import click
import pytest

from ollamactl import __version__
from ollamactl.cli import COMMANDS, cli
from tests.cli.command import command, environment, ollamactl

HEAVY = ("httpx", "jinja2", "pystemd", "jsonschema", "yaml", "rich", "asyncio", "concurrent.futures")
"""What costs more to import than the whole help may take."""

WORDS = (
    "init", "adopt", "check", "render", "plan", "apply", "verify", "status", "start", "stop", "restart", "logs", "env",
    "pull",
)  # fmt: skip


def test_version_is_one_line() -> None:
    done = ollamactl("--version")
    assert (done.code, done.stdout, done.stderr) == (0, f"ollamactl {__version__}\n", "")


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], []], ids=str)
def test_help_is_shown_however_it_is_asked_for(arguments: list[str]) -> None:
    done = ollamactl(*arguments)
    assert (done.code, done.stderr) == (0, "")
    assert done.stdout == ollamactl("--help").stdout
    assert done.stdout.startswith("Usage: ollamactl [OPTIONS] COMMAND [ARGS]...\n")


def test_commands_are_listed_in_the_order_of_use_each_with_a_whole_sentence() -> None:
    listed = ollamactl("--help").stdout.partition("Commands:\n")[2]
    rows = re.findall(r"^  (\w+) +(.+)$", listed, re.M)
    assert [name for name, _ in rows] == [each.name for each in COMMANDS]
    assert tuple(name for name, _ in rows)[: len(WORDS)] == WORDS
    assert not [sentence for _, sentence in rows if not sentence.endswith(".") or sentence.endswith("...")]


def test_every_exit_code_is_told() -> None:
    text = " ".join(ollamactl("--help").stdout.split())
    assert (
        "Exit codes: 0 done, 1 failed, 2 usage, 3 drift or unhealthy, 77 not permitted, 78 the spec is wrong, "
        "130 interrupted." in text
    )


@pytest.mark.parametrize("name", list(cli.commands))
def test_each_command_and_option_has_its_help(name: str) -> None:
    done = ollamactl(name, "--help")
    assert (done.code, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: ollamactl {name} ")
    one = cli.commands[name]
    assert one.help
    for option in one.params:
        if isinstance(option, click.Option):
            assert option.help, f"{name} {option.opts[0]} has no help"
            assert option.help.endswith("."), f"{name} {option.opts[0]}: {option.help}"
    assert {"--output", "--quiet", "--verbose", "--root", "--user"} <= {
        spelling for option in one.params for spelling in option.opts
    }


@pytest.mark.parametrize(("typed", "meant"), [("plna", "plan"), ("aply", "apply"), ("verfy", "verify"), ("xyzzy", "")])
def test_a_mistyped_command_is_answered_with_the_one_that_was_meant(typed: str, meant: str) -> None:
    done = ollamactl(typed)
    assert done.code == 2
    assert done.stdout == ""
    suggestion = f"; did you mean {meant}?" if meant else ""
    assert done.stderr == f"error: there is no command {typed!r}{suggestion}\n  hint: ollamactl --help\n"


def imported(*arguments: str, **more: str) -> set[str]:
    """Every module that Python imports for a command line."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *command(*arguments)[1:]],
        capture_output=True,
        text=True,
        env=environment(**more),
    )
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}


@pytest.mark.parametrize(
    "arguments", [("--help",), ("--version",), ("apply", "--help"), ("plna",), ("apply", "--bogus")], ids=" ".join
)
def test_what_does_no_work_imports_nothing_heavy(arguments: tuple[str, ...]) -> None:
    modules = imported(*arguments)
    assert "ollamactl.cli" in modules
    assert not modules & set(HEAVY)


def test_completion_imports_nothing_heavy() -> None:
    modules = imported(_OLLAMACTL_COMPLETE="bash_complete", COMP_WORDS="ollamactl pl", COMP_CWORD="1")
    assert "ollamactl.cli" in modules
    assert not modules & set(HEAVY)


def test_check_asks_neither_systemd_nor_a_server() -> None:
    modules = imported("check", "/dev/null")
    assert "ollamactl.spec.specfile" in modules
    assert not modules & {"httpx", "jinja2", "pystemd", "rich"}
