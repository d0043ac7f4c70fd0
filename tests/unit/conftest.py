from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from ollamactl.model import Instance
from tests.unit.bus import Played
from tests.unit.executing import Lab, named
from tests.unit.server import Ollama, ollama


@pytest.fixture
def lab() -> Lab:
    return Lab()


@pytest.fixture
def serve() -> Iterator[Callable[..., Instance]]:
    """Starts servers that answer as Ollama does."""
    with ExitStack() as stack:
        yield lambda name: named(name, stack.enter_context(ollama(Ollama())))


@pytest.fixture
def play() -> Iterator[Callable[..., Played]]:
    """Makes managers whose answers are given by method."""
    opened: list[Played] = []

    def make(*, private: bool = True, **replies: Any) -> Played:
        opened.append(Played(replies, private=private))
        return opened[-1]

    yield make
    for each in opened:
        each.close()
