"""A signal ends what may be ended, and waits for what may not."""

import os
import signal

import pytest

from ollamactl import interrupt
from ollamactl.errors import ExitCode, Interrupted


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_what_it_meets(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    reached = []

    def work() -> None:
        with interrupt.heard():
            os.kill(os.getpid(), number)
            reached.append("after")

    with pytest.raises(Interrupted, match=f"^interrupted by {number.name}$") as caught:
        work()
    assert not reached
    assert caught.value.exit_code is ExitCode.INTERRUPTED
    assert signal.getsignal(number) is before


def test_what_must_not_be_broken_is_done_first() -> None:
    reached = []

    def work() -> None:
        with interrupt.heard():
            with interrupt.unbroken():
                os.kill(os.getpid(), signal.SIGTERM)
                with interrupt.unbroken():
                    os.kill(os.getpid(), signal.SIGINT)
                    reached.append("inner")
                reached.append("outer")
            reached.append("after")

    with pytest.raises(Interrupted):
        work()
    assert reached == ["inner", "outer"]


def test_a_failure_within_is_not_hidden_by_a_signal() -> None:
    def work() -> None:
        with interrupt.heard(), interrupt.unbroken():
            os.kill(os.getpid(), signal.SIGINT)
            raise ValueError("real")

    with pytest.raises(ValueError, match="real"):
        work()


def test_without_a_signal_nothing_happens() -> None:
    with interrupt.heard(), interrupt.unbroken():
        pass
