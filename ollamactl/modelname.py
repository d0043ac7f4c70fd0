"""A model's name as Ollama reads it, and its place in the store (types/model/name.go in Ollama)."""

import re
from dataclasses import dataclass
from typing import Self

_HOST, _NAMESPACE = "registry.ollama.ai", "library"
_RULES = {
    "host": (re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}"), "letters, digits, _ - . and :"),
    "namespace": (re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}"), "letters, digits, _ and -"),
    "model": (re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}"), "letters, digits, _ - and ."),
    "tag": (re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}"), "letters, digits, _ - and ."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelName:
    """The four parts of a full name, each safe as one component of a path.

    The store is case-sensitive on disk, but a server takes any spelling that differs only in case (getExistingName in
    server/routes.go): compare with `folded` to tell whether two names are one model, with `==` for the file.
    """

    host: str
    namespace: str
    model: str
    tag: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Split `[[HOST/]NAMESPACE/]MODEL[:TAG]` and fill in Ollama's defaults.

        Raises ValueError with a sentence for the user. A digest (`MODEL@sha256:...`) is refused, as servers do.
        """
        if "@" in text:
            raise ValueError(f"{text!r} names a digest, and Ollama serves tags only")
        if "://" in text:
            raise ValueError(f"{text!r} is a URL, not a model name: write HOST/NAMESPACE/MODEL")
        rest, _, model = text.rpartition("/")
        model, colon, tag = model.partition(":")
        host, slash, namespace = rest.rpartition("/")
        parts = {
            "host": host if slash else _HOST,
            "namespace": namespace if rest or "/" in text else _NAMESPACE,
            "model": model,
            "tag": tag if colon else "latest",
        }
        for kind, part in parts.items():
            pattern, characters = _RULES[kind]
            if not part:
                raise ValueError(f"{text!r} is not a model name: its {kind} is empty")
            if not pattern.fullmatch(part):
                raise ValueError(
                    f"{text!r} is not a model name: the {kind} {part[:40]!r} must begin with a letter or digit"
                    f" and contain only {characters}"
                )
        # The short name leaves these two out whatever their case, so only one spelling of them may exist.
        if parts["host"].lower() == _HOST:
            parts["host"] = _HOST
            if parts["namespace"].lower() == _NAMESPACE:
                parts["namespace"] = _NAMESPACE
        return cls(**parts)

    @property
    def short(self) -> str:
        """The name as /api/tags lists it (DisplayShortest in types/model/name.go), always with its tag."""
        name = f"{self.model}:{self.tag}"
        if self.host != _HOST:
            return f"{self.host}/{self.namespace}/{name}"
        return name if self.namespace == _NAMESPACE else f"{self.namespace}/{name}"

    @property
    def folded(self) -> str:
        """What two spellings of one model have in common."""
        return self.short.lower()

    @property
    def manifest_path(self) -> str:
        """The manifest's place below `manifests/`."""
        return f"{self.host}/{self.namespace}/{self.model}/{self.tag}"

    @property
    def cloud(self) -> bool:
        """Whether Ollama sends it to ollama.com instead of running it (internal/modelref/modelref.go)."""
        return self.tag.lower() == "cloud" or self.tag.lower().endswith("-cloud")
