"""Cards of both vendors, and an instance that names some."""

from ollamactl.facts import Gpu, Vendor
from ollamactl.model import Backend, Instance

A = Gpu(vendor=Vendor.NVIDIA, index=0, pci="0000:01:00.0", uuid="GPU-aaaa", name="RTX A", minor=1)
B = Gpu(vendor=Vendor.NVIDIA, index=1, pci="0000:41:00.0", uuid="GPU-bbbb", name="RTX B", minor=0)
R = Gpu(vendor=Vendor.AMD, index=0, pci="0000:81:00.0", uuid="GPU-0123456789abcdef", nodes=("226:128", "226:0"))
S = Gpu(vendor=Vendor.AMD, index=1, pci="0000:82:00.0", nodes=("226:129",))
HOST = (A, B, R, S)


def instance(*gpus: str, backend: Backend = Backend.AUTO) -> Instance:
    return Instance(name="x", port=11434, models=("x",), gpus=gpus, backend=backend)
