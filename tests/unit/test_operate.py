"""The smaller commands, below a root of a test."""

from dataclasses import replace
from pathlib import Path

import pytest

from ollamactl import operate, workflow
from ollamactl.host import observe
from ollamactl.observed import Active, UnitState
from ollamactl.planning.plan import StepKind
from ollamactl.spec.source import Source

FLEET = b"""\
version: 1
defaults: {gpus: none}
instances:
  a: {port: 11434, models: [m]}
  b: {port: 11435, models: [m]}
  c: {port: 11436, models: [m], state: stopped}
"""


@pytest.mark.parametrize(
    ("patient", "only", "waits", "proofs"),
    [(False, (), [], ["a", "b"]), (True, (), ["a"], ["a", "b"]), (True, ("b",), [], ["b"])],
)
def test_patience_is_for_those_that_run(
    tmp_path: Path, patient: bool, only: tuple[str, ...], waits: list[str], proofs: list[str]
) -> None:
    planned = workflow.plan(observe.host(root=str(tmp_path)), Source(name="fleet.yaml", data=FLEET))
    units = {f"ollama@{name}.service": UnitState(name=name, active=Active.ACTIVE) for name in "ac"}
    planned = replace(planned, observed=replace(planned.observed, units=units))
    plan = operate.proving(planned, patient=patient, only=only)
    assert [step.instance for step in plan.of(StepKind.WAIT)] == waits
    assert [step.instance for step in plan.of(StepKind.VERIFY)] == proofs
    assert len(plan.steps) == len(waits) + len(proofs)
