"""Exit codes and the JSON envelope: what scripts and Ansible rely on, for each way in which a command can end."""

import os
import pty
import subprocess
from pathlib import Path

import pytest

from ollamactl import __version__
from tests.cli.command import BROKEN, FLEET, NOBODY, command, environment, ollamactl
from tests.cli.conftest import needs_root

KEYS = ["ollamactl", "command", "status", "changed", "problems", "data"]
PROBLEM_KEYS = ["severity", "message", "path", "instance", "hint", "file", "line", "column"]

ENDS = [
    pytest.param(("check",), 0, "ok", False, id="a valid spec"),
    pytest.param(("plan", "--root", "image"), 0, "ok", True, id="a plan with something to do"),
    pytest.param(("plan", "--root", "image", "--exit-code"), 3, "drift", True, id="a plan that tells by its exit code"),
    pytest.param(("apply", "--root", "image"), 0, "ok", True, id="an apply"),
    pytest.param(("apply", "--root", "image", "--dry-run"), 0, "ok", True, id="an apply that only shows"),
    pytest.param(("render", "--root", "image"), 0, "ok", False, id="rendered files"),
    pytest.param(("init", "--root", "image"), 0, "ok", False, id="a first spec"),
    pytest.param(("gpus", "--root", "image"), 0, "ok", False, id="no card"),
    pytest.param(("schema",), 0, "ok", False, id="the schema"),
    pytest.param(("destroy", "--root", "image", "--yes"), 0, "ok", False, id="nothing to destroy"),
    pytest.param(("env", "llama3", "--root", "image"), 2, "usage", False, id="no fleet is installed"),
    pytest.param(("plan", "--only", "llama4", "--root", "image"), 2, "usage", False, id="no such instance"),
    pytest.param(("plan", "--bogus"), 2, "usage", False, id="no such option"),
    pytest.param(("plna",), 2, "usage", False, id="no such command"),
    pytest.param(("env",), 2, "usage", False, id="an argument is missing"),
    pytest.param(("plan", "--user", "--root", "image"), 2, "usage", False, id="what excludes each other"),
    pytest.param(("apply", "--timeout", "soon"), 2, "usage", False, id="a value that cannot be read"),
    pytest.param(("apply", "--timeout", "0"), 2, "usage", False, id="a time in which nothing can be"),
    pytest.param(("check", "broken.yaml"), 78, "invalid", False, id="a wrong spec"),
    pytest.param(("apply", "broken.yaml", "--root", "image"), 78, "invalid", False, id="a wrong spec to apply"),
    pytest.param(("check", "missing.yaml"), 78, "invalid", False, id="no such spec"),
    *(
        pytest.param((name, "--root", "image"), 2, "usage", False, id=f"{name} of an image")
        for name in ("status", "verify", "start", "stop", "restart", "logs")
    ),
]


@pytest.mark.parametrize(("arguments", "code", "status", "changed"), ENDS)
def test_each_end_has_its_code_its_word_and_the_same_envelope(
    place: Path, arguments: tuple[str, ...], code: int, status: str, changed: bool
) -> None:
    (place / "broken.yaml").write_text(BROKEN)
    done = ollamactl(*arguments, "--output", "json", at=place)
    assert done.stderr == ""
    assert list(done.envelope) == KEYS
    command = arguments[0] if arguments[0] != "plna" else ""
    assert (done.code, *list(done.envelope.values())[:4]) == (code, __version__, command, status, changed)
    assert all(list(problem) == PROBLEM_KEYS for problem in done.envelope["problems"])
    errors = [problem for problem in done.envelope["problems"] if problem["severity"] == "error"]
    assert bool(errors) is (code not in (0, 3))
    assert ollamactl(*arguments, at=place).code == code


@needs_root
@pytest.mark.parametrize("name", ["apply", "start", "stop", "restart", "destroy"])
def test_what_changes_the_host_is_refused_to_others_than_root_with_the_way_out(name: str) -> None:
    done = ollamactl(name, *(["-"] if name == "apply" else []), stdin=FLEET, as_nobody=True)
    assert done.code == 77
    assert done.stdout == ""
    assert done.stderr == (
        f"error: {name} changes units in /etc/systemd/system, which only root may\n"
        f"  hint: sudo ollamactl {name} ..., or run servers of your own with: ollamactl --user {name} ...\n"
    )
    done = ollamactl(name, *(["-"] if name == "apply" else []), "-ojson", stdin=FLEET, as_nobody=True)
    assert (done.code, done.envelope["status"], done.envelope["changed"]) == (77, "denied", False)


def test_destroy_asks_first_and_nobody_answers(image: Path) -> None:
    before = sorted(path for path in image.rglob("*") if path.is_file())
    done = ollamactl("destroy", "--root", "image", at=image)
    assert (done.code, done.stdout) == (77, "")
    assert done.stderr == (
        "error: nothing was destroyed: there is no terminal to ask at\n"
        f"  hint: to do it without a question: ollamactl --root {image}/image destroy --yes; "
        "only to look: add --dry-run\n"
    )
    assert sorted(path for path in image.rglob("*") if path.is_file()) == before


def test_destroy_may_be_declined_and_looked_at(image: Path) -> None:
    ours, theirs = pty.openpty()
    try:
        os.write(ours, b"n\n")
        asked = subprocess.run(
            command("destroy", "--root", "image"),
            cwd=image,
            env=environment(),
            stdin=theirs,
            capture_output=True,
            text=True,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    shown = ollamactl("destroy", "--root", "image", "--dry-run", at=image)
    unasked = f"to do it without a question: ollamactl --root {image}/image destroy --yes"
    assert (asked.returncode, asked.stdout) == (77, "")
    assert asked.stderr.endswith(
        "Stop and remove all of this? [y/N] error: nothing was destroyed: it was not confirmed\n"
        f"  hint: {unasked}; only to look: add --dry-run\n"
    )
    homes = "The servers' homes below /var/lib/ollamactl-instances go too; models stay.\n"
    assert shown.stdout.endswith(f"\nPlan: 6 files to remove.\n{homes}Nothing was changed; {unasked}\n")
    assert asked.stderr.startswith(shown.stdout.partition("Nothing was changed;")[0])
    rows = ollamactl("destroy", "--root", "image", "--dry-run", "-ojson", at=image).envelope["data"]["steps"]
    assert {row["cause"] for row in rows} == {"destroy was asked for"}


def test_destroy_leaves_nothing_of_an_image_but_the_lock(image: Path) -> None:
    assert ollamactl("destroy", "--root", "image", "--yes", at=image).code == 0
    left = [path for path in (image / "image").rglob("*") if "ollama" in path.name]
    assert left == [image / "image/run/ollamactl.lock"]
    assert ollamactl("destroy", "--root", "image", "--dry-run", at=image).stdout == "No fleet is installed here.\n"


@pytest.mark.parametrize("name", ["check", "plan", "apply", "render", "init", "gpus", "status", "destroy", "schema"])
@pytest.mark.parametrize("root", ["nowhere", "", "fleet.yaml"])
def test_an_image_must_be_a_folder_that_is_there(place: Path, name: str, root: str) -> None:
    done = ollamactl(name, "--root", root, at=place)
    assert (done.code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: Invalid value for '--root': there is no folder {root!r}\n")
    assert not (place / "nowhere").exists()


@needs_root
def test_an_image_of_a_users_own_needs_no_root_and_a_strangers_does(tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents):
        if str(folder) not in ("/", "/tmp"):
            folder.chmod(0o755)
    mine, roots = tmp_path / "mine", tmp_path / "roots"
    mine.mkdir()
    os.chown(mine, NOBODY, NOBODY)
    roots.mkdir()
    done = ollamactl("apply", "--root", str(mine), "-", stdin=FLEET, as_nobody=True)
    assert (done.code, done.stdout) == (0, "Done: 6 files written.\n")
    done = ollamactl("apply", "--root", str(roots), "-", stdin=FLEET, as_nobody=True)
    assert (done.code, done.stdout) == (77, "")
    assert done.stderr == (f"error: apply changes files below {roots}\n  hint: type the same command with sudo\n")


def test_a_host_without_a_manager_fails_with_what_could_help(place: Path) -> None:
    nowhere = environment(XDG_RUNTIME_DIR=str(place))
    done = ollamactl("plan", "--user", at=place, env=nowhere)
    assert (done.code, done.stdout) == (1, "")
    assert f"does not answer at {place}/systemd/private: no such file or directory\n" in done.stderr
    assert "hint: see how it is: systemctl status user@" in done.stderr
    done = ollamactl("plan", "--user", "-o", "json", at=place, env=nowhere)
    assert (done.code, done.envelope["status"]) == (1, "failed")


def test_a_plan_that_apply_would_refuse_ends_with_that(place: Path) -> None:
    foreign = place / "image/etc/systemd/system/ollama@.service"
    foreign.parent.mkdir(parents=True)
    foreign.write_text("[Service]\n")
    error = "error: /etc/systemd/system/ollama@.service: this file is not ollamactl's, so it stays as it is\n"
    for arguments in (("plan",), ("plan", "-q"), ("apply", "--dry-run")):
        done = ollamactl(*arguments, "--root", "image", at=place)
        assert done.code == 1
        assert done.stdout.endswith("Plan: 6 files to write.\napply would refuse this: 1 error above.\n")
        assert error in done.stderr
    done = ollamactl("apply", "--root", "image", at=place)
    assert (done.code, done.stdout) == (1, "FAILED: nothing was changed; 1 error above.\n")
    assert error in done.stderr
    assert foreign.read_text() == "[Service]\n"


def test_quiet_hides_what_is_no_error_also_where_it_fails(place: Path) -> None:
    (place / "image/etc/systemd/system/ollama@.service").mkdir(parents=True)
    assert "warning: " in ollamactl("apply", "--root", "image", at=place).stderr
    assert "warning: " not in ollamactl("apply", "-q", "--root", "image", at=place).stderr


def test_a_failing_write_is_a_failure_that_says_where(place: Path) -> None:
    (place / "image" / "etc").write_text("a file in the place of the folder")
    done = ollamactl("apply", "--root", "image", "-o", "json", at=place)
    assert (done.code, done.envelope["status"], done.envelope["changed"]) == (1, "failed", False)
    assert any("image/etc" in message for message in done.messages)
