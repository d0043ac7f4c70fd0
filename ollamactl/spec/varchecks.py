"""The rules for `environment` and `secrets`. Values of secrets never stand in a message. Pure."""

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

from ollamactl.errors import Problem, Severity
from ollamactl.model import Backend, Instance, Pull, Toggle
from ollamactl.spec import suggest
from ollamactl.spec.specplace import Place
from ollamactl.units import ollama_env

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET_NAME = re.compile(
    r"(?:^|(?<!MAX)_)(?:TOKEN|PASSWORD|PASSWD|PASSPHRASE|SECRET|SECRETS|CREDENTIALS?|APIKEY|(?:API|ACCESS|PRIVATE|AUTH)_KEY)"
    r"(?:_(?!FILE$|PATH$|DIR$|URL$)|$)",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(r"://[^/@\s]*:[^/@\s]+@")
"""A password in a URL, such as a proxy's."""
# The kernel refuses one string of 128 KiB (MAX_ARG_STRLEN in execve(2)); the name and some air are left.
_MAX_BYTES = 100 * 1024


def check(instance: Instance, place: Place) -> Iterator[Problem]:
    """Every problem with the variables of one instance."""
    secret = dict(instance.secrets)
    for group in ("environment", "secrets"):
        for name, value in getattr(instance, group):
            yield from _variable(instance, group, name, value, place)
    for name, value in instance.environment:
        path = place.of(instance.name, "environment", name)
        if name in secret:
            other = place.line(place.of(instance.name, "secrets", name))
            yield place.problem(path, f"is in secrets, too{other}", "keep it in secrets and remove it here")
        elif looks_secret(name, value):
            message = "looks like a secret, and every local user can read `environment`"
            found = place.problem(path, message, "put it in `secrets:` instead", Severity.WARNING)
            # It may be one, so the line is not shown.
            yield replace(found, location=found.location and replace(found.location, source=""))


PULLERS = (
    "OLLAMA_HOST", "OLLAMA_MODELS", "OLLAMA_NOPRUNE", "OLLAMA_NO_CLOUD", "OLLAMA_VULKAN", "CUDA_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES", "GIN_MODE",
)  # fmt: skip
"""What ollamactl sets for the server that pulls."""


def check_pull(pull: Pull, place: Place) -> Iterator[Problem]:
    """Every problem with the variables of the server that pulls."""
    for group in ("environment", "secrets"):
        for name, value in getattr(pull, group):
            if name in PULLERS or name in ollama_env.RESERVED:
                yield place.problem(("pull", group, name), "is set by ollamactl for the server that pulls", "remove it")
            elif group == "environment" and looks_secret(name, value):
                message = "looks like a secret, and messages may show `environment`"
                hint = "put it in `pull: {secrets: ...}` instead"
                found = place.problem(("pull", group, name), message, hint, Severity.WARNING)
                yield replace(found, location=found.location and replace(found.location, source=""))


def looks_secret(name: str, value: str) -> bool:
    """Whether a variable seems to hold a password, a token or a key."""
    return bool(value and (_SECRET_NAME.search(name) or _SECRET_VALUE.search(value)))


def _variable(instance: Instance, group: str, name: str, value: str, place: Place) -> Iterator[Problem]:
    path = place.of(instance.name, group, name)
    if not _NAME.fullmatch(name):
        yield place.problem(path, "is not a valid name for a variable", "use letters, digits and _, no digit first")
        return
    if len(name) + len(value.encode("utf-8", "replace")) > _MAX_BYTES:
        yield place.problem(path, f"is longer than {_MAX_BYTES >> 10} KiB", "put it in a file that the server reads")
    variable = ollama_env.VARIABLES.get(name)
    if name in ollama_env.RESERVED:
        yield place.problem(path, "is set by ollamactl or systemd for each instance", "remove it")
    elif variable and variable.key and (variable.always or _is_set(instance, variable.key)):
        yield place.problem(path, f"is set by the key {variable.key}", _instead(variable.key, name))
    elif not variable and name.startswith("OLLAMA_"):
        hint = _nearest(name) or "remove it; ollama serve --help lists them"
        yield place.problem(path, "is not a variable that Ollama knows", hint, Severity.WARNING)


def _is_set(instance: Instance, key: str) -> bool:
    """Whether a key that is left to Ollama by default has been given."""
    value = getattr(instance, key)
    return value not in (None, (), False, Toggle.AUTO, Backend.AUTO)


def _instead(key: str, name: str) -> str:
    match key:
        case "store":
            return "remove it: no instance prunes the store, ollamactl alone does"
        case "egress":
            return "remove it: no instance asks ollama.com"
        case "gpus":
            return "remove it and write gpus: [...]; the cards of this host: ollamactl gpus"
        case "host":
            return "remove it and write host: and port:"
        case "backend":
            return "remove it and write backend: auto, cuda, rocm, vulkan or cpu"
    return f"remove {name} and write {key}: ..."


@lru_cache(maxsize=256)
def _nearest(name: str) -> str:
    if name in _OTHERS:
        return _OTHERS[name]
    found = suggest.nearest(name.removeprefix("OLLAMA_"), [known.removeprefix("OLLAMA_") for known in ollama_env.KNOWN])
    return f"did you mean OLLAMA_{found}?" if found else ""


_OTHERS = {
    "OLLAMA_PORT": "the port is the instance's key port:",
    "OLLAMA_CUDA_VISIBLE_DEVICES": "write gpus: [...]",
}
