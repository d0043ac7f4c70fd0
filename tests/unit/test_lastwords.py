"""Why a server ended, out of a journal that is full of stacks."""

from ollamactl.proving import lastwords

STARTED = ["Starting ollama@one.service - Ollama server one...", 'msg="Listening on 127.0.0.1:11434"']
ENDED = ["ollama@one.service: Main process exited, code=exited, status=2", "ollama@one.service: Failed with result"]
STACK = [f"\t/go/src/runtime/proc.go:{number} +0x1a fp=0xc0 sp=0xc0 pc=0x47" for number in range(180)]


def test_a_short_journal_is_told_whole() -> None:
    assert lastwords.telling([*STARTED, *ENDED]) == (*STARTED, *ENDED)


def test_without_a_stack_the_last_lines_are_told() -> None:
    lines = [f"line {number}" for number in range(30)]
    assert lastwords.telling(lines) == tuple(lines[-10:])


def test_the_cause_of_a_crash_is_told_before_its_stack() -> None:
    crash = ["SIGABRT: abort", "PC=0x47 m=0 sigcode=0", "", "goroutine 0 [idle]:"]

    told = lastwords.telling([*STARTED, *crash, *STACK, *ENDED])

    assert len(told) == 10
    assert told[:3] == (STARTED[1], "SIGABRT: abort", "PC=0x47 m=0 sigcode=0")
    assert told[6:] == ("... 178 lines of stacks ...", STACK[-1], *ENDED)


def test_of_several_crashes_the_last_is_told_and_its_lines_stay_together() -> None:
    old = ["panic: the first", *STACK, *ENDED]
    new = ["fatal error: unexpected signal during runtime execution", "runtime: g 0: unexpected return pc", *STACK]

    told = lastwords.telling([*old, *STARTED, *new, *ENDED])

    assert told[:3] == (STARTED[1], *new[:2])


def test_a_crash_before_somebody_started_it_anew_is_not_why_it_ended_now() -> None:
    quiet = [f"line {number}" for number in range(30)]
    lines = ["panic: long ago", *STACK, *ENDED, *STARTED, *quiet, *ENDED]

    assert lastwords.telling(lines) == tuple(lines[-10:])


def test_a_crash_that_systemd_followed_up_by_a_restart_is_why() -> None:
    lines = [*STARTED, "panic: again", *STACK, *ENDED, "ollama@one.service: Scheduled restart job", *STARTED]

    assert lastwords.telling(lines)[1] == "panic: again"


def test_an_error_in_the_last_lines_is_there_anyway() -> None:
    lines = [*(f"line {number}" for number in range(30)), "Error: listen tcp: address already in use", *ENDED]
    assert lastwords.telling(lines) == tuple(lines[-10:])
