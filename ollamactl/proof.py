"""The proof that a port is answered by the right server with the right models: evidence in, checks out. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from ollamactl.model import Instance, Store
from ollamactl.observed import Active, UnitState


class CheckKind(StrEnum):
    """What is proved, in the order in which one failure explains the next."""

    UNIT = "unit"
    HTTP = "http"
    LISTENER = "listener"
    VERSION = "version"
    MODELS = "models"
    LOAD = "load"
    PLACEMENT = "placement"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was proved or disproved."""

    kind: CheckKind
    ok: bool
    found: str
    expected: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSize:
    """A loaded model's bytes, in all and in VRAM."""

    size: int
    size_vram: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a server said over HTTP; `failure` says in words why it said nothing more."""

    failure: str = ""
    version: str | None = None
    models: Mapping[str, str] = field(default_factory=dict)
    """Name -> digest, from /api/tags."""
    loaded: Mapping[str, ModelSize] = field(default_factory=dict)
    load_failures: Mapping[str, str] = field(default_factory=dict)
    """Model -> the server's own words; only with --load."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything that is known of one instance at the time of judging."""

    unit: UnitState
    answers: Answers = Answers()
    holder_pid: int | None = None
    """The process that listens on the address; None where nobody does, or where we may not look."""
    holder_words: str = ""
    """That process in words (pid, command line, unit), when it is not the unit's own."""
    holder_is_ours: bool | None = None
    """Whether that process belongs to the unit's cgroup; None where we may not look."""
    restarts_before: int = 0
    """NRestarts when the waiting began."""
    journal: tuple[str, ...] = ()
    """The unit's last lines, when it is not well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What the server must say, from the spec and the host."""

    version: str | None = None
    """The binary's; None where it could not be asked."""
    models: Mapping[str, str] = field(default_factory=dict)
    """Name -> digest, of the planned manifests."""
    load: bool = False
    """--load: every declared model has been loaded."""
    gpu: bool | None = None
    """Whether models must land on a GPU (True), on the CPU (False), or anywhere (None)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """The outcome for one instance."""

    instance: str
    unit: str
    listen: str
    checks: tuple[Check, ...]
    evidence: Evidence

    @property
    def ok(self) -> bool:
        """Whether every check held."""
        return all(check.ok for check in self.checks)

    @property
    def failures(self) -> tuple[Check, ...]:
        """The checks that did not hold."""
        return tuple(check for check in self.checks if not check.ok)


def judge(instance: Instance, expected: Expected, evidence: Evidence) -> Proof:
    """Every check that the evidence allows; those that an earlier failure makes pointless are left out."""
    checks = [_unit(instance, evidence)]
    if evidence.answers.failure:
        squatted = evidence.holder_is_ours is False
        checks.append(_listener(instance, evidence) if squatted else _http(instance, evidence))
    else:
        checks.append(_http(instance, evidence))
        checks.append(_listener(instance, evidence))
        if checks[-1].ok:
            checks.append(_version(instance, expected, evidence))
            checks.append(_models(instance, expected, evidence))
            if expected.load:
                checks += _loads(instance, expected, evidence)
    return Proof(
        instance=instance.name, unit=instance.unit, listen=instance.listen, checks=tuple(checks), evidence=evidence
    )


def _unit(instance: Instance, evidence: Evidence) -> Check:
    state = evidence.unit
    found = f"{state.active} ({state.sub_state})"
    grew = state.restarts > evidence.restarts_before
    if grew or state.crash_looping:
        found += f", restarted {state.restarts} times"
    ok = state.active is Active.ACTIVE and not grew
    return Check(
        kind=CheckKind.UNIT,
        ok=ok,
        found=found,
        expected="active (running), without restarts",
        hint="" if ok else f"journalctl -u {instance.unit} -n 50",
    )


def _http(instance: Instance, evidence: Evidence) -> Check:
    failure = evidence.answers.failure
    return Check(
        kind=CheckKind.HTTP,
        ok=not failure,
        found=failure or f"answers on {instance.listen}",
        expected=f"an HTTP answer on {instance.listen}",
        hint=f"look at the server with: systemctl status {instance.unit}" if failure else "",
    )


def _listener(instance: Instance, evidence: Evidence) -> Check:
    if evidence.holder_is_ours:
        return Check(kind=CheckKind.LISTENER, ok=True, found=f"pid {evidence.holder_pid} of {instance.unit}")
    if evidence.holder_is_ours is None:
        return Check(kind=CheckKind.LISTENER, ok=True, found="not looked at: that needs root")
    return Check(
        kind=CheckKind.LISTENER,
        ok=False,
        found=evidence.holder_words or "nobody that this host shows",
        expected=f"a process of {instance.unit} listens on {instance.listen}",
        hint="end that program, or give the instance another port in the spec; ollamactl kills nothing",
    )


def _version(instance: Instance, expected: Expected, evidence: Evidence) -> Check:
    found = evidence.answers.version or "no version"
    ok = expected.version is None or found == expected.version
    return Check(
        kind=CheckKind.VERSION,
        ok=ok,
        found=found,
        expected=f"{expected.version}, the version of {instance.binary}" if expected.version else "",
        hint="" if ok else f"ollamactl restart {instance.name}",
    )


def _models(instance: Instance, expected: Expected, evidence: Evidence) -> Check:
    found = evidence.answers.models
    missing = [name for name in expected.models if name not in found]
    other = [n for n, digest in expected.models.items() if n in found and _digest(found[n]) != digest]
    more = [n for n in found if n not in expected.models] if instance.store is Store.ISOLATED else []
    parts = [
        *(f"{name} is missing" for name in missing),
        *(f"{name} is {_digest(found[name])[:12]} instead of {expected.models[name][:12]}" for name in other),
        *(f"{name} is listed too" for name in more),
    ]
    listed = ", ".join(f"{name} {_digest(digest)[:12]}" for name, digest in sorted(found.items()))
    return Check(
        kind=CheckKind.MODELS,
        ok=not parts,
        found="; ".join(parts) or listed or "none",
        expected=", ".join(f"{name} {digest[:12]}" for name, digest in sorted(expected.models.items())) or "none",
        hint=f"ollamactl apply, then ollamactl restart {instance.name} if it stays" if parts else "",
    )


def _loads(instance: Instance, expected: Expected, evidence: Evidence) -> list[Check]:
    checks = []
    answers = evidence.answers
    for model in expected.models:
        if words := answers.load_failures.get(model):
            checks.append(
                Check(
                    kind=CheckKind.LOAD,
                    ok=False,
                    found=words,
                    expected=f"{model} loads",
                    hint=f"journalctl -u {instance.unit} -n 50",
                )
            )
            continue
        checks.append(Check(kind=CheckKind.LOAD, ok=True, found=f"{model} loads"))
        if size := answers.loaded.get(model):
            checks.append(_placement(instance, model, size, expected.gpu))
    return checks


def _placement(instance: Instance, model: str, size: ModelSize, gpu: bool | None) -> Check:
    share = round(100 * size.size_vram / size.size) if size.size else 0
    where = {0: "on the CPU", 100: "on the GPU"}.get(share, f"{share} % on the GPU, the rest on the CPU")
    wrong = (gpu is True and size.size_vram == 0) or (gpu is False and size.size_vram > 0)
    return Check(
        kind=CheckKind.PLACEMENT,
        ok=not wrong,
        found=f"{model} is {where}",
        expected="on the GPU that the spec pins" if gpu else "on the CPU" if gpu is False else "",
        hint=f"see what the server found: journalctl -u {instance.unit} | grep 'inference compute'" if wrong else "",
    )


def _digest(text: str) -> str:
    return text.removeprefix("sha256:")
