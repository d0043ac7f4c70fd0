"""How much of its model a runner has read, of a real process that reads as runners do."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ollamactl.host import loading

SIZE = 64 << 20
RUNNER = """
import mmap, os, sys
how, path = sys.argv[1], sys.argv[sys.argv.index("--model") + 1]
file = open(path, "rb") if os.path.exists(path) else None
if how == "maps":
    mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    mapped.madvise(mmap.MADV_RANDOM)  # each page by itself
    for at in range(0, len(mapped) // 2, mmap.PAGESIZE):
        mapped[at]
elif how == "reads":
    for _ in range(16):
        os.read(file.fileno(), 1 << 20)
print("ready", flush=True)
input()
"""
SERVER = """
import subprocess, sys
subprocess.run(sys.argv[1:])
"""


@contextmanager
def server(folder: Path, *words: str) -> Iterator[int]:
    """A process with a runner for a child; yields its number."""
    runner = folder / "llama-server"
    runner.symlink_to(sys.executable)
    command = [sys.executable, "-c", SERVER, str(runner), "-c", RUNNER, *words]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process.pid
        process.communicate("\n")


@pytest.mark.parametrize(("how", "least", "most"), [("maps", 50, 60), ("reads", 25, 35), ("waits", 0, 10)])
def test_what_a_runner_has_mapped_or_read_is_told(tmp_path: Path, how: str, least: int, most: int) -> None:
    model = tmp_path / "sha256-1"
    model.write_bytes(bytes(SIZE))
    with server(tmp_path, how, "--model", str(model), "--port", "1") as pid:
        found = loading.read(pid)
    assert found is not None
    assert (found.total, least <= 100 * found.done // SIZE <= most) == (SIZE, True), found


def test_what_does_not_show_is_not_told(tmp_path: Path) -> None:
    with server(tmp_path, "waits", "--model", str(tmp_path / "gone"), "--port", "1") as pid:
        assert loading.read(pid) is None
    assert loading.read(pid) is None, "it has ended"
    assert loading.read(0) is None
