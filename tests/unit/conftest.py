from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from ollamactl.model import Instance
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
