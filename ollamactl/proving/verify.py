"""Gathering the evidence for a proof: what the servers answered, and who holds their sockets."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ollamactl.host import journal, listeners, preloading, processes
from ollamactl.model import Instance, dial_address
from ollamactl.observed import Active, PortHolder, UnitState
from ollamactl.proving import lastwords, probe
from ollamactl.proving.judge import judge
from ollamactl.proving.proof import Answers, Evidence, Expected, ModelSize, Proof

_THROUGH_SECONDS = 20.0
"""The gate may have to be started first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One instance to judge, with what is known of it so far."""

    instance: Instance
    unit: UnitState
    answers: Answers
    expected: Expected
    restarts_before: int = 0
    door: UnitState | None = None
    """The socket unit of one behind the gate."""
    shut: str = ""
    """Why it does not answer through the gate (through)."""


def through(instance: Instance, answers: Answers) -> str:
    """Why clients do not reach the server that answered, in words: they come through the gate. Empty where they do."""
    if not instance.gated or answers.failure or answers.version is None:
        return ""
    try:
        with probe.Server(dial_address(instance.host), instance.port, timeout=_THROUGH_SECONDS) as server:
            found = server.version()
    except (probe.Unreachable, probe.Silent, probe.Strange) as error:
        return f"{instance.listen}: {error}"
    return "" if found == answers.version else f"{instance.listen} is answered by version {found}"


def prove(subjects: Iterable[Subject], *, user: bool, proc: Path = Path("/proc")) -> tuple[Proof, ...]:
    """Judges each subject against one reading of the host's sockets."""
    sockets = listeners.read(proc)
    return tuple(_prove(subject, sockets, user, proc) for subject in subjects)


def _prove(subject: Subject, sockets: Sequence[listeners.Listener], user: bool, proc: Path) -> Proof:
    instance, unit = subject.instance, subject.unit
    answers = _on_cpu(subject.answers) if _uses_no_card(subject, proc) else subject.answers
    evidence = Evidence(
        unit=unit,
        answers=answers,
        restarts_before=subject.restarts_before,
        door=subject.door,
        shut=subject.shut,
    )
    if not answers.failure and not answers.loaded.keys() >= {*subject.expected.preload}:
        evidence = replace(evidence, preloading=preloading.at_work(unit.name, proc))
    if instance.gated:
        sockets = listeners.read(proc / str(unit.main_pid)) if unit.main_pid else ()
    there = listeners.serving(sockets, instance.server_host, instance.port)
    evidence = _with_holder(evidence, instance, there, proc)
    proof = judge(instance, subject.expected, evidence)
    if not proof.ok and (unit.active is not Active.ACTIVE or subject.answers.failure or unit.restarts):
        proof = replace(proof, evidence=replace(evidence, journal=_last_words(unit.name, user=user)))
    return proof


def _last_words(unit: str, *, user: bool) -> tuple[str, ...]:
    return lastwords.telling(journal.tail(unit, lines=lastwords.READ, user=user))


def _uses_no_card(subject: Subject, proc: Path) -> bool:
    """Whether it is sure that no process of the unit computes on a card: none has a node of one open."""
    # Of one that is gone from memory nothing is open any more, wherever it was; it counts where no card may be.
    answers = subject.answers
    told = answers.sizes if subject.expected.gpu is False else answers.loaded
    if not subject.unit.main_pid or not any(size.size_vram for size in told.values()):
        return False
    return {processes.open_cards(pid, proc) for pid in processes.family(subject.unit.main_pid, proc)} == {()}


def _on_cpu(answers: Answers) -> Answers:
    """The answers without VRAM: Ollama takes every buffer that is not named CPU for it, Intel's AMX buffers too."""

    def without(sizes: Mapping[str, ModelSize]) -> Mapping[str, ModelSize]:
        return {name: replace(size, size_vram=0) for name, size in sizes.items()}

    return replace(answers, loaded=without(answers.loaded), evicted=without(answers.evicted))


def _with_holder(evidence: Evidence, instance: Instance, sockets: Sequence[listeners.Listener], proc: Path) -> Evidence:
    """Who listens, as far as the caller may look: sockets of other users' processes show their owner to root only."""
    unit = evidence.unit
    inodes = {socket.inode for socket in sockets}
    if unit.main_pid and processes.holds_socket(unit.main_pid, inodes, proc) is not None:
        holder = PortHolder(address=instance.server_host, port=instance.port, pid=unit.main_pid, unit=unit.name)
        return replace(evidence, holder=holder, holder_is_ours=True)
    may_look = not unit.main_pid or os.access(f"{proc}/{unit.main_pid}/fd", os.R_OK | os.X_OK)
    if not sockets:
        # An answer without a listener comes from elsewhere: a redirect, as of a container's published port.
        answered_by_nobody = may_look and not evidence.answers.failure
        return replace(evidence, holder_is_ours=False) if answered_by_nobody else evidence
    owner = next(filter(None, (processes.owner(inode, proc) for inode in sorted(inodes))), None)
    holder = PortHolder(
        address=sockets[0].address,
        port=instance.port,
        pid=owner.pid if owner else None,
        command=owner.command if owner else "",
        unit=(owner.unit or "") if owner else "",
    )
    ours = holder.unit == unit.name
    return replace(evidence, holder=holder, holder_is_ours=ours if owner or may_look else None)


def expectations(
    instances: Iterable[Instance],
    digests: Mapping[str, str],
    versions: Mapping[str, str | None],
    *,
    load: bool,
    has_gpu: bool | None,
    settles: bool = False,
) -> Mapping[str, Expected]:
    """What each server must say: digests by model of the store, versions by binary; `has_gpu` None is unknown.

    With `settles` what preload wants in memory is loaded where it is not.
    """
    return {
        i.name: Expected(
            version=versions.get(i.binary),
            models={model: digests.get(model, "") for model in i.models} | dict(i.digests),
            aliases=dict(i.aliases),
            load=load,
            preload=i.preload,
            settles=settles,
            gpu=_lands_on_gpu(i, has_gpu),
        )
        for i in instances
    }


def _lands_on_gpu(instance: Instance, has_gpu: bool | None) -> bool | None:
    if instance.gpus == () or instance.backend == "cpu" or has_gpu is False:
        return False
    return True if instance.gpus else None
