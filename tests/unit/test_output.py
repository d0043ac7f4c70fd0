"""What goes to which stream; tests/cli has the same with a terminal."""

import io
import json
import sys
from contextlib import suppress

import pytest

from ollamactl import output
from ollamactl.errors import ExitCode, Problem, Severity
from ollamactl.result import Result

ERROR = Problem(message="it is wrong", hint="mend it")
WARNING = Problem(message="it is odd", severity=Severity.WARNING)
RESULT = Result(
    command="plan", exit_code=ExitCode.DRIFT, problems=(WARNING, ERROR), text="the plan", data={"steps": ["für"]}
)


def test_a_result_goes_to_stdout_and_problems_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert output.show(RESULT, as_json=False) == 3
    assert capsys.readouterr() == ("the plan\n", "warning: it is odd\nerror: it is wrong\n  hint: mend it\n")


def test_quiet_leaves_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert output.show(RESULT, as_json=False, quiet=True) == 3
    assert capsys.readouterr() == ("the plan\n", "error: it is wrong\n  hint: mend it\n")


def test_a_result_without_words_is_no_empty_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert output.show(Result(command="render"), as_json=False) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("quiet", [False, True])
def test_json_is_the_envelope_alone(capsys: pytest.CaptureFixture[str], quiet: bool) -> None:
    assert output.show(RESULT, as_json=True, quiet=quiet) == 3
    said = capsys.readouterr()
    assert said.err == ""
    assert json.loads(said.out) == RESULT.envelope()
    assert "für" in said.out


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
@pytest.mark.parametrize("as_json", [True, False])
def test_no_name_is_too_odd_to_be_printed(monkeypatch: pytest.MonkeyPatch, encoding: str, as_json: bool) -> None:
    """A file's name that is no UTF-8 (a lone surrogate), or what a terminal has no letter for."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    result = Result(command="check", text="\udcff \N{SNOWMAN}", data={"name": "\udcff \N{SNOWMAN}"})
    assert output.show(result, as_json=as_json) == 0
    stream.flush()
    if as_json:
        assert json.loads(raw.getvalue().decode("utf-8")) == result.envelope()
    else:
        assert raw.getvalue().decode(encoding).startswith("\\udcff ")


def test_nobody_at_the_terminal_means_no(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert output.ask("Really?") is None
    assert capsys.readouterr() == ("", "")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("y\n", True), ("YES\n", True), ("n\n", False), ("\n", False), ("", False), ("yeah\n", False), ("y", True)],
)
def test_a_question_is_answered_by_yes_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], typed: str, meant: bool
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    assert output.ask("Really?") is meant
    assert capsys.readouterr() == ("", f"Really? [y/N] {'' if typed.endswith(chr(10)) else chr(10)}")


def test_progress_is_a_line_each_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with output.Progress(enabled=True) as tell:
        tell("", "writing 2 files")
        tell("llama3", "stopped")
    assert capsys.readouterr() == ("", "writing 2 files\nllama3: stopped\n")


def test_progress_may_be_unwanted(capsys: pytest.CaptureFixture[str]) -> None:
    with output.Progress(enabled=False) as tell:
        tell("llama3", "stopped")
    assert capsys.readouterr() == ("", "")


def test_progress_on_a_terminal_is_one_line_an_instance_and_gone_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    with output.Progress(enabled=True) as tell:
        tell("llama3", "stopped")
        tell("embed", "started")
        before = len(screen.getvalue())
        tell("llama3", "answers")
        shown = screen.getvalue()[before:]
        assert "llama3  answers" in shown
        assert "embed   started" in shown
        assert "stopped" not in shown
    assert screen.getvalue().count("\x1b[2K") >= 2
    assert screen.getvalue().rstrip().endswith("\x1b[2K") or screen.getvalue().endswith("\x1b[?25h")


@pytest.mark.parametrize(
    "words", ["answers on [fd00::1]:11434", "failed: GET / answers 500 [/x] boom", ":warning: [b]"]
)
def test_a_strangers_words_are_no_markup(monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    with output.Progress(enabled=True) as tell:
        tell("llama3", words)
        assert f"llama3  {words}" in screen.getvalue()


def test_an_error_while_waiting_leaves_a_clean_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    with suppress(ZeroDivisionError), output.Progress(enabled=True) as tell:
        tell("llama3", "stopped")
        1 // 0  # noqa: B018
    assert "\x1b[?25h" in screen.getvalue(), "the cursor is shown again"
