"""A real Ollama store of tiny models: random weights, but every one loads, generates or embeds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.lab import binaries
from tests.lab.cache import Artifact, LabError
from tests.lab.host import call, make_venv
from tests.lab.roots import root

SUITE = "sid"
"""Where the stores are made and proved: the only suite with a runner."""
STORE = "/var/lib/ollama/models"
WRITER = Path(__file__).with_name("gguf_writer.py")
REQUIREMENTS = ("gguf", "numpy")


@dataclass(frozen=True)
class Model:
    """What one random model is made of; the seed makes its blobs and its digest its own."""

    name: str
    seed: int
    feed_forward: int = 128
    architecture: str = "llama"

    @property
    def full_name(self) -> str:
        """The name as /api/tags shows it, always with a tag."""
        return self.name if ":" in self.name else f"{self.name}:latest"

    @property
    def embeds(self) -> bool:
        """Whether it is for /api/embed only; /api/generate then answers 400."""
        return self.architecture != "llama"


MODELS = (
    Model("llama3", 1),
    Model("mistral", 2),
    Model("qwen", 3),
    Model("nomic-embed-text:v1.5", 4, architecture="nomic-bert"),
    Model("acme/coder:7b", 5),
)
"""The tiny ones, a few hundred KB each, in the order of their making."""

BIG_MODEL = Model("big", 6, feed_forward=540_000)
"""About 400 MB: a load that takes long enough to be looked at."""


def store_layer() -> Path:
    """A layer with the tiny models in /var/lib/ollama/models."""
    return _store("store", MODELS).ensure()


def big_store_layer() -> Path:
    """A layer with the big model as well, to be laid over the other: `Container.boot(extra_layers=[...])`."""
    return _store("big-store", (BIG_MODEL,)).ensure()


def ggufs() -> Artifact:
    """The files of the tiny models."""
    return _ggufs("ggufs", MODELS)


def _ggufs(name: str, models: Sequence[Model]) -> Artifact:
    def build(directory: Path) -> None:
        python = _VENV.ensure() / "bin" / "python3"
        for number, model in enumerate(models):
            file = directory / f"{number}.gguf"
            call([str(python), str(WRITER), str(file), str(model.seed), str(model.feed_forward), model.architecture])

    recipe = repr(models) + WRITER.read_text()
    return Artifact(name=name, says=f"write {len(models)} random models", recipe=recipe, build=build)


def _store(name: str, models: Sequence[Model]) -> Artifact:
    files = _ggufs("ggufs" if models is MODELS else f"{name}-ggufs", models)
    # By name, not by content: Debian's sid and its runner move on, and the stores are the same.
    recipe = repr((models, WRITER.read_text(), binaries.ollama().recipe, STORE))
    return Artifact(
        name=name, says=f"ollama create {', '.join(model.name for model in models)} on {SUITE}, and try each",
        recipe=recipe, build=partial(_create, models, files),
    )  # fmt: skip


def _create(models: Sequence[Model], files: Artifact, directory: Path) -> None:
    from tests.lab.container import Container  # which imports this module for its stores

    given = files.ensure()
    root(SUITE).ensure()
    with Container.boot(SUITE, binds={"/run/lab-ggufs": given}) as machine:
        settings = {"OLLAMA_MODELS": STORE, "OLLAMA_NO_CLOUD": "1", "OLLAMA_CONTEXT_LENGTH": "512", "HOME": "/root"}
        machine.run(
            ["systemd-run", "--unit=lab-ollama", "--service-type=exec"]
            + [f"--setenv={key}={value}" for key, value in settings.items()]
            + [binaries.OLLAMA, "serve"]
        )
        machine.run("until curl --silent --fail http://127.0.0.1:11434/ >/dev/null; do sleep 0.05; done", timeout=60)
        for number, model in enumerate(models):
            machine.write("/root/Modelfile", f"FROM /run/lab-ggufs/{number}.gguf\n")
            machine.run(["ollama", "create", model.name, "-f", "/root/Modelfile"], timeout=300)
            _prove(machine.run(["curl", "--silent", *_request(model)], timeout=300).stdout, model)
        machine.run(["systemctl", "stop", "lab-ollama"])
        machine.run(["chmod", "-R", "a+rX", STORE])  # the servers' own users read what root's server created
        binaries.copy_tree(machine.path(STORE), directory / STORE.lstrip("/"))


def _request(model: Model) -> list[str]:
    if model.embeds:
        body: dict[str, object] = {"model": model.name, "input": "hello", "keep_alive": 0}
        return ["--data", json.dumps(body), "http://127.0.0.1:11434/api/embed"]
    body = {"model": model.name, "prompt": "hello", "stream": False, "keep_alive": 0, "options": {"num_predict": 3}}
    return ["--data", json.dumps(body), "http://127.0.0.1:11434/api/generate"]


def _prove(answer: str, model: Model) -> None:
    """Refuse a model that does not really work, here and not in a test far away."""
    parsed = json.loads(answer)
    if not (parsed.get("embeddings") if model.embeds else parsed.get("done")):
        raise LabError(f"the model {model.name} does not work: {answer[:500]}")


_VENV = Artifact(
    name="gguf-venv",
    says=f"pip install {' '.join(REQUIREMENTS)}",
    recipe=repr(REQUIREMENTS),
    build=lambda directory: make_venv(directory, *REQUIREMENTS),
)
