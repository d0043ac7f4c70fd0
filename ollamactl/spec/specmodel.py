"""The names of models in a spec: what Ollama would read, and the digests that some are fixed to."""

import re

from ollamactl.errors import WrongValueError
from ollamactl.modelname import ModelName

_PAGE = re.compile(r"https?://(?:www\.)?ollama\.com/(?:library/)?([^/?#]+(?:/[^/?#]+)?)/?")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def model(text: str) -> str:
    """A model's short name with its tag."""
    try:
        name = ModelName.parse(text)
    except ValueError as error:
        page = _PAGE.fullmatch(text)
        hint = f"write {page[1]}" if page else "write it as ollama pull takes it: llama3, acme/coder:7b"
        raise WrongValueError(str(error), hint) from None
    if name.cloud:
        raise WrongValueError(f"{text!r} runs at ollama.com, not here", "name a model that the store can hold")
    return name.short


def served(text: str) -> str:
    """A model's short name, or `NAME@sha256:DIGEST` for one that is fixed to a digest."""
    name, at, digest = text.partition("@")
    if not at:
        return model(name)
    if not _DIGEST.fullmatch(digest.lower()):
        hint = "write sha256: and all its 64 digits, as `ollamactl models -v` tells them"
        raise WrongValueError(f"{digest!r} is not the digest of a model", hint)
    return f"{model(name)}@{digest.lower()}"
