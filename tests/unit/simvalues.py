"""Cards, models and services of somebody else's on the simulated host (simhost)."""

import hashlib
from dataclasses import replace

from ollamactl.facts import Gpu, Manifest, Vendor
from ollamactl.modelname import ModelName
from ollamactl.observed import Active, Replaced
from ollamactl.planning.plan import Step, StepKind

CARDS = tuple(
    Gpu(vendor=Vendor.NVIDIA, index=index, pci=f"0000:0{index}:00.0", uuid=f"GPU-0000000{index}", minor=index)
    for index in (0, 1)
)


def manifest(model: str, text: str = "") -> Manifest:
    """A model of the store; another text is another version of it."""
    name = ModelName.parse(model)
    data = f'{{"{name.short}": "{text}"}}'.encode()
    return Manifest(model=name.short, path=name.manifest_path, data=data, digest=hashlib.sha256(data).hexdigest())


def after(step: Step, seen: Replaced) -> Replaced:
    """What a step makes of a service of somebody else's."""
    if step.links:
        gone = {path: to for path, to in seen.links.items() if path not in step.links}
        return replace(seen, links=gone if step.kind is StepKind.DISABLE else {**seen.links, **step.links})
    active = Active.ACTIVE if step.kind is StepKind.RESTORE else Active.INACTIVE
    return replace(seen, state=replace(seen.state, active=active))
