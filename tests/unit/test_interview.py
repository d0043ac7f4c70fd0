"""Many servers asked at once: those that start are waited for, and none that hangs holds up another."""

import math
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from ollamactl.proving import probe
from ollamactl.proving.interview import Interviewer
from ollamactl.proving.proof import Answers, ModelSize
from tests.unit.server import Ollama, free_port, hang, http, instance, ollama, saying, talking

WELL = Answers(version="0.34.0", models={"m:latest": "a" * 64})


@pytest.fixture
def interviewer() -> Iterator[Interviewer]:
    one = Interviewer()
    yield one
    one.close()


def soon(seconds: float = 5.0) -> float:
    return time.monotonic() + seconds


def test_a_server_that_runs_answers_at_once(interviewer: Interviewer) -> None:
    with ollama(Ollama()) as port:
        assert interviewer.ask(instance(port)).result(5) == WELL


def test_what_is_in_memory_is_told_when_asked(interviewer: Interviewer) -> None:
    with ollama(Ollama(loaded={"m:latest": (1000, 500)})) as port:
        assert interviewer.ask(instance(port)).result(5).loaded == {}
        found = interviewer.ask(instance(port), loaded=True).result(5).loaded
    assert found == {"m:latest": ModelSize(size=1000, size_vram=500)}


def test_without_patience_nobody_waits(interviewer: Interviewer) -> None:
    assert interviewer.ask(instance(free_port())).result(5) == Answers(failure="connection refused")


def test_a_server_that_is_late_is_waited_for(interviewer: Interviewer) -> None:
    port = free_port()
    answer = interviewer.ask(instance(port), patient=True, deadline=soon())
    time.sleep(0.1)
    assert not answer.done()
    with ollama(Ollama(), port=port):
        assert answer.result(5) == WELL


def test_a_server_that_binds_first_and_answers_later_is_waited_for(interviewer: Interviewer) -> None:
    """As Ollama does while it looks for cards."""
    with ollama(Ollama(), bound_for=0.3) as port:
        answer = interviewer.ask(instance(port), patient=True, deadline=soon())
        time.sleep(0.1)
        assert not answer.done()
        assert answer.result(5) == WELL


def test_a_server_that_binds_and_never_answers_is_told_apart_from_one_that_is_not_there(
    interviewer: Interviewer,
) -> None:
    with talking(hang) as port:
        answer = interviewer.ask(instance(port), patient=True, deadline=soon(0.2)).result(5)
    assert answer.failure == "no HTTP answer, still after 200ms"


def test_without_patience_a_hanging_server_costs_no_more_than_is_left(interviewer: Interviewer) -> None:
    with talking(hang) as port:
        answer = interviewer.ask(instance(port), deadline=soon(0.2)).result(2)
        late = interviewer.ask(instance(port), deadline=soon(-1)).result(2)
    assert (answer.failure, late.failure) == ("no HTTP answer within 200ms", "no HTTP answer within 100ms")


def test_waiting_ends_at_the_deadline(interviewer: Interviewer) -> None:
    started = time.monotonic()
    answer = interviewer.ask(instance(free_port()), patient=True, deadline=soon(0.3)).result(5)
    assert answer.failure == "connection refused, still after 300ms"
    assert time.monotonic() - started < 2


def test_a_server_that_is_not_there_is_asked_ever_more_seldom(
    interviewer: Interviewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []

    def refuse(_: probe.Server) -> str:
        asked.append(time.monotonic())
        raise probe.Unreachable("connection refused")

    monkeypatch.setattr(probe.Server, "version", refuse)
    interviewer.ask(instance(1), patient=True, deadline=soon(1)).result(5)
    assert 5 < len(asked) < 20


def test_somebody_else_who_answers_is_not_waited_for(interviewer: Interviewer) -> None:
    with talking(saying(b"220 mail.example ESMTP\r\n")) as port:
        answer = interviewer.ask(instance(port), patient=True, deadline=math.inf).result(5)
    assert answer.failure == "an answer that is no HTTP: 220 mail.example ESMTP"


def test_giving_up_ends_the_waiting_at_once_also_where_a_server_hangs(interviewer: Interviewer) -> None:
    with talking(hang) as port:
        answer = interviewer.ask(instance(port), patient=True, deadline=math.inf)
        time.sleep(0.05)
        interviewer.give_up(answer)
        assert answer.result(0) == Answers(failure="no answer")


def test_giving_up_tells_what_the_last_attempt_came_to(interviewer: Interviewer) -> None:
    answer = interviewer.ask(instance(free_port()), patient=True, deadline=math.inf)
    time.sleep(0.1)
    interviewer.give_up(answer)
    assert answer.result(0) == Answers(failure="connection refused")


def test_an_answer_is_not_taken_back_by_giving_up_late(interviewer: Interviewer) -> None:
    with ollama(Ollama()) as port:
        answer = interviewer.ask(instance(port))
        assert answer.result(5) == WELL
        interviewer.give_up(answer)
        assert answer.result(0) == WELL


def test_more_that_do_not_answer_than_there_are_threads_hold_up_nobody() -> None:
    one = Interviewer(workers=2)
    with ExitStack() as stack:
        stack.callback(one.close)
        port = stack.enter_context(ollama(Ollama()))  # first: it could be given one of the ports that are free
        silent = [one.ask(instance(free_port()), patient=True, deadline=math.inf) for _ in range(20)]
        assert one.ask(instance(port), patient=True, deadline=soon()).result(5) == WELL
        assert not any(answer.done() for answer in silent)


def test_a_hundred_are_asked_by_a_few_threads(interviewer: Interviewer) -> None:
    with ollama(Ollama()) as port:
        answers = [interviewer.ask(instance(port), patient=True, deadline=soon(20)) for _ in range(100)]
        assert all(answer.result(20) == WELL for answer in answers)
    assert sum(thread.name.startswith("probe-") for thread in threading.enumerate()) <= 16


def test_models_are_loaded_in_turn_and_told_with_their_place(interviewer: Interviewer) -> None:
    behaviour = Ollama(models={"m:latest": "a" * 64, "n:latest": "b" * 64})
    behaviour.load_gate.set()
    with ollama(behaviour) as port:
        answers = interviewer.ask(instance(port), load=("m:latest", "n:latest")).result(5)
    assert answers.loaded == dict.fromkeys(("m:latest", "n:latest"), ModelSize(size=1000, size_vram=0))
    assert answers.load_failures == {}
    assert [asked for asked in behaviour.asked if "generate" in asked] == [
        "/api/generate m:latest",
        "/api/generate n:latest",
    ]


def test_where_a_model_was_is_known_though_the_next_took_its_place(interviewer: Interviewer) -> None:
    """As with `max_loaded_models: 1`."""
    behaviour = Ollama(loaded={"m:latest": (1000, 1000)}, room=1)
    behaviour.load_gate.set()
    with ollama(behaviour) as port:
        answers = interviewer.ask(instance(port), load=("m:latest", "n:latest", "o:latest")).result(5)
    assert answers.loaded == {"o:latest": ModelSize(size=1000, size_vram=0)}
    assert answers.evicted == {
        "m:latest": ModelSize(size=1000, size_vram=1000),
        "n:latest": ModelSize(size=1000, size_vram=0),
    }


def test_a_model_that_is_loaded_is_left_as_its_client_wants_it(interviewer: Interviewer) -> None:
    behaviour = Ollama(loaded={"m:latest": (1000, 1000)})
    with ollama(behaviour) as port:
        answers = interviewer.ask(instance(port), load=("m:latest",)).result(5)
    assert answers.loaded == {"m:latest": ModelSize(size=1000, size_vram=1000)}
    assert not [asked for asked in behaviour.asked if "generate" in asked]


def test_a_load_that_fails_is_told_beside_those_that_work(interviewer: Interviewer) -> None:
    behaviour = Ollama(load_error="out of memory", loaded={"m:latest": (1000, 0)})
    behaviour.load_gate.set()
    with ollama(behaviour) as port:
        answers = interviewer.ask(instance(port), load=("m:latest", "n:latest")).result(5)
    assert answers.load_failures == {"n:latest": "loading n:latest failed: out of memory"}
    assert answers.failure == ""


def test_a_load_ends_at_the_deadline_too(interviewer: Interviewer) -> None:
    with ollama(Ollama()) as port:
        answers = interviewer.ask(instance(port), load=("m:latest",), deadline=soon(0.3)).result(5)
    assert answers.load_failures == {"m:latest": "m:latest was not loaded within 1s"}


def test_a_load_waits_behind_those_that_were_not_asked_at_all() -> None:
    one, behaviour = Interviewer(workers=1), Ollama()
    with ExitStack() as stack:
        stack.callback(one.close)
        port = stack.enter_context(ollama(behaviour))
        loading = one.ask(instance(port), load=("m:latest",))
        others = [one.ask(instance(port)) for _ in range(5)]
        assert all(answer.result(5) == WELL for answer in others)
        assert not loading.done()
        behaviour.load_gate.set()
        assert loading.result(5).loaded


def test_a_fault_of_our_own_reaches_who_waits(interviewer: Interviewer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ollamactl.proving.probe.Server.tags", lambda _: 1 // 0)
    with talking(http(b'{"version": "1"}')) as port, pytest.raises(ZeroDivisionError):
        interviewer.ask(instance(port)).result(5)


def test_a_hanging_load_does_not_keep_the_program_from_its_end() -> None:
    code = (
        "import sys\n"
        "from ollamactl.proving.interview import Interviewer\n"
        "from tests.unit.server import *\n"
        "with ollama(Ollama()) as port, talking(hang) as other:\n"
        "    one = Interviewer()\n"
        "    one.ask(instance(port), load=('m:latest',))\n"
        "    one.ask(instance(other), patient=True)\n"
        "    import time; time.sleep(0.3)\n"
        "    one.close()\n"
        "    sys.stdout.write('the end'); sys.stdout.flush()\n"
        "    raise SystemExit\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20)
    assert (done.stdout, done.returncode) == ("the end", 0)
