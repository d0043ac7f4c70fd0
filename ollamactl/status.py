"""How each server is right now: units, processes, answers, as rows for a table or JSON."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from ollamactl.compiled import Compiled, compile_installed
from ollamactl.host import gatestate, overrides, store
from ollamactl.host.gatestate import GateState
from ollamactl.host.observe import PATTERN, SOCKETS, Host, running
from ollamactl.model import Fleet, Instance, State, gate_socket
from ollamactl.modelname import ModelName
from ollamactl.observed import Active, DropIn, Heeded, Observed, UnitState
from ollamactl.planning import heed, lost, reconcile
from ollamactl.proving.interview import Interviewer
from ollamactl.proving.judge import asleep
from ollamactl.proving.proof import ModelSize, Proof
from ollamactl.proving.verify import Subject, expectations, prove
from ollamactl.quantity import format_duration
from ollamactl.report import proof_lines
from ollamactl.units import secretfile
from ollamactl.workflow import chosen, nothing_installed

_DETAILS = {
    "StateChangeTimestamp": ("Unit", "t"),
    "MemoryCurrent": ("Service", "t"),
    "UnitFileState": ("Unit", "s"),
}
_UNSET = 2**64 - 1
"""What systemd answers for a counter that it does not keep (org.freedesktop.systemd1(5))."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One server's state."""

    instance: Instance
    """Of one that nothing on disk describes (`lost`) the name alone is known; its port is 0 then."""
    unit: UnitState
    since: float | None
    """Seconds since the epoch at which the unit came into this state."""
    memory: int | None
    """Bytes that the unit's processes hold."""
    proof: Proof | None
    """None where the server is not meant to run, and does not."""
    drop_ins: tuple[DropIn, ...] = ()
    """Drop-ins of an administrator."""
    older: bool = False
    """It runs with other settings than those installed: an apply was broken off, or made for others only."""
    gate: GateState | None = None
    """What the gate says of it; None for those that are not behind it, and where it does not run."""
    secrets: str = ""
    """The digest of its secrets; empty where it has none, or where only root may look."""

    @property
    def loaded(self) -> Mapping[str, ModelSize]:
        """Models in memory now."""
        return self.proof.evidence.answers.loaded if self.proof else {}

    @property
    def listen(self) -> str:
        """Its address; empty where it is not known."""
        return self.instance.listen if self.instance.port else ""

    @property
    def healthy(self) -> bool:
        """Whether it is as the spec wants it."""
        if self.proof:
            return self.proof.ok and self.instance.state is State.RUNNING and not self.older
        return self.instance.state is State.STOPPED


def read(host: Host, names: Collection[str] = ()) -> tuple[Row, ...]:
    """Asks the manager and every running server that is named, or all, side by side. Raises UsageError as `chosen`."""
    compiled = compile_installed(host)
    fleet = compiled.fleet
    units = {state.name: state for state in host.manager.units([PATTERN, SOCKETS])}
    seen = Observed(
        facts=compiled.facts,
        files=compiled.there,
        units=units,
        running=running(units, {i.name: i for i in fleet.instances}),
        wanted=frozenset(host.files.wanted(host.layout)),
    )
    gone = {proof.instance: proof for proof in lost.proofs(seen, fleet.instances)}
    if not gone and not fleet.instances:
        raise nothing_installed(host)
    instances = chosen(fleet, names, besides=gone)
    proofs = {**gone, **_prove(host, fleet, instances, seen)}
    told = gatestate.read(host.layout) if any(i.gated for i in instances) else {}
    others = overrides.read(host.manager, host.layout, [i.unit for i in instances], units)
    unknown = [Instance(name=name, port=0, models=()) for name in gone if not names or name in names]
    return tuple(
        replace(
            _row(host, i, seen.unit(i.unit), proofs.get(i.name), others.get(i.unit, ())),
            older=reconcile.runs_older(i.name, seen),
            gate=told.get(i.name),
            secrets=_secrets(compiled, f"{host.layout.secrets}/{i.name}.env"),
        )
        for i in sorted((*instances, *unknown), key=lambda i: i.name)
    )


def _secrets(compiled: Compiled, path: str) -> str:
    file = compiled.there.get(path)
    return secretfile.digest(file.data) if file else ""


def _prove(host: Host, fleet: Fleet, instances: Sequence[Instance], seen: Observed) -> Mapping[str, Proof]:
    models_dir = host.root / fleet.models_dir.lstrip("/")
    wanted = [ModelName.parse(model) for instance in instances for model in instance.models]
    digests = {name: manifest.digest for name, manifest in store.read(models_dir, wanted=wanted).items()}
    expected = expectations(instances, digests, {}, load=False, has_gpu=None)
    up = [i for i in instances if seen.unit(i.unit).active is not Active.INACTIVE or i.state is State.RUNNING]
    interviewer = Interviewer()
    try:
        asked = {i.name: interviewer.ask(i, loaded=True, pid=partial(_pid, seen.unit(i.unit))) for i in up}
        subjects = [
            Subject(
                instance=i,
                unit=seen.unit(i.unit),
                answers=asked[i.name].result(),
                expected=expected[i.name],
                restarts_before=seen.unit(i.unit).restarts,
                door=seen.unit(gate_socket(i.name)) if i.gated else None,
            )
            for i in up
        ]
    finally:
        interviewer.close()
    return {proof.instance: proof for proof in prove(subjects, user=host.user)}


def _pid(unit: UnitState) -> int:
    return unit.main_pid


def _row(host: Host, instance: Instance, unit: UnitState, proof: Proof | None, drop_ins: tuple[DropIn, ...]) -> Row:
    details = host.manager.details(unit.path, _DETAILS) if unit.path else {}
    since = details.get("StateChangeTimestamp") or None
    memory = details.get("MemoryCurrent")
    return Row(
        instance=instance,
        unit=unit,
        since=since / 1e6 if since else None,
        memory=memory if memory not in (None, _UNSET, 0) else None,
        proof=proof,
        drop_ins=drop_ins,
    )


_HEAD = ("INSTANCE", "UNIT", "SINCE", "LISTEN", "PROOF", "LOADED", "GPU", "MEMORY", "RESTARTS")


def table(rows: Sequence[Row], *, now: float, verbose: bool = False, user: bool = False) -> str:
    """The rows as aligned columns, then what is wrong and what to do."""
    cells = [_HEAD, *(_cells(row, now) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEAD))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    if told := [row.proof for row in rows if row.proof and (verbose or not row.proof.ok)]:
        lines += ["", *proof_lines(told, verbose=verbose)]
    for row in rows:
        for note in heed.told(row.unit.name, row.drop_ins, user=user):
            lines.append(f"{note.instance}: {note.message}")
            lines += [f"  hint: {note.hint}"] if note.hint else []
    begun = f"{'ollamactl --user' if user else 'sudo ollamactl'}"
    for name in [row.instance.name for row in rows if row.older]:
        lines.append(f"{name}: {reconcile.OLDER} than the one that is installed")
        lines.append(f"  hint: finish what was begun: {begun} apply; or: {begun} restart {name}")
    if verbose:
        lines += [f"{row.instance.name}: its secrets have the digest {row.secrets}" for row in rows if row.secrets]
    return "\n".join(lines)


def _cells(row: Row, now: float) -> tuple[str, ...]:
    state, begun = row.unit.words, row.since
    if row.gate and row.unit.active in (Active.ACTIVE, Active.INACTIVE):
        state, begun = row.gate.state, row.gate.since
    if asleep(row.instance, row.unit):
        state = "asleep"
    since = _ago(now - begun) if begun else "-"
    if row.proof is None:
        proof = "stopped, as in the spec"
    elif not row.proof.ok:
        proof = f"FAILED: {', '.join(dict.fromkeys(check.kind for check in row.proof.failures))}"
    else:
        proof = "ok" if row.healthy else "older settings" if row.older else "runs, against the spec"
    loaded = ", ".join(row.loaded) or "-"
    memory = f"{row.memory / 2**20:.0f}M" if row.memory else "-"
    return (
        row.instance.name, state, since, row.listen or "-", proof, loaded, _cards(row), memory, str(row.unit.restarts)
    )  # fmt: skip


def _cards(row: Row) -> str:
    if not row.listen:
        return "-"
    pins = row.instance.gpus
    words = "any" if pins is None else ",".join(pins) or "none"
    share = [100 * size.size_vram // size.size for size in row.loaded.values() if size.size]
    return f"{words} ({min(share)} % in VRAM)" if share and pins != () else words


def _ago(seconds: float) -> str:
    """`5m`, `3h`, `12d`: one unit is enough to see whether it just restarted."""
    seconds = max(0, int(seconds))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return format_duration(seconds)


def data(row: Row) -> dict[str, Any]:
    """The row as JSON; memory and sizes in bytes, since in seconds since the epoch."""
    return {
        "instance": row.instance.name,
        "unit": row.unit.name,
        "active": str(row.unit.active),
        "sub_state": row.unit.sub_state,
        "since": row.since,
        "listen": row.listen or None,
        "healthy": row.healthy,
        "older": row.older,
        "proof": None if row.proof is None else row.proof.ok,
        "failures": [
            {"check": str(c.kind), "found": c.found, "expected": c.expected, "hint": c.hint}
            for c in (row.proof.failures if row.proof else ())
        ],
        "version": row.proof.evidence.answers.version if row.proof else None,
        "loaded": [{"name": n, "size": s.size, "size_vram": s.size_vram} for n, s in row.loaded.items()],
        "gpus": None if row.instance.gpus is None else list(row.instance.gpus),
        "memory": row.memory,
        "gate": None if row.gate is None else asdict(row.gate),
        "secrets": row.secrets or None,
        "restarts": row.unit.restarts,
        "drop_ins": [each.path for each in row.drop_ins],
        "drop_ins_pending": [each.path for each in row.drop_ins if each.heeded is not Heeded.NOW],
    }
