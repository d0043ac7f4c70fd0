"""--output json: one document on standard output and nothing else, wherever on the line it was asked for."""

import json
from pathlib import Path

import pytest

from tests.cli.command import BROKEN, INSTALLED, ollamactl

COMMANDS = (
    ("check",),
    ("plan", "--root", "image"),
    ("apply", "--root", "image"),
    ("render", "--root", "image"),
    ("init", "--root", "image"),
    ("gpus", "--root", "image"),
    ("env", "llama3", "--root", "image"),
    ("destroy", "--root", "image", "--yes"),
    ("schema",),
)
SPELLINGS = (["--output", "json"], ["--output=json"], ["-o", "json"], ["-ojson"], ["-qojson"])


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda arguments: arguments[0])
def test_it_may_stand_on_both_sides_of_the_commands_name(image: Path, arguments: tuple[str, ...]) -> None:
    before = ollamactl("--output", "json", *arguments, at=image)
    if arguments[0] == "destroy":
        ollamactl("apply", "--root", "image", at=image)
    after = ollamactl(*arguments, "--output", "json", at=image)
    assert (before.code, before.stderr) == (0, "")
    assert before.envelope["command"] == arguments[0]
    assert after.envelope == before.envelope


@pytest.mark.parametrize("spelling", SPELLINGS, ids=" ".join)
def test_every_spelling_counts_also_where_the_rest_is_wrong(place: Path, spelling: list[str]) -> None:
    assert ollamactl(*spelling, "check", at=place).envelope["status"] == "ok"
    assert ollamactl("check", *spelling, at=place).envelope["status"] == "ok"
    assert ollamactl("check", *spelling, "--bogus", at=place).envelope["status"] == "usage"
    assert ollamactl(*spelling, "chekc", at=place).messages == ["there is no command 'chekc'; did you mean check?"]


def test_the_last_word_counts(place: Path) -> None:
    assert ollamactl("-o", "json", "check", "-o", "human", at=place).stdout == "fleet.yaml: 2 instances, no errors.\n"


def test_problems_of_a_spec_have_their_places(place: Path) -> None:
    (place / "broken.yaml").write_text(BROKEN)
    done = ollamactl("check", "broken.yaml", "-ojson", at=place)
    assert [
        (problem["file"], problem["line"], problem["column"], problem["path"], problem["instance"])
        for problem in done.envelope["problems"]
    ] == [
        ("broken.yaml", 3, 18, "instances.llama3.port", "llama3"),
        ("broken.yaml", 4, 11, "instances.embed.prot", "embed"),
    ]


def test_plan_lists_steps_and_diff_adds_both_texts(place: Path) -> None:
    done = ollamactl("plan", "--root", "image", "-ojson", at=place)
    steps = done.envelope["data"]["steps"]
    assert {tuple(step) for step in steps} == {("step", "subject", "cause", "instance")}
    assert [step["subject"] for step in steps if step["step"] == "write"][:4] == [f"/{path}" for path in INSTALLED]
    with_diff = ollamactl("plan", "--root", "image", "-ojson", "--diff", at=place).envelope["data"]["steps"]
    written = [step for step in with_diff if step["step"] == "write"]
    assert all(step["before"] == "" for step in written)
    assert "Description=for searching\n" in written[2]["after"]
    assert all("after" not in step for step in with_diff if step["step"] not in ("write", "remove"))


def test_render_gives_each_file_whole_but_no_secret(place: Path) -> None:
    (place / "fleet.yaml").write_text(
        "version: 1\ninstances:\n  a: {port: 1234, gpus: none, models: [m], secrets: {TOKEN: hunter2}}\n"
    )
    done = ollamactl("render", "--root", "image", "-ojson", at=place)
    files = {file["path"]: file for file in done.envelope["data"]["files"]}
    assert set(files["/etc/systemd/system/ollama@.service"]) == {"path", "kind", "mode", "instance", "text"}
    secret = files["/var/lib/ollamactl/secrets/a.env"]
    assert (secret["kind"], secret["mode"], secret["text"]) == ("secrets", "0600", None)
    for arguments in (("render",), ("plan", "--diff"), ("apply", "--diff", "--dry-run")):
        assert "hunter2" not in ollamactl(*arguments, "--root", "image", "-ojson", at=place).stdout
        assert "hunter2" not in ollamactl(*arguments, "--root", "image", at=place).stdout


def test_schema_and_init_give_what_they_print(place: Path) -> None:
    done = ollamactl("schema", "-ojson", at=place)
    assert done.envelope["data"]["schema"] == json.loads(ollamactl("schema", at=place).stdout)
    done = ollamactl("init", "--root", "image", "-ojson", at=place)
    assert done.envelope["data"]["spec"] == ollamactl("init", "--root", "image", at=place).stdout


def test_env_gives_names_and_values(image: Path) -> None:
    done = ollamactl("env", "embed", "--root", "image", "-ojson", at=image)
    assert done.envelope["data"] == {"environment": {"OLLAMA_HOST": "127.0.0.1:11435"}}


def test_words_stay_as_they_are_written(place: Path) -> None:
    """Not \\u00fc: people read JSON, too."""
    (place / "fleet.yaml").write_text(
        "version: 1\ninstances:\n  a: {port: 1234, gpus: none, models: [m], description: für alle}\n"
    )
    assert "für alle" in ollamactl("render", "--root", "image", "-ojson", at=place).stdout
