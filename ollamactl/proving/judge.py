"""What proves that a port is answered by the right server with the right models: evidence in, checks out. Pure."""

from collections.abc import Mapping

from ollamactl.model import GATE_SERVICE, Instance, Store
from ollamactl.observed import Active, UnitState
from ollamactl.proving.proof import Check, CheckKind, Evidence, Expected, ModelSize, Proof


def judge(instance: Instance, expected: Expected, evidence: Evidence) -> Proof:
    """Every check that the evidence allows; those that an earlier failure makes pointless are left out."""
    checks = [_unit(instance, evidence)]
    if evidence.door:
        checks.append(_door(instance, evidence, evidence.door))
    if asleep(instance, evidence.unit):
        pass
    elif evidence.answers.hidden:
        checks.append(Check(kind=CheckKind.HTTP, ok=True, open=True, found=f"not asked: {evidence.answers.hidden}"))
    elif not evidence.answers.failure:
        checks += [_http(instance, evidence), _listener(instance, evidence)]
        if checks[-1].ok:
            checks += [_version(instance, expected, evidence), _models(instance, expected, evidence)]
            checks += _loads(instance, expected, evidence)
    elif evidence.holder_is_ours is False:
        checks.append(_listener(instance, evidence))
    elif checks[0].ok and checks[-1].ok:
        # A unit that is down need not be told to be silent, too.
        checks.append(_http(instance, evidence))
    return Proof(
        instance=instance.name, unit=instance.unit, listen=instance.listen, checks=tuple(checks), evidence=evidence
    )


def asleep(instance: Instance, unit: UnitState) -> bool:
    """Whether it is down because nobody needs it: the first request starts it."""
    return instance.sleeps and unit.active is Active.INACTIVE


def _door(instance: Instance, evidence: Evidence, door: UnitState) -> Check:
    ok = door.active is Active.ACTIVE
    hint = "sudo ollamactl apply" if not ok else f"see what the gate says: journalctl -u {GATE_SERVICE} -n 50"
    return Check(
        kind=CheckKind.DOOR,
        ok=ok and not evidence.shut,
        found=evidence.shut or (f"systemd holds {instance.listen}" if ok else f"{door.name} is {door.words}"),
        expected=f"systemd holds {instance.listen} for the gate",
        hint=hint if evidence.shut or not ok else "",
    )


def _unit(instance: Instance, evidence: Evidence) -> Check:
    state = evidence.unit
    if asleep(instance, state):
        return Check(kind=CheckKind.UNIT, ok=True, found="asleep until a request needs it")
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
    for model in expected.models if expected.load else expected.preload:
        words = evidence.answers.load_failures.get(model)
        if model in expected.preload and model not in evidence.answers.loaded:
            checks.append(_missing(instance, model, words, evidence))
            continue
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


def _missing(instance: Instance, model: str, words: str | None, evidence: Evidence) -> Check:
    """What preload wants in memory is not there: not yet, or not any more."""
    if evidence.preloading and (not words or model in evidence.answers.late):
        return Check(kind=CheckKind.LOAD, ok=True, pending=True, found=f"{model} is being loaded")
    if not words:
        had_to_go = model in evidence.answers.evicted
        words = f"{model} had to make room for another one" if had_to_go else f"{model} is not in memory"
    return Check(
        kind=CheckKind.LOAD,
        ok=False,
        found=words,
        expected=f"{model} is in memory, as preload says",
        hint=f"see why: journalctl -u {instance.unit} | grep preload; load it: sudo ollamactl apply",
    )


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
