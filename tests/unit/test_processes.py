import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ollamactl.host import processes


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A /proc with one process, 77, whose files a test fills."""
    folder = tmp_path / "77"
    (folder / "fd").mkdir(parents=True)
    for number, target in enumerate(("/dev/null", "socket:[41]", "anon_inode:[eventpoll]", "socket:[42]")):
        (folder / "fd" / str(number)).symlink_to(target)
    (folder / "cmdline").write_bytes(b"/usr/bin/ollama\0serve\0a\nb\0")
    (folder / "cgroup").write_text("0::/system.slice/ollama.service\n")
    (folder / "environ").write_bytes(b"XHOME=/no\0HOME=/root\0EMPTY=\0LAST=\xff=1")
    (folder / "exe").symlink_to("/usr/bin/ollama")
    (tmp_path / "self").mkdir()
    return tmp_path


@pytest.mark.parametrize(("inodes", "found"), [({42}, 42), ({7, 41}, 41), ({4}, None), (set(), None)])
def test_holds_socket(proc: Path, inodes: set[int], found: int | None) -> None:
    assert processes.holds_socket(77, inodes, proc) == found


def test_a_process_that_is_gone_holds_nothing_and_says_nothing(proc: Path) -> None:
    assert processes.holds_socket(78, {41}, proc) is None
    assert processes.environ(78, "HOME", proc) is None
    assert processes.same_binary(78, "/usr/bin/env", proc) is None
    assert processes.unit_of(78, proc) is None
    assert processes.started_at(78, proc) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [("HOME", "/root"), ("XHOME", "/no"), ("EMPTY", ""), ("LAST", "\udcff=1"), ("OME", None), ("root", None)],
)
def test_environ_finds_whole_names_only(proc: Path, name: str, value: str | None) -> None:
    assert processes.environ(77, name, proc) == value


@pytest.mark.parametrize(
    ("cgroup", "unit"),
    [
        ("0::/system.slice/system-ollama.slice/ollama@llama3.service\n", "ollama@llama3.service"),
        ("0::/system.slice/ollama@x.service/runner\n", "ollama@x.service"),
        ("9:name=systemd:/system.slice/a.service\n8:pids:/b.service\n0::/init.scope\n", "a.service"),
        ("9:name=systemd:/\n0::/system.slice/a.service\n", "a.service"),
        ("9:name=systemd:/../..\n0::/session-3.scope\n", "session-3.scope"),
        ("1:name=systemd:/user.slice/user-1000.slice/session-3.scope\n0::/\n", "session-3.scope"),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/ollama@x.service\n", "ollama@x.service"),
        ("0::/system.slice/docker-0a1b.scope\n", "docker-0a1b.scope"),
        ("0::/system.slice/a:b.service (deleted)\n", "a:b.service"),
        ("0::/\n", None),
        ("8:memory:/process_api/82\n", None),
    ],
)
def test_unit_of_is_the_innermost_unit(proc: Path, cgroup: str, unit: str | None) -> None:
    (proc / "77/cgroup").write_text(cgroup)
    assert processes.unit_of(77, proc) == unit


def test_owner_says_who_in_one_line(proc: Path) -> None:
    assert processes.owner(42, proc) == processes.Process(
        pid=77, command="/usr/bin/ollama serve a b", unit="ollama.service", exe="/usr/bin/ollama"
    )
    assert processes.owner(43, proc) is None


def test_a_long_command_is_cut_and_a_kernel_thread_has_brackets(proc: Path) -> None:
    (proc / "77/cmdline").write_bytes(b"x" * 5000)
    assert len(processes.describe(77, proc).command) == 200
    (proc / "77/cmdline").write_bytes(b"")
    (proc / "77/comm").write_text("kworker/0:1\n")
    assert processes.describe(77, proc).command == "[kworker/0:1]"


def test_this_process_on_the_running_kernel() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        inode = os.fstat(server.fileno()).st_ino
        assert processes.holds_socket(os.getpid(), {inode}) == inode
        holder = processes.owner(inode)
    assert holder
    assert holder.pid == os.getpid()
    assert Path(holder.exe or "").samefile(sys.executable)


def test_started_at_tells_what_was_before_a_start_from_what_came_after() -> None:
    before = time.time()
    with subprocess.Popen(["sleep", "9"]) as child:
        after = time.time()
        started = processes.started_at(child.pid)
        child.kill()
    assert started is not None
    assert before < started < after + 0.05


def test_a_script_is_the_same_until_it_or_the_program_behind_it_is_replaced(tmp_path: Path) -> None:
    script, program = tmp_path / "wrapper", tmp_path / "program"
    script.write_text(f'#!/bin/sh\nexec {program} "$@"\n')
    script.chmod(0o755)
    shutil.copy("/bin/sleep", program)
    with subprocess.Popen([script, "9"]) as child:
        while processes.describe(child.pid).exe != str(program):
            assert child.poll() is None
        assert processes.same_binary(child.pid, str(script)) is True
        shutil.copy(program, tmp_path / "new")
        (tmp_path / "new").rename(program)
        assert processes.same_binary(child.pid, str(script)) is False
        child.kill()
    with subprocess.Popen([script, "9"]) as child:
        started = processes.started_at(child.pid) or 0.0
        # The clock for files goes in ticks, and the start is told anew each time, with what passes between two clocks
        while (processes.changed_at(str(script)) or 0.0) <= started + 0.1:
            script.touch()
        assert processes.same_binary(child.pid, str(script)) is False
        script.unlink()
        assert processes.same_binary(child.pid, str(script)) is False
        child.kill()


def test_a_replaced_binary_is_another_even_while_it_runs(tmp_path: Path) -> None:
    binary = tmp_path / "program"
    shutil.copy("/bin/sleep", binary)
    with subprocess.Popen([binary, "9"]) as child:
        assert processes.same_binary(child.pid, str(binary)) is True
        shutil.copy("/bin/sleep", tmp_path / "new")
        (tmp_path / "new").rename(binary)
        assert processes.same_binary(child.pid, str(binary)) is False
        binary.unlink()
        assert processes.same_binary(child.pid, str(binary)) is False
        child.kill()
