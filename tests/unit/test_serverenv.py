"""A server's variables as it has them, beside the spec's words."""

import subprocess

import pytest

from ollamactl.facts import Facts
from ollamactl.files import FileKind
from ollamactl.model import Fleet, Instance
from ollamactl.units import serverenv
from ollamactl.units.render import render
from tests.unit.fakes import SALTS

INSTANCE = Instance(
    name="a",
    port=1,
    models=(),
    environment=(("MOOD", "it's 100%"),),
    secrets=(("HF_TOKEN", 'x"y'), ("OTHER", "HF=z")),
    environment_files=("/etc/50%.env", "-/etc/maybe.env"),
)
FILES = {file.kind: file.data.decode() for file in render(Fleet(instances=(INSTANCE,)), Facts(salts=SALTS))}
OVERRIDDEN = "by an administrator's drop-in"


def test_an_installed_drop_in_says_what_the_server_is_given() -> None:
    said = serverenv.declared(FILES[FileKind.DROP_IN], "/home/of/a")
    assert list(said)[:2] == ["HOME", "OLLAMA_HOST"]
    assert (said["HOME"], said["OLLAMA_HOST"], said["MOOD"]) == ("/home/of/a", "127.0.0.1:1", "it's 100%")
    assert not {"OLLAMACTL_CONFIG", "HF_TOKEN", "OTHER"} & said.keys()
    assert serverenv.environment_files(FILES[FileKind.DROP_IN]) == (
        "/var/lib/ollamactl/secrets/a.env",
        "/etc/50%.env",
        "/etc/maybe.env",
    )
    assert serverenv.secret_names(FILES[FileKind.SECRETS]) == ("HF_TOKEN", "OTHER")


@pytest.mark.parametrize(
    ("loaded", "process", "value", "note"),
    [
        (None, None, "1", ""),
        ({"X": "1"}, None, "1", ""),
        ({"X": "1"}, {"X": "1", "PATH": "/bin"}, "1", ""),
        ({"X": "2"}, None, "2", f'X is "1" in the spec, and set to "2" {OVERRIDDEN}'),
        ({"X": "2"}, {"X": "2"}, "2", f'X is "1" in the spec, and set to "2" {OVERRIDDEN}'),
        ({"X": "2"}, {"X": "1"}, "1", f'X is "1" in the spec, and set to "2" {OVERRIDDEN}, from the next start on'),
        ({"X": "1"}, {"X": "3"}, "3", 'X is "1" in the spec, and something else in the running server'),
        ({"X": "1"}, {"PATH": "/bin"}, None, 'X is "1" in the spec, and not set in the running server'),
        ({}, None, None, f'X is "1" in the spec, and unset {OVERRIDDEN}'),
        ({"X": "a\nb"}, {"X": "a\nb"}, "a\nb", f'X is "1" in the spec, and set to "a\\nb" {OVERRIDDEN}'),
    ],
)
def test_the_latest_that_is_known_is_told_with_what_the_spec_says(
    loaded: dict[str, str] | None, process: dict[str, str] | None, value: str | None, note: str
) -> None:
    found = serverenv.tell({"X": "1"}, loaded, process, overridden=True)
    assert (found.variables, [str(each) for each in found.notes]) == (
        {} if value is None else {"X": value}, [note] if note else []
    )  # fmt: skip


def test_what_an_administrator_adds_is_told() -> None:
    for process, variables, when in (
        ({"NEW": "1"}, {"NEW": "1"}, ""),
        ({"PATH": "/bin"}, {}, ", from the next start on"),
    ):
        found = serverenv.tell({}, {"NEW": "1"}, process, overridden=True)
        assert found.variables == variables
        assert [str(note) for note in found.notes] == [f'NEW is not in the spec, and set to "1" {OVERRIDDEN}{when}']


def test_what_systemd_has_not_read_again_is_not_laid_at_an_administrators_door() -> None:
    (note,) = serverenv.tell({"X": "1"}, {"X": "2"}, None).notes
    assert str(note) == 'X is "1" in the spec, and set to "2" in what systemd has read'


def test_secrets_are_named_and_never_shown() -> None:
    seen = {"HF_TOKEN": "hunter2", "API_KEY": "hunter2", "OLLAMACTL_CONFIG": "0123", "OLLAMACTL_SECRETS": "4567"}
    found = serverenv.tell({"API_KEY": "-"}, {**seen, "API_KEY": "-"}, seen, hidden=["HF_TOKEN"])
    assert found.variables == {}
    assert found.text == (
        '# API_KEY is "-" in the spec, and something else in the running server\n# HF_TOKEN is in secrets'
    )


def test_the_text_is_for_a_shell_and_a_note_stands_above_its_variable() -> None:
    found = serverenv.tell({"A": "1", "B": "$x\n'"}, {"A": "`id`", "B": "$x\n'"}, None, hidden=["C"], overridden=True)
    assert found.text.splitlines()[:2] == [
        f'# A is "1" in the spec, and set to "`id`" {OVERRIDDEN}',
        "export A='`id`'",
    ]
    done = subprocess.run(["/bin/sh", "-c", f'{found.text}\nprintf %s "$A$B"'], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("`id`$x\n'", "")
