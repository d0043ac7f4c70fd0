import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ollamactl.errors import HostError, Severity
from ollamactl.host import binary

Program = Callable[..., str]


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """Makes an executable script; every folder above is open to others, as pytest's own are not."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and str(folder) not in ("/", "/tmp"):
            folder.chmod(0o755)

    def make(script: str | bytes, mode: int = 0o755) -> str:
        path = tmp_path / "ollama"
        path.write_bytes(script if isinstance(script, bytes) else f"#!/bin/sh\n{script}\n".encode())
        path.chmod(mode)
        return str(path)

    binary.version.cache_clear()
    return make


@pytest.mark.parametrize(
    ("said", "version"),
    [
        (["Warning: could not connect to a running Ollama instance", "Warning: client version is 0.34.0"], "0.34.0"),
        (["ollama version is 0.34.1-rc2"], "0.34.1-rc2"),
        (["ollama version is 0.5.4", "Warning: client version is 0.34.0"], "0.34.0"),
        (["ollama version 0.1.14"], "0.1.14"),
    ],
)
def test_version_is_the_programs_own(program: Program, said: list[str], version: str) -> None:
    path = program("".join(f"echo '{line}'\n" for line in said))
    assert binary.version(path) == version
    assert binary.problem(path) is None


def test_it_is_asked_away_from_any_server_and_any_home(program: Program) -> None:
    assert (
        binary.version(program('echo "client version is $OLLAMA_HOST,$HOME,$OLLAMA_MODELS"'))
        == "127.0.0.1:1,/nonexistent,"
    )


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo GNU coreutils 9.1", "is not Ollama"),
        ("exit 3", "is not Ollama"),
        (b"\x7fELF\x02\x01\x01" + b"\0" * 11 + b"\xb7\0" + b"\0" * 60, "is no program for this machine"),
        (b"#!/no/such/loader\n", "its loader is missing"),
    ],
)
def test_what_is_no_ollama_for_this_machine_is_said(program: Program, script: str | bytes, words: str) -> None:
    path = program(script)
    with pytest.raises(HostError, match=words):
        binary.version(path)
    found = binary.problem(path)
    assert found
    assert words in found.message
    assert found.path == path
    assert found.hint


def test_a_program_that_hangs_is_given_up(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binary, "_TIMEOUT", 0.1)
    with pytest.raises(HostError, match="did not end"):
        binary.version(program("exec sleep 9"))


def test_rights(program: Program, tmp_path: Path) -> None:
    path = program("echo client version is 1.0", mode=0o750)
    assert "chmod a+rx" in str(binary.problem(path))
    assert binary.problem(path, others=False) is None
    path = program("echo client version is 1.0")
    tmp_path.chmod(0o700)
    assert f"chmod o+x {tmp_path}" in str(binary.problem(path))


def gone(pid: int) -> bool:
    """Whether a process that was sent SIGKILL has ended, as it does when the machine finds the time."""
    stat = Path(f"/proc/{pid}/stat")
    for _ in range(200):
        if not stat.exists() or " Z " in stat.read_text():
            return True
        time.sleep(0.02)
    return False


def test_what_it_leaves_behind_or_says_without_end_holds_nobody_up(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child that keeps its output open, and one that never stops: both are over with the question."""
    assert binary.version(program("echo client version is 1.0; exec yes")) == "1.0"
    binary.version.cache_clear()
    told = tmp_path / "pid"
    told.touch()
    told.chmod(0o666)
    path = program(f"echo client version is 1.0; sleep 60 & echo $! > {told}; exec >&- 2>&-; exec sleep 60")
    for seconds in (0.3, 1, 4):  # a busy machine takes a while until there is a child
        monkeypatch.setattr(binary, "_TIMEOUT", seconds)
        with pytest.raises(HostError, match="did not end"):
            binary.version(path)
        if told.read_text():
            break
    assert gone(int(told.read_text()))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to give up")
@pytest.mark.parametrize("owner", [0, 1, 4711])
def test_root_lends_it_neither_its_rights_nor_its_terminal(
    program: Program, monkeypatch: pytest.MonkeyPatch, owner: int
) -> None:
    """Whoever can write the program would be root with the next plan: so it runs as its owner, or as nobody."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
    alone = '$([ "$(cut -d" " -f6 /proc/self/stat)" = $$ ] && echo alone)'  # a session of its own
    script = f'echo "client version is $(id -u)/$(id -G)/$PWD/$AWS_SECRET_ACCESS_KEY/{alone}"'
    path = program(script)
    os.chown(path, owner, -1)
    told = {0: "65534/65534", 1: "1/1", 4711: "4711/65534"}[owner]
    assert binary.version(path) == f"{told}////alone"
    binary.version.cache_clear()
    assert binary.version(path, others=False).startswith("0/0")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to give up")
def test_a_program_where_only_root_can_pass_is_asked_too(program: Program, tmp_path: Path) -> None:
    """As /root/bin/ollama: a unit is shown it all the same."""
    path = program('echo "client version is $(id -u)"')
    tmp_path.chmod(0o700)
    assert binary.version(path) == "65534"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_who_else_can_change_the_program_is_told(program: Program, tmp_path: Path) -> None:
    path = program("echo client version is 1.0")
    assert binary.exposure("/usr/bin/env") is None
    os.chown(path, 1, -1)
    found = binary.exposure(path)
    assert found
    assert (found.severity, found.path) == (Severity.WARNING, path)
    assert found.message == "daemon can change it, and so decides what the servers run"
    os.chown(path, 0, 0)
    os.chown(tmp_path, 1, -1)
    assert f"daemon can change {tmp_path}, and so" in str(binary.exposure(path))


def test_what_is_not_there_or_no_file(tmp_path: Path) -> None:
    assert "there is no such file" in str(binary.problem(str(tmp_path / "no")))
    assert "is not a file" in str(binary.problem(str(tmp_path)))
    with pytest.raises(HostError, match="there is no such file"):
        binary.version(str(tmp_path / "no"))
