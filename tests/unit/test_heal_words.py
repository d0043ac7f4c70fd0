"""What a run of heal says: to people, to the journal, to Prometheus."""

import re
from dataclasses import replace

import pytest

from ollamactl.healing import metrics, tell
from ollamactl.healing.judge import Memory, Verdict, judge
from ollamactl.healing.signs import Life
from ollamactl.model import State
from ollamactl.proving.proof import ModelSize
from tests import jsondoc
from tests.unit.test_judge import DOWN, SILENT, WELL, having, looks, runner

FIGURES = """\
# HELP ollamactl_server_up Whether the server answers HTTP.
# TYPE ollamactl_server_up gauge
ollamactl_server_up{instance="llama3",unit="ollama@llama3.service",listen="127.0.0.1:11434"} 1
# HELP ollamactl_server_wanted Whether the spec wants the server to run.
# TYPE ollamactl_server_wanted gauge
ollamactl_server_wanted{instance="llama3",unit="ollama@llama3.service",listen="127.0.0.1:11434"} 1
# HELP ollamactl_server_busy Whether the server was answering a request, or loading a model.
# TYPE ollamactl_server_busy gauge
ollamactl_server_busy{instance="llama3",unit="ollama@llama3.service",listen="127.0.0.1:11434"} 1
# HELP ollamactl_server_failing Whether the server, or a runner of it, hangs.
# TYPE ollamactl_server_failing gauge
ollamactl_server_failing{instance="llama3",unit="ollama@llama3.service",listen="127.0.0.1:11434"} 0
# HELP ollamactl_heal_failures Failures in a row.
# TYPE ollamactl_heal_failures gauge
ollamactl_heal_failures{instance="llama3",unit="ollama@llama3.service",listen="127.0.0.1:11434"} 0
# HELP ollamactl_heal_restarts_total Restarts by heal since the boot.
# TYPE ollamactl_heal_restarts_total counter
ollamactl_heal_restarts_total{instance="llama3",unit="ollama@llama3.service",listen="127.0.0.1:11434"} 2
# HELP ollamactl_loaded_models Models in memory, as Ollama tells.
# TYPE ollamactl_loaded_models gauge
ollamactl_loaded_models{instance="llama3",unit="ollama@llama3.service",listen="127.0.0.1:11434"} 2
# HELP ollamactl_loaded_bytes What they take, as Ollama tells.
# TYPE ollamactl_loaded_bytes gauge
ollamactl_loaded_bytes{instance="llama3",unit="ollama@llama3.service",listen="127.0.0.1:11434"} 7000000000
# HELP ollamactl_vram_bytes How much of that is on cards, as Ollama tells.
# TYPE ollamactl_vram_bytes gauge
ollamactl_vram_bytes{instance="llama3",unit="ollama@llama3.service",listen="127.0.0.1:11434"} 4000000000
# HELP ollamactl_heal_last_run_timestamp_seconds When these figures were taken.
# TYPE ollamactl_heal_last_run_timestamp_seconds gauge
ollamactl_heal_last_run_timestamp_seconds 1795546270
"""


def working() -> Verdict:
    sizes = {"a": ModelSize(size=5 * 10**9, size_vram=4 * 10**9), "b": ModelSize(size=2 * 10**9, size_vram=0)}
    return judge(replace(having(runner(Life.BUSY)), loaded=sizes), Memory(restarts=2), limit=3)


def test_the_figures_of_a_server() -> None:
    assert metrics.text([working()], now=1795546270.4) == FIGURES


def test_each_figure_is_described_once_however_many_servers_there_are() -> None:
    stopped = replace(DOWN.instance, state=State.STOPPED, gpus=())
    text = metrics.text([working(), looks(SILENT), looks(replace(DOWN, instance=stopped))], now=0)
    names = re.findall(r"^# TYPE (\w+) \w+$", text, re.MULTILINE)
    assert len(names) == len(set(names))
    rows = re.findall(r'^(\w+)(?:\{\w+="[^"]*"(?:,\w+="[^"]*")*\})? -?[0-9]+$', text, re.MULTILINE)
    assert len(rows) == 3 * (len(names) - 1) + 1
    assert set(rows) == set(names)


def test_a_server_without_cards_has_nothing_on_one() -> None:
    """Ollama takes buffers for VRAM that are none, such as Intel's AMX."""
    verdict = working()
    plain = replace(verdict.signs, instance=replace(verdict.signs.instance, gpus=()))
    assert "vram_bytes{" in (text := metrics.text([replace(verdict, signs=plain)], now=0))
    assert re.search(r"vram_bytes\{.*\} 0$", text, re.MULTILINE)


HUNG = looks(WELL, SILENT)
DUE = looks(WELL, SILENT, SILENT, SILENT)
HELD = looks(WELL, *[having(runner(Life.BUSY, words="it is answering 1 request"), server=SILENT)] * 3)
COMPUTING = looks(*[having(runner(Life.COMPUTES, words="its runner (pid 8) does not answer, and computes"))] * 3)


@pytest.mark.parametrize(
    ("verdict", "restarted", "dry", "says"),
    [
        (
            HUNG, (), False,
            ("llama3: no HTTP answer within 5s (1 time in a row)\n"
             "  restarted at 3 in a row; now: sudo ollamactl restart llama3"),
        ),
        (
            DUE, ("ollama@llama3.service",), False,
            "llama3: no HTTP answer within 5s (3 times in a row)\n  ollama@llama3.service was restarted",
        ),
        (
            DUE, (), True,
            "llama3: no HTTP answer within 5s (3 times in a row)\n  ollama@llama3.service would be restarted now",
        ),
        (
            HELD, (), False,
            "llama3: no HTTP answer within 5s (3 times in a row)\n  not restarted yet: it is answering 1 request",
        ),
        (
            COMPUTING, (), False,
            ("llama3: its runner (pid 8) does not answer, and computes (3 times in a row)\n"
             "  a restart may mend it or not, so heal does not: journalctl -u ollama@llama3.service -n 50"),
        ),
        (looks(WELL), (), False, "Looked at 1 server: none hangs."),
    ],
)  # fmt: skip
def test_what_people_read(verdict: Verdict, restarted: tuple[str, ...], dry: bool, says: str) -> None:
    assert tell.text([verdict], restarted, dry=dry, verbose=False, restart="sudo ollamactl restart") == says


def test_verbose_tells_of_the_others_too() -> None:
    text = tell.text([HUNG, looks(WELL), looks(DOWN)], (), dry=False, verbose=True, restart="x")
    assert text.splitlines()[2:] == [
        "llama3: ok: answers",
        "llama3: down: left to systemd: activating (auto-restart)",
        "Looked at 2 servers: 1 failing.",
    ]


def test_the_journal_has_fields_and_the_process_that_it_is_about() -> None:
    assert tell.fields(DUE) == {
        "INSTANCE": "llama3", "UNIT": "ollama@llama3.service", "FINDING": "server", "FAILURES": "3", "OBJECT_PID": "7",
    }  # fmt: skip
    assert tell.entry(DUE) == "llama3: no HTTP answer within 5s (3 times in a row): heal restarts it"
    assert tell.entry(HELD).endswith("(3 times in a row): not restarted, for it is answering 1 request")


@pytest.mark.parametrize("verdict", [HUNG, DUE, HELD, COMPUTING, looks(WELL), looks(DOWN)])
def test_the_json_is_the_documented(verdict: Verdict) -> None:
    assert jsondoc.wrong(tell.data(verdict, ()), "servers") == []
