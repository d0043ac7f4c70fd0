"""How fast a pull goes and how long it will take, in lines for a log. Pure: who calls says what time it is."""

from dataclasses import dataclass

from ollamactl.pulling.moment import Moment, Phase
from ollamactl.quantity import format_duration, shown_share, shown_size

EVERY = 10.0
"""Seconds between two lines on a layer."""
_WORDS = {
    Phase.ASKING: "asking the registry",
    Phase.CHECKING: "checking what has come",
    Phase.DONE: "in the store",
}


@dataclass(slots=True)
class _Layer:
    began: float
    had: int
    """Bytes that were there when it began."""
    told: float
    done: bool = False


class Meter:
    """Turns moments into lines: the beginning and the end of each layer, and in between one now and then."""

    def __init__(self) -> None:
        self._layers: dict[tuple[str, str], _Layer] = {}
        self._last = ""

    def line(self, moment: Moment, now: float) -> str:
        """What to say at this moment (`now` in seconds of any clock that runs on); often nothing."""
        if moment.phase is Phase.SIZE:
            return f"{moment.model}: {shown_size(moment.total)} to come"
        if moment.phase is not Phase.PULLING:
            words = f"{moment.model}: {_WORDS.get(moment.phase, moment.words)}"
            if moment.phase is Phase.DONE and moment.total:
                words += f", {shown_size(moment.total)}"
            said, self._last = self._last, words
            return "" if said == words else words
        layer = self._layers.get(key := (moment.model, moment.digest))
        if layer is None:
            layer = self._layers[key] = _Layer(now, moment.completed, now, done=moment.completed >= moment.total)
            return "" if layer.done else f"{_of(moment)}: {_far(moment)}"
        if moment.completed >= moment.total and not layer.done:
            layer.done = True
            return f"{_of(moment)}: all {shown_size(moment.total)}{self._rate(layer, moment, now)}"
        if layer.done or now - layer.told < EVERY:
            return ""
        layer.told = now
        speed = (moment.completed - layer.had) / max(now - layer.began, 1e-3)
        left = f", {format_duration(round((moment.total - moment.completed) / speed))} left" if speed > 0 else ""
        return f"{_of(moment)}: {_far(moment)}{self._rate(layer, moment, now)}{left}"

    @staticmethod
    def _rate(layer: _Layer, moment: Moment, now: float) -> str:
        seconds = now - layer.began
        return f" at {shown_size((moment.completed - layer.had) / seconds)}/s" if seconds > 0.5 else ""


def _of(moment: Moment) -> str:
    return f"{moment.model}: {short(moment.digest)}"


def short(digest: str) -> str:
    """The digits by which Ollama calls a layer."""
    return digest.removeprefix("sha256:")[:12]


def _far(moment: Moment) -> str:
    return shown_share(moment.completed, moment.total)
