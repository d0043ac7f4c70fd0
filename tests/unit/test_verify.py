"""Who holds a port: looked up among real sockets and processes, by root and by others."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from ollamactl.model import Backend, Instance
from ollamactl.observed import Active, UnitState
from ollamactl.proving.proof import Answers, CheckKind, Expected, ModelSize, Proof
from ollamactl.proving.verify import Subject, expectations, prove
from tests.unit.server import free_port, instance, saying, talking

HERE = Path(__file__).parents[2]
SQUATTER = (
    "import socket, sys\n"
    "one = socket.create_server(('127.0.0.1', 0))\n"
    "print(one.getsockname()[1], flush=True)\n"
    "sys.stdin.read()\n"
)


@contextmanager
def squatter() -> Iterator[tuple[int, int]]:
    """Another process that listens; its pid and port."""
    command = [sys.executable, "-c", SQUATTER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield process.pid, int(process.stdout.readline())
        assert process.stdin
        process.stdin.close()


def unit(pid: int, active: Active = Active.ACTIVE, restarts: int = 0) -> UnitState:
    return UnitState(name="ollama@x.service", active=active, sub_state="running", main_pid=pid, restarts=restarts)


def proved(port: int, state: UnitState, *, failure: str = "") -> Proof:
    answers = Answers(failure=failure) if failure else Answers(version="1", models={})
    subject = Subject(instance=instance(port), unit=state, answers=answers, expected=Expected(), restarts_before=0)
    return prove([subject], user=False)[0]


def listener(proof: Proof) -> str:
    return next(check.found for check in proof.checks if check.kind is CheckKind.LISTENER)


def test_the_main_process_holds_its_port() -> None:
    with talking(saying()) as port:
        proof = proved(port, unit(os.getpid()))
    assert proof.ok
    assert listener(proof) == f"pid {os.getpid()} of ollama@x.service"


def test_another_process_on_the_port_is_found_and_named() -> None:
    with squatter() as (pid, port):
        proof = proved(port, unit(os.getpid()))
    assert not proof.ok
    assert proof.evidence.holder
    assert (proof.evidence.holder.pid, proof.evidence.holder_is_ours) == (pid, False)
    assert f"pid {pid} ({sys.executable} -c import socket" in listener(proof)


def test_a_squatter_is_named_also_where_it_does_not_answer() -> None:
    with squatter() as (pid, port):
        proof = proved(port, unit(0, Active.FAILED), failure="no HTTP answer within 5s")
    assert [check.kind for check in proof.failures] == [CheckKind.UNIT, CheckKind.LISTENER]
    assert f"pid {pid} " in listener(proof)


def test_a_unit_that_does_not_run_holds_nothing() -> None:
    with talking(saying()) as port:
        proof = proved(port, unit(0, Active.INACTIVE))
    assert f"is held by pid {os.getpid()} " in listener(proof)


def test_an_answer_without_a_listener_is_no_proof() -> None:
    proof = proved(free_port(), unit(os.getpid()))
    assert listener(proof) == "an answer, though no process here listens"


def test_nobody_listens_and_nobody_answers() -> None:
    proof = proved(free_port(), unit(os.getpid()), failure="connection refused")
    assert [check.kind for check in proof.failures] == [CheckKind.HTTP]


AS_NOBODY = """
import os, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
from tests.unit.test_verify import listener, proved, unit
proof = proved(int(sys.argv[1]), unit(int(sys.argv[2])))
print(proof.ok, listener(proof), sep=": ")
"""


@pytest.mark.skipif(os.geteuid() != 0 and os.environ.get("CI") != "true", reason="needs root, to give it up")
@pytest.mark.parametrize(
    ("runs", "says"),
    [
        pytest.param(True, "True: not looked at: that needs root\n", id="a server of another user"),
        pytest.param(False, "False: {listen} is held by a process that only root may see\n", id="a unit that is down"),
    ],
)
def test_who_is_not_root_is_not_fooled_but_told_what_is_unknown(runs: bool, says: str) -> None:
    with squatter() as (pid, port):
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, str(port), str(pid if runs else 0)],
            capture_output=True,
            text=True,
            cwd=HERE,
        )
    assert (done.stdout, done.stderr) == (says.format(listen=f"127.0.0.1:{port}"), "")


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "journalctl"
    program.write_text("#!/bin/sh\necho panic: out of luck\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")


@pytest.mark.usefixtures("journal")
def test_the_journal_is_read_for_a_server_that_is_down_and_no_other() -> None:
    down = proved(free_port(), unit(0, Active.FAILED), failure="connection refused")
    assert down.evidence.journal == ("panic: out of luck",)
    silent = proved(free_port(), unit(os.getpid()), failure="connection refused")
    assert silent.evidence.journal == ("panic: out of luck",)
    with talking(saying()) as port:
        assert proved(port, unit(os.getpid())).evidence.journal == ()
    with squatter() as (_, port):
        assert proved(port, unit(os.getpid())).evidence.journal == ()


def fake_process(proc: Path, pid: int, *opened: str, children: str = "") -> None:
    (proc / f"{pid}/task/{pid}").mkdir(parents=True)
    (proc / f"{pid}/task/{pid}/children").write_text(children)
    (proc / f"{pid}/fd").mkdir()
    for number, target in enumerate(opened):
        (proc / f"{pid}/fd/{number}").symlink_to(target)


@pytest.mark.parametrize(
    ("node", "vram"),
    [
        ("/dev/nvidia0", 500),
        ("/dev/dri/renderD128", 500),
        ("/dev/kfd", 500),
        ("/dev/null", 0),
        ("/home/nvidia0", 0),
    ],
)
def test_what_ollama_takes_for_vram_is_none_without_an_open_card(tmp_path: Path, node: str, vram: int) -> None:
    fake_process(tmp_path, 77, "/dev/null", children="78 79 ")
    fake_process(tmp_path, 78, "socket:[4]")
    fake_process(tmp_path, 79, "/dev/null", node)
    answers = Answers(version="1", loaded={"m:latest": ModelSize(size=1000, size_vram=500)})
    subject = Subject(instance=instance(9), unit=unit(77), answers=answers, expected=Expected())

    (proof,) = prove([subject], user=False, proc=tmp_path)

    assert proof.evidence.answers.loaded["m:latest"] == ModelSize(size=1000, size_vram=vram)


@pytest.mark.parametrize(("gpu", "vram"), [(None, 500), (False, 0)])
def test_where_an_evicted_model_was_no_open_card_tells_unless_none_is_allowed(
    tmp_path: Path, gpu: bool | None, vram: int
) -> None:
    fake_process(tmp_path, 77, "/dev/null")
    size = ModelSize(size=1000, size_vram=500)
    answers = Answers(version="1", loaded={"n:latest": replace(size, size_vram=0)}, evicted={"m:latest": size})
    subject = Subject(instance=instance(9), unit=unit(77), answers=answers, expected=Expected(gpu=gpu))

    (proof,) = prove([subject], user=False, proc=tmp_path)

    assert proof.evidence.answers.evicted["m:latest"].size_vram == vram


def test_what_ollama_says_counts_where_nobody_may_look(tmp_path: Path) -> None:
    fake_process(tmp_path, 77, "/dev/null")
    (tmp_path / "77/fd").rename(tmp_path / "77/hidden")
    answers = Answers(version="1", loaded={"m:latest": ModelSize(size=1000, size_vram=500)})
    subject = Subject(instance=instance(9), unit=unit(77), answers=answers, expected=Expected())

    (proof,) = prove([subject], user=False, proc=tmp_path)

    assert proof.evidence.answers == answers


CPU = Instance(name="cpu", port=1, models=("m:latest", "lost:latest"), gpus=())
CARD = Instance(name="card", port=2, models=("m:latest",), gpus=("0",), binary="/opt/ollama")
ANY = Instance(name="any", port=3, models=())
FORCED = Instance(name="forced", port=4, models=(), gpus=("0",), backend=Backend.CPU)


@pytest.mark.parametrize(
    ("has_gpu", "places"),
    [
        (True, {"cpu": False, "card": True, "any": None, "forced": False}),
        (False, {"cpu": False, "card": False, "any": False, "forced": False}),
        (None, {"cpu": False, "card": True, "any": None, "forced": False}),
    ],
)
def test_where_models_must_land_follows_from_spec_and_host(
    has_gpu: bool | None, places: dict[str, bool | None]
) -> None:
    found = expectations((CPU, CARD, ANY, FORCED), {}, {}, load=True, has_gpu=has_gpu)
    assert {name: expected.gpu for name, expected in found.items()} == places


def test_what_a_server_must_say_comes_from_store_and_binary() -> None:
    versions = {"/usr/local/bin/ollama": "0.34.0", "/opt/ollama": None}
    found = expectations((CPU, CARD), {"m:latest": "a" * 64, "other": "b"}, versions, load=False, has_gpu=True)
    assert found == {
        "cpu": Expected(version="0.34.0", models={"m:latest": "a" * 64, "lost:latest": ""}, gpu=False),
        "card": Expected(version=None, models={"m:latest": "a" * 64}, gpu=True),
    }
