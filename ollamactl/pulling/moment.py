"""What the API tells while it pulls, as values; and what it says of a failure, in words that help. Pure.

The stream is that of POST /api/pull: a JSON object a line (api.ProgressResponse, server/images.go in Ollama).
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from ollamactl.errors import HostError


class Phase(StrEnum):
    """Where a pull stands."""

    SIZE = "size"
    """How much of a model is to come, before anything of it does."""
    ASKING = "asking"
    """The registry, for the manifest."""
    PULLING = "pulling"
    """A layer."""
    CHECKING = "checking"
    """What was pulled against its digests."""
    MAKING = "making"
    """A model of the spec's own."""
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One thing that the server told."""

    model: str
    phase: Phase
    digest: str = ""
    """Of the layer (PULLING)."""
    total: int = 0
    """Bytes of the layer (PULLING), or of all that is to come (SIZE)."""
    completed: int = 0
    words: str = ""
    """What else was said."""


Watch = Callable[[Moment], None]
"""Is told each moment."""


def ignore(_: Moment) -> None:
    """A Watch for whom nobody waits."""


class PullError(HostError):
    """A model was not pulled; the store is as before."""


_WORDS = {
    "pulling manifest": Phase.ASKING,
    "verifying sha256 digest": Phase.CHECKING,
    "writing manifest": Phase.CHECKING,
    "success": Phase.DONE,
}


def read(model: str, line: bytes, done: str = "pulled") -> Moment:
    """A line of the stream of what is to be `done`. Raises PullError for one that tells of a failure."""
    try:
        row = json.loads(line)
    except ValueError:
        raise PullError(f"{model}: the server that pulls says {line[:80]!r}", hint=_LOG) from None
    if not isinstance(row, dict):
        row = {"error": str(row)}
    if "error" in row:
        raise failure(model, str(row["error"]), done)
    status = str(row.get("status", ""))
    phase = _WORDS.get(status, Phase.PULLING if row.get("digest") else Phase.MAKING)
    return Moment(
        model=model,
        phase=phase,
        digest=str(row.get("digest", "")),
        total=_number(row, "total"),
        completed=_number(row, "completed"),
        words=status,
    )


def _number(row: Mapping[str, object], key: str) -> int:
    found = row.get(key, 0)
    return found if isinstance(found, int) else 0


_MOST = 300
_LOG = "its log: journalctl -u ollamactl-pull"
_AGAIN = "the same command goes on where it stopped"
_PROXY = "look at the proxy, and at `pull: {{environment: {{HTTPS_PROXY: ...}}}}` (HTTP_PROXY without TLS) in the spec"
_FAILURES = (
    (r"file does not exist|manifest unknown|name unknown", "{registry} has no {model}", "look at its name and tag"),
    (
        r"digest mismatch",
        "{registry} sent something else than {model} should be: {error}",
        "nothing of it was kept; try again later, or ask who runs the registry",
    ),
    (
        r"no space left on device|disk quota exceeded",
        "the disk is full: {model} does not fit",
        "make room, then the same command goes on where it stopped",
    ),
    (
        r"proxyconnect",
        "{model}: the proxy is not reached: {error}",
        _PROXY,
    ),
    (
        # What a proxy says to CONNECT Go tells by its words alone, without a number
        r"Proxy Auth|(?:^|: )407\b|\": (?:Forbidden|Bad Gateway|Service Unavailable|Gateway Time-?out)$",
        "{model}: the proxy does not let us through: {error}",
        _PROXY + "; its password belongs to `pull: {{secrets: ...}}`",
    ),
    (
        r"(?:^|: )429\b|toomanyrequests",
        "{model}: {registry} has had too many requests from here: {error}",
        "wait some minutes, then the same command goes on where it stopped",
    ),
    (
        r"(?:^|: )5\d\d\b",
        "{model}: {registry} has trouble of its own: {error}",
        "try again later: the same command goes on where it stopped",
    ),
    (
        r"unauthorized|access denied|(?:^|: )40[13]\b|realm host",
        "{registry} does not let us have {model}: {error}",
        "if it is private: `pull: {{identity: true}}` in the spec, and tell your account there `sudo ollamactl key`",
    ),
    (
        r"server gave HTTP response to HTTPS client|first record does not look like a TLS handshake",
        "{model}: {registry} speaks HTTP, not HTTPS",
        "if that is meant: `pull: {{insecure: [{registry}]}}` in the spec",
    ),
    (
        r"invalid character .* looking for|cannot unmarshal",
        "{model}: what came is no registry's answer: {error}",
        "look whether {registry} is one; a proxy, or a page to log in to this network, may answer in its place",
    ),
    (
        r"x509|certificate",
        "{model}: {registry} shows a certificate that is not trusted here: {error}",
        "for one of your own authority: `pull: {{environment: {{SSL_CERT_FILE: /etc/ssl/certs/FILE}}}}` in the spec",
    ),
    (
        r"no Location header",
        "{model}: {registry} sends layers itself, and Ollama takes them only from where a registry redirects it to",
        "have it redirect to another host name (distribution: storage middleware `redirect`)",
    ),
    (
        r"lookup \S+ on |lookup \S+: |no such host|server misbehaving|in name resolution",
        "{model}: the name {registry} is not known here: {error}",
        "look at it, and whether DNS works: getent hosts {registry}",
    ),
    (r"connection refused", "{model}: {registry} does not answer: connection refused", _AGAIN + ", when it is up"),
    (
        r"i/o timeout|deadline exceeded|handshake timeout|network is unreachable|no route to host",
        "{model}: {registry} cannot be reached: {error}",
        "if there is a proxy: `pull: {{environment: {{HTTPS_PROXY: http://HOST:PORT}}}}` in the spec",
    ),
    (
        r"tls: ",
        "{model}: {registry} and Ollama find no way to speak TLS: {error}",
        "see what it speaks: openssl s_client -connect {registry}; a proxy may be in between",
    ),
    (r"max retries exceeded|EOF|connection reset", "{model}: {registry} broke off again and again: {error}", _AGAIN),
    (r"requires a newer version", "{model} needs a newer Ollama: {error}", "install one, then again"),
)  # fmt: skip


def failure(model: str, error: str, done: str = "pulled") -> PullError:
    """What a failure means, and what to do about it."""
    host, slash, _ = model.partition("/")
    registry = host if slash and model.count("/") > 1 else "registry.ollama.ai"
    for pattern, message, hint in _FAILURES:
        if re.search(pattern, error, re.IGNORECASE):
            words = {"model": model, "registry": registry, "error": _short(error)}
            return PullError(message.format(**words), hint=hint.format(**words))
    return PullError(f"{model} was not {done}: {_short(error)}", hint=_LOG)


def _short(error: str) -> str:
    """In one line: a registry's answer may be a whole page."""
    words = " ".join(error.removeprefix("pull model manifest: ").split()).rstrip(" :")
    return words if len(words) <= _MOST else f"{words[:_MOST]}..."


def stalled(model: str, seconds: float) -> PullError:
    """Nothing came for so long."""
    return PullError(f"{model}: not a byte has come for {seconds:.0f} s, so the pull was ended", hint=_AGAIN)
