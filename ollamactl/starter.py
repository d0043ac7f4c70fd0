"""The text that `init` writes: a valid, commented spec made of the host's cards and models. Pure."""

import json
import re
from collections.abc import Iterator, Sequence

from ollamactl.checks import UNIT_SUFFIXES
from ollamactl.facts import Gpu
from ollamactl.modelname import ModelName

_PORT = 11434
_MAX_INSTANCES = 8
# What every reader of YAML takes for a word.
_BARE = re.compile(r"(?!(?:true|false|null|yes|no|on|off|y|n)$)[a-z][a-z0-9_.-]*", re.IGNORECASE)

_HEAD = """\
# A fleet of Ollama servers on this host: one unit, one port and its own cards for each.
#   ollamactl check fleet.yaml          is it right?
#   ollamactl plan fleet.yaml           what would change on this host?
#   sudo ollamactl apply fleet.yaml     make it so
# Every key with its default: ollamactl schema
version: 1

# ollama:
#   binary: /usr/local/bin/ollama
#   models: /var/lib/ollama/models      # the store that all of them share

defaults:
  host: 127.0.0.1                       # this host alone; 0.0.0.0 for the network and containers, with allow:
  keep_alive: 5m                        # how long a model stays loaded after its last request
  context_length: 8192                  # tokens; auto lets Ollama choose by the VRAM
  restart: {policy: on-failure, delay: 3s, max_delay: 1m, tries: 5, within: 5m}

instances:
"""
_TAIL = """\
    # keep_alive: 30m
    # allow: [10.0.0.0/8]               # who may reach a host beyond loopback; [any] for everybody
    # environment: {OLLAMA_DEBUG: "1"}
"""


def starter(gpus: Sequence[Gpu], models: Sequence[str]) -> str:
    """A starter spec: an instance for each model of the store, eight at most, the cards dealt out in turn."""
    names = [name for model in models if (name := _parse(model))]
    lines = [_HEAD]
    chosen = names[:_MAX_INSTANCES] or [ModelName.parse("llama3")]
    taken: set[str] = set()
    for at, model in enumerate(chosen):
        lines += _instance(_unique(model, taken), model, _PORT + at, gpus, at)
    lines.append(_TAIL)
    if len(names) > _MAX_INSTANCES:
        more = ", ".join(name.short for name in names[_MAX_INSTANCES:])
        lines.append(f"# In the store, too: {more}\n")
    return "".join(lines)


def _instance(name: str, model: ModelName, port: int, gpus: Sequence[Gpu], at: int) -> Iterator[str]:
    yield f"  {name if _BARE.fullmatch(name) else json.dumps(name)}:\n"
    yield f"    models: [{json.dumps(model.short)}]\n"
    yield f"    port: {port}\n"
    if not gpus:
        yield "    gpus: none                          # no card was found; the CPU does the work\n"
        return
    gpu = gpus[at % len(gpus)]
    comment = " ".join(part for part in (gpu.name, f"({gpu.pci})" if gpu.pci else "") if part)
    card = gpu.uuid or gpu.pci or gpu.index
    yield f"    gpus: [{json.dumps(card)}]    # {_plain(comment) or gpu.vendor.value}\n"


def _parse(text: str) -> ModelName | None:
    try:
        name = ModelName.parse(text)
    except ValueError:
        return None
    return None if name.cloud else name


def _unique(model: ModelName, taken: set[str]) -> str:
    """A name for the instance: the model's, with its tag or a number where two would be the same."""
    base = re.sub(r"[^A-Za-z0-9_.-]", "-", model.model).strip("_.-")[:40] or "model"
    if base.endswith(UNIT_SUFFIXES):
        base = base.replace(".", "-")
    tag = re.sub(r"[^A-Za-z0-9_.-]", "-", model.tag)[:20].rstrip("_.-")
    spellings = [base, f"{base}-{tag}", *(f"{base}-{number}" for number in range(2, 2 + _MAX_INSTANCES))]
    name = next(name for name in spellings if name not in taken)
    taken.add(name)
    return name


def _plain(text: str) -> str:
    return "".join(character for character in text if character.isprintable())
