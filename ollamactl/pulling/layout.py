"""What the unit that pulls finds: a folder of links, pipes and variables, which only its owner may enter."""

# ruff: noqa: PTH102, PTH211
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from ollamactl.host import atomic
from ollamactl.host.oserrors import translate
from ollamactl.model import Pull
from ollamactl.pulling import asking, unit
from ollamactl.pulling.staging import Staging
from ollamactl.units.unitfile import quote_env_file


def variables(
    places: unit.Places, settings: Pull, staging: Staging, there: tuple[str, int], *, user: bool
) -> Mapping[str, str]:
    """What the server has in its environment; it listens `there`."""
    return {
        "HOME": unit.home(places, user=user, key=settings.identity),
        **dict(settings.environment),
        **dict(settings.secrets),
        "OLLAMA_HOST": f"{there[0]}:{there[1]}",
        "OLLAMA_MODELS": staging.path if user else unit.MODELS,
        # What is unfinished shall stay for the next time
        "OLLAMA_NOPRUNE": "1",
        "OLLAMA_NO_CLOUD": "1",
        # A filter would not hold for MPTCP, to which Go listens where the kernel can (pulling.door)
        "GODEBUG": "multipathtcp=0",
        "GIN_MODE": "release",
        # It looks for no cards
        "CUDA_VISIBLE_DEVICES": "-1",
        "ROCR_VISIBLE_DEVICES": "-1",
        "OLLAMA_VULKAN": "0",
    }


def python(*, user: bool) -> str:
    """A Python that the unit sees; empty where there is none."""
    found = (os.path.realpath(sys.executable), "/usr/bin/python3")
    return next((path for path in found if os.access(path, os.X_OK) and (user or not unit.hidden(path))), "")


@contextmanager
def laid_out(
    places: unit.Places, staging: Staging, blobs: str, binary: str, variables: Mapping[str, str]
) -> Iterator[int]:
    """The folder, while the block runs, which ends the unit with it; yields the pipe by which the unit answers.

    Raises HostError.
    """
    with ExitStack() as held:
        try:
            life, said = _made(places, staging, blobs, binary, variables)
        finally:
            held.callback(shutil.rmtree, places.folder, ignore_errors=True)
        for pipe in (life, said):
            held.callback(os.close, pipe)
        yield said


def _made(
    places: unit.Places, staging: Staging, blobs: str, binary: str, variables: Mapping[str, str]
) -> tuple[int, int]:
    try:
        atomic.make_folders(os.path.dirname(places.folder))  # noqa: PTH120
        with suppress(FileNotFoundError):
            shutil.rmtree(places.folder)
        os.mkdir(places.folder, 0o700)
        for link, target in (
            (places.models, staging.path),
            (places.blobs, blobs),
            (places.program, binary),
            (places.libraries, unit.libraries(binary)),
        ):
            os.symlink(target, link)
        os.mkdir(places.temporary, 0o700)
        text = "".join(f"{quote_env_file(name, value)}\n" for name, value in variables.items())
        program = Path(asking.__file__).read_bytes()
        atomic.write([
            atomic.Write(places.environment, text.encode(), 0o600), atomic.Write(places.asking, program, 0o644),
        ])  # fmt: skip
        for pipe in (places.life, places.said):
            os.mkfifo(pipe, 0o600)
        return os.open(places.life, os.O_RDWR | os.O_CLOEXEC), os.open(places.said, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise translate(error, "lay out a pull", places.folder) from error
