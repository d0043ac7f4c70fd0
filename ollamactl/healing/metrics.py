"""The figures of a fleet for Prometheus, as node_exporter's textfile collector reads them. Pure."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ollamactl.healing.judge import State, Verdict
from ollamactl.healing.signs import Life
from ollamactl.model import State as Wanted


@dataclass(frozen=True, slots=True)
class _Figure:
    name: str
    kind: str
    help: str
    value: Callable[[Verdict], float]


_FIGURES = (
    _Figure("server_up", "gauge", "Whether the server answers HTTP.", lambda v: v.signs.life is Life.ANSWERS),
    _Figure(
        "server_wanted",
        "gauge",
        "Whether the spec wants the server to run.",
        lambda v: v.signs.instance.state is Wanted.RUNNING,
    ),
    _Figure(
        "server_busy",
        "gauge",
        "Whether the server was answering a request, or loading a model.",
        lambda v: bool(v.signs.at_work),
    ),
    _Figure(
        "server_failing", "gauge", "Whether the server, or a runner of it, hangs.", lambda v: v.state is State.FAILING
    ),
    _Figure("heal_failures", "gauge", "Failures in a row.", lambda v: v.memory.failures),
    _Figure("heal_restarts_total", "counter", "Restarts by heal since the boot.", lambda v: v.memory.restarts),
    _Figure("loaded_models", "gauge", "Models in memory, as Ollama tells.", lambda v: len(v.signs.loaded)),
    _Figure(
        "loaded_bytes",
        "gauge",
        "What they take, as Ollama tells.",
        lambda v: sum(size.size for size in v.signs.loaded.values()),
    ),
    _Figure(
        "vram_bytes",
        "gauge",
        "How much of that is on cards, as Ollama tells.",
        lambda v: 0 if v.signs.instance.gpus == () else sum(size.size_vram for size in v.signs.loaded.values()),
    ),
)


def text(verdicts: Sequence[Verdict], *, now: float) -> str:
    """All figures of all servers; `now` in seconds since the epoch."""
    return "".join(f"{line}\n" for line in _lines(verdicts, now))


def _lines(verdicts: Sequence[Verdict], now: float) -> Iterable[str]:
    for figure in _FIGURES:
        yield f"# HELP ollamactl_{figure.name} {figure.help}"
        yield f"# TYPE ollamactl_{figure.name} {figure.kind}"
        for verdict in verdicts:
            yield f"ollamactl_{figure.name}{_labels(verdict)} {int(figure.value(verdict))}"
    yield "# HELP ollamactl_heal_last_run_timestamp_seconds When these figures were taken."
    yield "# TYPE ollamactl_heal_last_run_timestamp_seconds gauge"
    yield f"ollamactl_heal_last_run_timestamp_seconds {now:.0f}"


def _labels(verdict: Verdict) -> str:
    """Names of instances and addresses hold nothing that would have to be escaped."""
    listen = verdict.signs.instance.listen
    return f'{{instance="{verdict.instance}",unit="{verdict.unit}",listen="{listen}"}}'
