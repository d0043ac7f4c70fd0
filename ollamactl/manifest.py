"""A model's manifest by its bytes and its place: the name that Ollama lists, the digest, the blobs. Pure.

Sources are manifest/manifest.go and types/model/name.go in Ollama.
"""

import hashlib
import json
import re

from ollamactl.modelname import ModelName

_MODEL = "application/vnd.ollama.image.model"
_DIGEST = re.compile(r"sha256[:-][0-9a-fA-F]{64}")


def listed_as(path: str) -> str:
    """The name under which Ollama lists the manifest at a path below `manifests/`; empty where it lists none.

    As ParseNameFromFilepath and DisplayShortest do it in types/model/name.go.
    """
    parts = path.split("/")
    if len(parts) != 4:
        return ""
    try:
        name = ModelName.parse(f"{'/'.join(parts[:3])}:{parts[3]}")
    except ValueError:
        return ""
    return name.short if name.manifest_path.lower() == path.lower() else ""


def digest(data: bytes) -> str:
    """What /api/tags calls the digest: SHA-256 in hex of as much of the file as Ollama reads.

    Ollama hashes what passes through Go's json.Decoder, which stops after the closing brace; its buffer grows from
    512 bytes to 2n + 512. So the newline that `ollama create` writes is left out of a file of just 513 or 1537 bytes.
    """
    needed, taken = len(data.rstrip(b" \t\r\n")), 512
    while taken < needed:
        taken = 2 * taken + 512
    return hashlib.sha256(data[:taken]).hexdigest()


def layers(data: bytes) -> list[tuple[str, int]] | None:
    """Digest and bytes of config and layers (the sum is the `size` of /api/tags); None if it is no manifest."""
    try:
        manifest = json.loads(data)
        entries = [manifest["config"], *(manifest["layers"] or ())]
        found = [(entry["digest"], entry["size"]) for entry in entries if entry["digest"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    sound = all(isinstance(d, str) and isinstance(s, int) and _DIGEST.fullmatch(d) for d, s in found)
    return found if sound else None


def weights(data: bytes) -> str:
    """The digest of the model's own file, as the manifest writes it; empty where it names none, or several."""
    try:
        named = [entry["digest"] for entry in json.loads(data)["layers"] if entry["mediaType"] == _MODEL]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return named[0] if len(named) == 1 and isinstance(named[0], str) and _DIGEST.fullmatch(named[0]) else ""


def short(digest: str) -> str:
    """A digest as `ollama list` shows it: its first twelve digits."""
    return digest[:12]
