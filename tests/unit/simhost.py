"""A host in a few dictionaries: files, links, units and processes, on which the steps of a plan can be carried out.

It knows just enough of systemd for the reconciler: a unit is read when it is first needed and again at a reload, a
process keeps the configuration that it was started with, a target starts what it wants, who requires a unit starts,
stops and restarts with it, and two cannot have one port.
"""

import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from ollamactl.errors import Problem
from ollamactl.facts import Facts, Layout, Manifest
from ollamactl.files import MARKER, File, FileKind, ObservedFile
from ollamactl.model import (
    GATE_SERVICE,
    HEAL_TIMER,
    TARGET,
    TEMPLATE,
    Fleet,
    gate_socket,
    instance_name,
    socket_instance,
    unit_name,
)
from ollamactl.observed import Active, Observed, PortHolder, Replaced, Running, UnitState
from ollamactl.planning import dependents, precheck, whose
from ollamactl.planning.plan import Plan, Step, StepKind
from ollamactl.planning.reconcile import reconcile
from ollamactl.units.record import installed_fleet
from ollamactl.units.render import DROP_IN, render
from tests.unit.fakes import SALTS
from tests.unit.simdoors import SimDoors
from tests.unit.simvalues import CARDS, after

LAYOUT = Layout()


def drop_in_path(instance: str) -> str:
    return f"{LAYOUT.unit_dir}/{unit_name(instance)}.d/{DROP_IN}"


@dataclass(frozen=True, slots=True)
class Process:
    """A server as it was started; `serial` tells a restarted one from one that was left alone."""

    serial: int
    config: str | None
    secrets: str | None
    listen: str
    """Its public address; empty for one behind the gate, which has a network of its own."""


@dataclass(slots=True)
class SimHost:
    """One machine. What happens to it between two applies is done by changing its fields."""

    files: dict[str, ObservedFile] = field(default_factory=dict)
    links: set[str] = field(default_factory=set)
    target_enabled: bool = False
    units: dict[str, UnitState] = field(default_factory=dict)
    """Units that are up or failed; what is missing here is inactive."""
    processes: dict[str, Process] = field(default_factory=dict)
    """By unit."""
    doors: SimDoors = field(default_factory=SimDoors)
    loaded: dict[str, tuple[bytes, ...]] = field(default_factory=dict)
    """The files of each unit as the manager read them."""
    loaded_wants: set[str] | None = None
    """The links of the target as the manager read them."""
    store: dict[str, Manifest] = field(default_factory=dict)
    others: dict[str, Replaced] = field(default_factory=dict)
    """Services of somebody else's, by name; each holds the port of the squatter of its name while it is up."""
    squatters: list[PortHolder] = field(default_factory=list)
    changed: dict[str, Running] = field(default_factory=dict)
    """What else is to be seen of a process, by instance: a replaced binary, a newer environment file."""
    root: bool = True
    """Whether the one who looks may see how processes were started, and who holds ports."""
    exposed: bool = False
    """Whether others may look into the folder of secrets."""
    offline: bool = False
    """An image: nothing runs on it."""
    serials: "itertools.count[int]" = field(default_factory=itertools.count)

    def facts(self) -> Facts:
        return Facts(gpus=CARDS, salts=SALTS, program="/usr/bin/ollamactl", manifests=self.store)

    def put(self, path: str, text: str) -> None:
        """A file that somebody wrote; the marker decides whose it is."""
        ours = text.startswith(MARKER) or path.startswith(f"{LAYOUT.state_dir}/")
        self.files[path] = ObservedFile(path=path, data=text.encode(), ours=ours)

    def desired(self, fleet: Fleet) -> tuple[File, ...]:
        return render(fleet, self.facts())

    def plan(self, fleet: Fleet, *only: str) -> Plan:
        return reconcile(fleet, self.desired(fleet), self.observe(fleet), only=frozenset(only))

    def problems(self, fleet: Fleet, *only: str) -> tuple[Problem, ...]:
        found = precheck.problems(fleet, self.desired(fleet), self.observe(fleet), only=only)
        return tuple(problem for problem in found if not only or not problem.instance or problem.instance in only)

    def apply(self, fleet: Fleet, *only: str) -> Plan:
        plan = self.plan(fleet, *only)
        self.carry_out(plan.steps)
        return plan

    def observe(self, fleet: Fleet) -> Observed:
        observed = Observed(
            facts=self.facts(),
            offline=self.offline,
            files=self._files(),
            units={unit: self._state(unit) for unit in {*self.units, *self.loaded}},
            running={name: self._running(unit) for unit in self.processes if (name := instance_name(unit))},
            wanted=frozenset(self.links),
            loaded_wants=None if self.loaded_wants is None else frozenset(self.loaded_wants),
            target_enabled=self.target_enabled,
            holders=self._holders(fleet),
            replaced=dict(self.others),
        )
        return replace(observed, holders=whose.attributed(observed, fleet, installed_fleet(self.files)))

    def _files(self) -> dict[str, ObservedFile]:
        closed = f"{LAYOUT.secrets}/"
        seen = {
            path: replace(file, exposed=self.exposed and path.startswith(closed)) for path, file in self.files.items()
        }
        if self.root or self.exposed or not any(path.startswith(closed) for path in seen):
            return seen
        folder = ObservedFile(path=LAYOUT.secrets, data=b"", ours=True, unread=True)
        return {LAYOUT.secrets: folder, **{path: file for path, file in seen.items() if not path.startswith(closed)}}

    def carry_out(self, steps: Iterable[Step]) -> None:
        for step in steps:
            self._do(step)

    def break_down(self, unit: str, active: Active, sub_state: str = "", restarts: int = 0) -> None:
        """The unit's process ends, and the unit is left in a state."""
        self.processes.pop(unit, None)
        self.units[unit] = UnitState(
            name=unit, load_state="loaded", active=active, sub_state=sub_state or active, restarts=restarts
        )

    def stop(self, unit: str) -> None:
        """Ends a unit, as systemctl does; the manager forgets what nothing needs any more."""
        parts = [HEAL_TIMER, GATE_SERVICE, *self.doors.ports, *self.processes]
        for each in [unit, *parts] if unit == TARGET else [unit, *self._requiring(unit)]:
            self.processes.pop(each, None)
            self.units.pop(each, None)
            self.doors.ports.pop(each, None)
        if GATE_SERVICE not in self.units:
            self.doors.in_gate = set()
        self.loaded_wants = self.loaded_wants if TARGET in self.units else None
        needed = {*self.units, *(self.loaded_wants or ())}
        self.loaded = {each: read for each, read in self.loaded.items() if each in needed}

    def _state(self, unit: str) -> UnitState:
        state = self.units.get(unit) or UnitState(name=unit, load_state="loaded")
        stale = unit in self.loaded and self.loaded[unit] != self._on_disk(unit)
        return replace(
            state,
            need_reload=state.need_reload or stale,
            requires=tuple(self._requires(unit)) if stale and instance_name(unit) else None,
        )

    def _running(self, unit: str) -> Running:
        if not self.root:
            return Running()
        process, name = self.processes[unit], instance_name(unit) or ""
        seen = self.changed.get(name, Running())
        return replace(
            seen,
            config=seen.config or process.config,
            secrets=process.secrets,
            same_binary=True if seen.same_binary is None else seen.same_binary,
        )

    def _holders(self, fleet: Fleet) -> Mapping[str, PortHolder]:
        by_address = self._squatted()
        by_address |= dict(self.doors.holders())
        for unit, process in self.processes.items():
            if not process.listen:
                continue
            address, _, port = process.listen.rpartition(":")
            by_address[process.listen] = PortHolder(
                address=address, port=int(port), pid=4000 + process.serial, command="ollama serve", unit=unit
            )
        found = {}
        for instance in dependents.to_run(fleet):
            holder = by_address.get(instance.listen)
            own = {instance.unit, *([gate_socket(instance.name)] if instance.gated else [])}
            if holder and holder.unit not in own:
                found[instance.name] = holder if self.root else replace(holder, pid=None, command="", unit="")
        return found

    def _squatted(self) -> dict[str, PortHolder]:
        down = {name for name, other in self.others.items() if not other.up}
        return {f"{each.address}:{each.port}": each for each in self.squatters if each.unit not in down}

    def _do(self, step: Step) -> None:
        if step.kind is StepKind.WRITE and step.file:
            file = step.file
            seen = self.files.get(file.path)
            assert seen is None or seen.ours, f"overwrites {file.path}, which is somebody else's"
            self.files[file.path] = ObservedFile(path=file.path, data=file.data, ours=True, mode=file.mode)
            self.exposed &= file.kind is not FileKind.SECRETS
        elif step.kind is StepKind.REMOVE:
            if step.subject == LAYOUT.figures:
                return  # heal's own
            assert self.files.pop(step.subject).ours, f"removes {step.subject}, which is somebody else's"
        elif step.links or step.kind in (StepKind.DISPLACE, StepKind.RESTORE):
            self.others[step.subject] = after(step, self.others[step.subject])
        elif step.kind is StepKind.ENABLE:
            self._link(step.subject, there=True)
        elif step.kind is StepKind.DISABLE:
            self._link(step.subject, there=False)
        elif step.kind is StepKind.RELOAD:
            self.loaded = {unit: self._on_disk(unit) for unit in self.loaded}
            self.units = {unit: replace(state, need_reload=False) for unit, state in self.units.items()}
            self.loaded_wants = None if self.loaded_wants is None else set(self.links)
        elif step.kind is StepKind.STOP:
            self.stop(step.subject)
        elif step.kind is StepKind.RESTART and step.subject == GATE_SERVICE:
            self.doors.restart()
        elif step.kind is StepKind.RESTART:
            along = [unit for unit in self._requiring(step.subject) if unit in self.processes]
            self.stop(step.subject)
            for unit in (step.subject, *along):
                self._start(unit)
        elif step.kind is StepKind.START:
            self._start(step.subject)

    def _link(self, unit: str, *, there: bool) -> None:
        if unit == TARGET:
            self.target_enabled = there
        else:
            (self.links.add if there else self.links.discard)(unit)

    def _start(self, unit: str) -> None:
        if unit in self.units and (unit in self.processes or not instance_name(unit)):
            return
        if socket_instance(unit):
            (text,) = self.loaded.setdefault(unit, self._on_disk(unit))
            taken = {process.listen for process in self.processes.values()}
            self.doors.open(unit, _value(text, rb"^ListenStream=(.+)$"), taken, gate=GATE_SERVICE in self.units)
            self.units[unit] = UnitState(name=unit, load_state="loaded", active=Active.ACTIVE, sub_state="listening")
            return
        self.doors.gate_is_new = False
        self.units[unit] = UnitState(name=unit, load_state="loaded", active=Active.ACTIVE, sub_state="running")
        if unit == TARGET:
            self.loaded_wants = set(self.links) if self.loaded_wants is None else self.loaded_wants
            for wanted in sorted(self.loaded_wants):
                self._start(wanted)
            return
        if unit == HEAL_TIMER:
            (timer,) = self.loaded.setdefault(unit, self._on_disk(unit))
            assert timer, "the timer is started without its file"
            return
        template, drop_in = self.loaded.setdefault(unit, self._on_disk(unit))
        for other in self._requires(unit):
            self._start(other)
        assert template, f"{unit} is started without its template"
        listen = _value(drop_in, rb"^Environment=OLLAMA_HOST=(.+)$")
        assert listen, f"{unit} is started without its drop-in"
        listen = "" if b"\nPrivateNetwork=yes\n" in drop_in else listen
        holders = [other for other, process in self.processes.items() if listen and process.listen == listen]
        holders += [GATE_SERVICE] if listen in self.doors.held else []
        assert not holders, f"{unit} is started on {listen} while {holders} has it"
        assert listen not in self._squatted() or not self.others, f"{unit} is started on {listen}, which is not free"
        secrets = self.files.get(f"{LAYOUT.secrets}/{instance_name(unit)}.env") if b"/secrets/" in drop_in else None
        self.processes[unit] = Process(
            serial=next(self.serials),
            config=_value(drop_in, rb"OLLAMACTL_CONFIG=([0-9a-f]+)"),
            secrets=_value(secrets.data, rb"OLLAMACTL_SECRETS=([0-9a-f-]+)") if secrets else None,
            listen=listen,
        )

    def _requires(self, unit: str) -> list[str]:
        """As the manager has read it."""
        *_, drop_in = self.loaded.get(unit) or (b"",)
        return (_value(drop_in, rb"^Requires=(.+)$") or "").split()

    def _requiring(self, unit: str) -> list[str]:
        """All that systemd takes along when the unit stops."""
        found: list[str] = []
        while new := [each for each in self.loaded if each not in found and {unit, *found} & set(self._requires(each))]:
            found += new
        return found

    def _on_disk(self, unit: str) -> tuple[bytes, ...]:
        paths: tuple[str, ...] = (f"{LAYOUT.unit_dir}/{TEMPLATE}", drop_in_path(instance_name(unit) or ""))
        if not instance_name(unit):
            paths = (f"{LAYOUT.unit_dir}/{unit}",)
        return tuple(self.files[path].data if path in self.files else b"" for path in paths)


def _value(data: bytes, pattern: bytes) -> str | None:
    match = re.search(pattern, data, re.MULTILINE)
    return match[1].decode() if match else None
