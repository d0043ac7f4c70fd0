"""The smaller commands: start, stop and restart what is installed, environments, rendered files, a first spec."""

import shlex
from collections.abc import Collection, Mapping
from dataclasses import replace

from ollamactl import gpus, pins, store
from ollamactl.compiled import compile_spec
from ollamactl.errors import Severity
from ollamactl.execute import Tell
from ollamactl.files import File
from ollamactl.model import Fleet, Instance, State
from ollamactl.observe import Host, read_facts
from ollamactl.plan import Plan, Step, StepKind
from ollamactl.probe import dial_address
from ollamactl.source import Source
from ollamactl.workflow import Applied, NotReadyError, carry_out, chosen, installed, limit, locked, make_plan

_VERBS = {"start": StepKind.START, "stop": StepKind.STOP, "restart": StepKind.RESTART}


def control(host: Host, verb: str, names: Collection[str], *, timeout: float, tell: Tell) -> Applied:
    """Starts, stops or restarts installed servers through the manager, and proves those that run then."""
    kind = _VERBS[verb]
    with locked(host, tell):
        compiled = installed(host)
        steps = []
        for i in chosen(compiled.fleet, names):
            if not names and i.state is State.STOPPED and kind is not StepKind.STOP:
                # `state: stopped` in the spec means: only when asked for by name.
                continue
            steps.append(Step(kind=kind, subject=i.unit, cause="asked for", instance=i.name))
            if kind is not StepKind.STOP:
                steps.append(Step(kind=StepKind.WAIT, subject=i.unit, instance=i.name, target=i))
                steps.append(Step(kind=StepKind.VERIFY, subject=i.unit, instance=i.name, target=i))
        planned = replace(make_plan(host, compiled), plan=Plan(steps=tuple(steps)), problems=())
        return carry_out(host, planned, load=False, timeout=timeout, tell=tell)


def rendered(host: Host, source: Source, *, only: Collection[str] = ()) -> tuple[File, ...]:
    """The files that apply would install. Raises NotReadyError where the host lacks a card that the spec names."""
    compiled = compile_spec(host, source)
    if found := [p for p in pins.problems(compiled.fleet, compiled.facts) if p.severity is Severity.ERROR]:
        raise NotReadyError(found)
    scope = limit(compiled.fleet, only)
    return tuple(file for file in compiled.files if not scope or file.instance in scope)


def client_environment(instance: Instance) -> dict[str, str]:
    """What `ollama` as a client needs to reach a server."""
    host = dial_address(instance.host)
    return {"OLLAMA_HOST": f"[{host}]:{instance.port}" if ":" in host else f"{host}:{instance.port}"}


def server_environment(host: Host, fleet: Fleet, instance: Instance) -> dict[str, str]:
    """What the server is given, without secrets."""
    from ollamactl import environment

    facts = read_facts(host, replace(fleet, instances=(instance,)))
    pin = pins.pin(instance, facts.gpus)
    return {**environment.environment(instance, fleet, pin), **dict(instance.environment)}


def exports(variables: Mapping[str, str]) -> str:
    """Lines for a POSIX shell to evaluate."""
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items())


def starter_spec(host: Host) -> str:
    """A first spec from the machine's cards and models."""
    from ollamactl import starter

    models_dir = host.root / Fleet().models_dir.lstrip("/")
    there = sorted(store.read(models_dir)) if models_dir.is_dir() else []
    return starter.starter(gpus.detect(host.root), there)
