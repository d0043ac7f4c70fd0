"""What Prometheus reads of the gate."""

from ollamactl.gate.counts import Counts, Now, text

NOW = Now(name="llama3", state="asleep", since=0, in_flight=0, waiting=2, used=None)


def test_a_wake_is_in_each_bucket_that_it_fits_in() -> None:
    counts = Counts(requests=3)
    counts.woken(0.2)
    counts.woken(7)

    told = text([(NOW, counts)])

    assert 'ollama_gate_requests_total{instance="llama3"} 3\n' in told
    assert 'ollama_gate_waiting{instance="llama3"} 2\n' in told
    assert 'ollama_gate_awake{instance="llama3"} 0\n' in told
    for end, count in (("0.1", 0), ("0.25", 1), ("5.0", 1), ("10.0", 2), ("+Inf", 2)):
        assert f'ollama_gate_wake_seconds_bucket{{instance="llama3",le="{end}"}} {count}\n' in told
    assert 'ollama_gate_wake_seconds_sum{instance="llama3"} 7.200000\n' in told


def test_each_figure_is_explained_once() -> None:
    told = text([(NOW, Counts()), (NOW, Counts())])
    kinds = [line for line in told.splitlines() if line.startswith("# TYPE ")]
    assert len(kinds) == len(set(kinds)) == 11
