"""Where a spec is looked for, what is said of a wrong one, and how the program ends when others end it."""

import resource
import shlex
import signal
import subprocess
from pathlib import Path

import pytest

from ollamactl.host import lock
from tests.cli.command import BROKEN, FLEET, command, environment, ollamactl


def test_without_a_name_the_spec_is_the_one_that_lies_here(place: Path) -> None:
    assert ollamactl("check", at=place).stdout == "fleet.yaml: 2 instances, no errors.\n"


@pytest.mark.skipif(Path("/etc/ollamactl/fleet.yaml").exists(), reason="this machine has a fleet of its own")
def test_without_any_spec_the_way_to_a_first_one_is_told(tmp_path: Path) -> None:
    done = ollamactl("check", at=tmp_path)
    assert (done.code, done.stdout) == (2, "")
    assert done.stderr == (
        "error: no spec given, and there is neither fleet.yaml nor /etc/ollamactl/fleet.yaml\n"
        "  hint: name the file, or write a first one with: ollamactl init > fleet.yaml\n"
    )


def test_a_spec_may_come_from_standard_input(tmp_path: Path) -> None:
    done = ollamactl("check", "-", at=tmp_path, stdin=FLEET)
    assert (done.code, done.stdout) == (0, "<stdin>: 2 instances, no errors.\n")


def test_one_instance_is_no_instances(tmp_path: Path) -> None:
    one = "version: 1\ninstances: {a: {port: 1234, models: [m]}}\n"
    assert ollamactl("check", "-", at=tmp_path, stdin=one).stdout == "<stdin>: 1 instance, no errors.\n"


def test_what_init_prints_is_a_valid_spec(tmp_path: Path) -> None:
    first = ollamactl("init", "--root", str(tmp_path))
    assert first.code == 0
    notes = [line for line in first.stderr.splitlines() if not line.startswith("  hint: ")]
    assert notes == [
        "note: ollama.binary: no program called ollama was found",
        "note: ollama.models: no model store was found",
    ]
    assert ollamactl("check", "-", stdin=first.stdout).code == 0


def test_a_wrong_spec_is_told_with_place_line_caret_and_hint_all_at_once(place: Path) -> None:
    (place / "broken.yaml").write_text(BROKEN)
    done = ollamactl("check", "broken.yaml", at=place)
    assert (done.code, done.stdout) == (78, "")
    assert done.stderr == (
        "broken.yaml:3:18: instances.llama3.port: must be from 1 to 65535, not 99999\n"
        "      llama3: {port: 99999, models: [llama3]}\n"
        "                     ^\n"
        "broken.yaml:4:11: instances.embed.prot: there is no such key here\n"
        "      embed: {prot: 11435, models: [all-minilm]}\n"
        "              ^\n"
        "  hint: did you mean port?\n"
    )


@pytest.mark.parametrize("name", ["check", "plan", "apply", "render"])
def test_a_wrong_spec_changes_nothing_in_any_command(place: Path, name: str) -> None:
    done = ollamactl(name, "--root", "image", "-", at=place, stdin=BROKEN)
    assert (done.code, done.stdout) == (78, "")
    assert done.stderr.startswith("<stdin>:3:18: ")
    assert not list((place / "image").rglob("*.conf"))


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        pytest.param(b"", "error: <stdin>: is empty", id="empty"),
        pytest.param(b"\x7fELF\0\0", "error: <stdin>: is not a text file: byte 5 is NUL", id="binary"),
        pytest.param(b"version: 1\ninstances: {a: {port: 1}", "<stdin>:", id="half"),
        pytest.param(b"# " + b"x" * (10 << 20), "error: <stdin>: is too big for a spec", id="ten megabytes"),
    ],
)
def test_what_is_no_spec_at_all_is_told_in_a_moment(spec: bytes, words: str) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = ollamactl("check", "-", stdin=spec)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Of the processor, since others may work beside: a second is what a person has to wait at most
    assert used.ru_utime - before.ru_utime + used.ru_stime - before.ru_stime < 1
    assert (done.code, done.stdout) == (78, "")
    assert done.stderr.startswith(words)


def test_the_reader_may_have_seen_enough(place: Path) -> None:
    """As `ollamactl schema | head -1`: no traceback, and a code of its own."""
    for arguments in (("schema",), ("--help",), ("render", "--root", "image"), ("check", "-ojson", "--bogus")):
        with subprocess.Popen(
            command(*arguments), cwd=place, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout
            assert process.stderr
            process.stdout.close()
            said = process.stderr.read().decode()
            assert process.wait() == 141
            assert "Traceback" not in said
            assert "BrokenPipe" not in said


@pytest.mark.parametrize("arguments", [["apply", "--root", "image"], ["destroy", "--root", "image", "--yes"]])
def test_ctrl_c_ends_it_at_once_and_quietly(image: Path, arguments: list[str]) -> None:
    (image / "fleet.yaml").write_text(FLEET.replace("11435", "11436"))
    with (
        lock.acquire(image / "image/run/ollamactl.lock", wait=False, on_wait=pytest.fail),
        subprocess.Popen(
            command(*arguments), cwd=image, env=environment(), stderr=subprocess.PIPE, text=True
        ) as process,
    ):
        assert process.stderr
        assert process.stderr.readline().startswith("another ollamactl is at work: pid ")
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
        assert process.stderr.read().splitlines()[0].endswith("interrupted by SIGINT")


@pytest.mark.parametrize("name", ["plan", "apply"])
def test_an_image_may_have_another_systemd_and_a_running_one_is_asked(place: Path, name: str) -> None:
    def steps(version: str) -> str:
        return ollamactl("plan", "--root", "image", "--systemd-version", version, "--diff", at=place).stdout

    assert ("RestartSteps=" in steps("257"), "RestartSteps=" in steps("252")) == (True, False)
    assert ollamactl(name, "--root", "image", "--systemd-version", "257", at=place).code == 0
    live = ollamactl(name, "--systemd-version", "257", at=place)
    assert live.code == 2
    assert "ollamactl render --systemd-version N" in live.stderr


@pytest.mark.parametrize("version", ["0", "246", "10000", "-1", "x"])
@pytest.mark.parametrize("name", ["plan", "apply", "render"])
def test_a_systemd_that_there_is_not_is_refused(place: Path, name: str, version: str) -> None:
    done = ollamactl(name, "--root", "image", "--systemd-version", version, at=place)
    assert (done.code, done.stdout) == (2, "")


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_a_stream_that_the_caller_closed_is_no_traceback(image: Path, closed: str) -> None:
    """Nor does a file that is opened later take its number, and get what was meant for the stream."""
    line = f"{shlex.join(command('plan', '--root', 'image', '-v'))} {closed}"
    done = subprocess.run(["sh", "-c", line], cwd=image, env=environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    if closed == "<&-":
        assert done.stdout == "No changes: the host matches the spec.\n"


def test_a_spec_on_a_closed_standard_input_is_an_empty_one(tmp_path: Path) -> None:
    shell = ["sh", "-c", f"{shlex.join(command('check', '-'))} <&-"]
    done = subprocess.run(shell, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=60)
    assert (done.returncode, "Traceback" in done.stderr, done.stdout) == (78, False, "")
