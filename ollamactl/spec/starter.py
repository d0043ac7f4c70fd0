"""The text that `init` writes: a valid, commented spec made of the host's cards, models and programs. Pure."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ollamactl.errors import Problem, Severity, WrongValueError, listed
from ollamactl.facts import Gpu
from ollamactl.model import Fleet
from ollamactl.modelname import ModelName
from ollamactl.spec import checks, specvalue

_PORT = 11434
_MAX_INSTANCES = 8
_USUAL = Fleet()
# What every reader of YAML takes for a word.
_BARE = re.compile(r"(?!(?:true|false|null|yes|no|on|off|y|n)$)[a-z][a-z0-9_.-]*", re.IGNORECASE)
_BARE_PATH = re.compile(r"/[A-Za-z0-9_./@+-]+")

_HEAD = """\
# A fleet of Ollama servers on this host: one unit, one port and its own cards for each.
#   ollamactl check fleet.yaml          is it right?
#   ollamactl plan fleet.yaml           what would change on this host?
#   sudo ollamactl apply fleet.yaml     make it so
# Every key with its default: ollamactl schema
version: 1

"""
_DEFAULTS = """\
# health: {every: 1m, failures: 3}      # look for servers that hang, and restart them

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the host has already."""

    gpus: Sequence[Gpu] = ()
    binary: str = ""
    """The program; empty where there is none."""
    store: str = ""
    """The folder with the models; likewise."""
    models: Sequence[str] = ()
    """What is in it."""
    other_stores: Sequence[str] = ()
    closed: Sequence[str] = ()
    """Where a store may be that only root may look into."""
    service: bool = False
    """Ollama's own service runs, or is started at boot."""


def notes(found: Found) -> tuple[Problem, ...]:
    """What is missing or in the way, with what to do next."""
    return tuple(
        Problem(path=path, message=text, hint=hint, severity=Severity.NOTE) for path, text, hint in _notes(found)
    )


def _notes(found: Found) -> Iterator[tuple[str, str, str]]:
    if not found.binary:
        hint = "install Ollama (https://ollama.com/download), or write `binary:` below `ollama:`"
        yield "ollama.binary", "no program called ollama was found", hint
    if not found.store and found.closed:
        where, hint = listed(found.closed), "sudo ollamactl init > fleet.yaml"
        yield "ollama.models", f"only root may look for models in {where}", hint
    elif not found.store:
        hint = "write `models:` below `ollama:`, or let `ollamactl plan` say how to pull models into a new one"
        yield "ollama.models", "no model store was found", hint
    elif not found.models:
        yield "ollama.models", f"there are no models in {found.store} yet", "`ollamactl plan` says how to pull one"
    if found.other_stores:
        hint = "choose another with `models:` below `ollama:`"
        yield "ollama.models", f"there are models in {listed(found.other_stores)}, too", hint
    if found.service:
        hint = "sudo ollamactl adopt carries it over; or before apply: sudo systemctl disable --now ollama"
        yield "ollama.service", f"Ollama's own service is set to listen on port {_PORT}", hint


def can_be_store(path: str) -> bool:
    """Whether a spec may name a folder as its store."""
    return _reads(specvalue.path, path) and not any(checks.store_faults(path))


def can_be_program(path: str) -> bool:
    """Whether a spec may name a program."""
    return _reads(specvalue.program, path)


def _reads(read: Callable[[str], str], text: str) -> bool:
    try:
        read(text)
    except WrongValueError:
        return False
    return text.isprintable()


def starter(found: Found) -> str:
    """A starter spec: an instance for each model of the store, eight at most, the cards dealt out in turn."""
    names = [name for model in found.models if (name := _parse(model))]
    lines = [_HEAD, *_ollama(found), _DEFAULTS]
    chosen = names[:_MAX_INSTANCES] or [ModelName.parse("llama3")]
    taken: set[str] = set()
    for at, model in enumerate(chosen):
        lines += _instance(_unique(model, taken), model, _PORT + at, found.gpus, at)
    lines.append(_TAIL)
    if len(names) > _MAX_INSTANCES:
        more = ", ".join(name.short for name in names[_MAX_INSTANCES:])
        lines.append(f"# In the store, too: {more}\n")
    return "".join(lines)


def _ollama(found: Found) -> Iterator[str]:
    """The section `ollama`; what is at its usual place stays a comment."""
    for _, text, hint in _notes(found):
        yield f"# {text[0].upper()}{text[1:]}.\n#   {hint}\n"
    binary, store = found.binary or _USUAL.binary, found.store or _USUAL.models_dir
    if (binary, store) == (_USUAL.binary, _USUAL.models_dir):
        usual, off_binary, off_store = "# ", "  ", "  "
    else:
        usual = ""
        off_binary, off_store = (
            "  # " if one else "  " for one in (binary == _USUAL.binary, store == _USUAL.models_dir)
        )
    yield f"{usual}ollama:\n"
    yield f"{usual}{off_binary}binary: {_path(binary)}\n"
    yield f"{usual}{off_store}models: {_path(store)}      # the store that all of them share\n\n"


def _path(path: str) -> str:
    return path if _BARE_PATH.fullmatch(path) else json.dumps(path, ensure_ascii=False)


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
    if base.endswith(checks.UNIT_SUFFIXES):
        base = base.replace(".", "-")
    tag = re.sub(r"[^A-Za-z0-9_.-]", "-", model.tag)[:20].rstrip("_.-")
    spellings = [base, f"{base}-{tag}", *(f"{base}-{number}" for number in range(2, 2 + _MAX_INSTANCES))]
    name = next(name for name in spellings if name not in taken)
    taken.add(name)
    return name


def _plain(text: str) -> str:
    return "".join(character for character in text if character.isprintable())
