"""The proof that a port is answered by the right server with the right models: evidence in, checks out. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from ollamactl.model import Instance, Store
from ollamactl.observed import Active, PortHolder, UnitState


class CheckKind(StrEnum):
    """What is proved, in the order in which one failure explains the next."""

    DROP_IN = "drop-in"
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
    open: bool = False
    """Neither proved nor disproved: the caller may not look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSize:
    """A loaded model's bytes, in all and in VRAM."""

    size: int
    size_vram: int

    @property
    def spilled(self) -> bool:
        """Whether it did not fit: a part computes on the GPU, the rest, slowly, on the CPU."""
        return 0 < self.size_vram < self.size

    def __str__(self) -> str:
        """Where it is; a spill is never rounded away."""
        if self.spilled:
            share = min(99, max(1, round(100 * self.size_vram / self.size)))
            return f"{share} % on the GPU, the rest on the CPU"
        return "on the GPU" if self.size_vram else "on the CPU"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a server said over HTTP; `failure` says in words why it said nothing more."""

    failure: str = ""
    version: str | None = None
    models: Mapping[str, str] = field(default_factory=dict)
    """Name -> digest, from /api/tags."""
    loaded: Mapping[str, ModelSize] = field(default_factory=dict)
    evicted: Mapping[str, ModelSize] = field(default_factory=dict)
    """Models that were loaded for the proof, and then had to make room for others; only with --load."""
    load_failures: Mapping[str, str] = field(default_factory=dict)
    """Model -> the server's own words; only with --load."""

    @property
    def sizes(self) -> Mapping[str, ModelSize]:
        """Every model that was seen in memory."""
        return {**self.evicted, **self.loaded}


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything that is known of one instance at the time of judging."""

    unit: UnitState
    answers: Answers = Answers()
    holder: PortHolder | None = None
    """Who listens on the address; None where nobody does."""
    holder_is_ours: bool | None = None
    """Whether that is a process of the unit; None where nobody listens, or where we may not look."""
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
    """Name -> digest, of the planned manifests; an empty digest where the store lacks the model."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Another name -> the model that it stands for."""
    load: bool = False
    """--load: every declared model has been loaded."""
    gpu: bool | None = None
    """Whether models must land on a GPU (True), on the CPU (False), or anywhere (None)."""

    @property
    def listed(self) -> Mapping[str, str]:
        """Everything that it must list, with its digest."""
        return {**self.models, **{alias: self.models.get(model, "") for alias, model in self.aliases.items()}}


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
    def whole(self) -> bool:
        """Whether nothing was left open."""
        return not any(check.open for check in self.checks)

    @property
    def failures(self) -> tuple[Check, ...]:
        """The checks that did not hold."""
        return tuple(check for check in self.checks if not check.ok)


def judge(instance: Instance, expected: Expected, evidence: Evidence) -> Proof:
    """Every check that the evidence allows; those that an earlier failure makes pointless are left out."""
    checks = [_unit(instance, evidence)]
    if not evidence.answers.failure:
        checks += [_http(instance, evidence), _listener(instance, evidence)]
        if checks[-1].ok:
            checks += [_version(instance, expected, evidence), _models(instance, expected, evidence)]
            if expected.load:
                checks += _loads(instance, expected, evidence)
    elif evidence.holder_is_ours is False:
        checks.append(_listener(instance, evidence))
    elif checks[0].ok:
        # A unit that is down need not be told to be silent, too.
        checks.append(_http(instance, evidence))
    return Proof(
        instance=instance.name, unit=instance.unit, listen=instance.listen, checks=tuple(checks), evidence=evidence
    )


def _unit(instance: Instance, evidence: Evidence) -> Check:
    state = evidence.unit
    found = state.words
    grew = state.restarts > evidence.restarts_before
    ok = state.active is Active.ACTIVE and not grew
    if not ok and state.restarts:
        found += f", restarted {_times(state.restarts)} by systemd"
    hint = f"see why: journalctl -u {instance.unit} -n 50"
    if state.active is Active.INACTIVE:
        hint = f"start it: sudo ollamactl start {instance.name}; or see why it ended: journalctl -u {instance.unit}"
    return Check(
        kind=CheckKind.UNIT,
        ok=ok,
        found=found,
        expected="active (running), without restarts",
        hint="" if ok else hint,
    )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _http(instance: Instance, evidence: Evidence) -> Check:
    failure = evidence.answers.failure
    hint = f"see what it does: journalctl -u {instance.unit} -n 50; if it hangs: sudo ollamactl restart {instance.name}"
    return Check(
        kind=CheckKind.HTTP,
        ok=not failure,
        found=failure or f"answers on {instance.listen}",
        expected=f"an answer of Ollama's on {instance.listen}",
        hint=hint if failure else "",
    )


def _listener(instance: Instance, evidence: Evidence) -> Check:
    holder, redirect = evidence.holder, f"sudo nft list ruleset | grep {instance.port}"
    if evidence.holder_is_ours and holder:
        return Check(kind=CheckKind.LISTENER, ok=True, found=f"pid {holder.pid} of {instance.unit}")
    if evidence.holder_is_ours is not False:
        return Check(kind=CheckKind.LISTENER, ok=True, open=True, found="not looked at: that needs root")
    return Check(
        kind=CheckKind.LISTENER,
        ok=False,
        found=f"{instance.listen} is held by {holder}" if holder else "an answer, though no process here listens",
        expected=f"a process of {instance.unit} listens on {instance.listen}",
        hint=holder.way_out if holder else f"look for a redirect, such as a container's published port: {redirect}",
    )


def _version(instance: Instance, expected: Expected, evidence: Evidence) -> Check:
    found = evidence.answers.version or "none"
    ok = expected.version is None or found == expected.version
    return Check(
        kind=CheckKind.VERSION,
        ok=ok,
        found=f"the server runs {found}" if not ok else found,
        expected=f"{expected.version}, as {instance.binary} is" if expected.version else "",
        hint="" if ok else f"have it run the installed program: sudo ollamactl restart {instance.name}",
    )


def _models(instance: Instance, expected: Expected, evidence: Evidence) -> Check:
    found = {name: _digest(digest) for name, digest in evidence.answers.models.items()}
    wanted = expected.listed
    parts = []
    for name, digest in wanted.items():
        if name not in found:
            parts.append(f"{name} is missing")
        elif digest and found[name] != digest:
            parts.append(f"{name} is {found[name][:12]} instead of {digest[:12]}")
    if instance.store is Store.ISOLATED:
        parts += [f"{name} is not declared, but served" for name in found if name not in wanted]
    return Check(
        kind=CheckKind.MODELS,
        ok=not parts,
        found="; ".join(parts) or _listed(found),
        expected=_listed(wanted),
        hint=f"sudo ollamactl apply; if that changes nothing: sudo ollamactl restart {instance.name}" if parts else "",
    )


def _listed(models: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {digest[:12]}".rstrip() for name, digest in sorted(models.items())) or "none"


def _loads(instance: Instance, expected: Expected, evidence: Evidence) -> list[Check]:
    checks = []
    for model in expected.models:
        words = evidence.answers.load_failures.get(model)
        checks.append(
            Check(
                kind=CheckKind.LOAD,
                ok=not words,
                found=words or f"{model} loads",
                expected=f"{model} loads",
                hint=f"see the runner's own words: journalctl -u {instance.unit} -n 50" if words else "",
            )
        )
        if not words and (size := evidence.answers.sizes.get(model)):
            checks.append(_placement(instance, model, size, expected.gpu))
    return checks


def _placement(instance: Instance, model: str, size: ModelSize, gpu: bool | None) -> Check:
    wrong = (gpu is True and not size.size_vram) or (gpu is False and size.size_vram > 0)
    return Check(
        kind=CheckKind.PLACEMENT,
        ok=not wrong,
        found=f"{model} is {size}",
        expected="" if gpu is None else "on the GPU that the spec pins" if gpu else "on the CPU",
        hint=f"see its cards: journalctl -u {instance.unit} | grep 'inference compute'" if wrong else "",
    )


def _digest(text: str) -> str:
    return text.removeprefix("sha256:")
