"""Cards: pins that do not hold, and what keeps a server from the card that it is meant to use. Pure."""

from collections.abc import Iterator

from ollamactl.doctor import mend
from ollamactl.doctor.finding import Finding, Trap
from ollamactl.doctor.host import Host, Server
from ollamactl.errors import Severity
from ollamactl.units import envconfig

_PINS = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL")


def findings(host: Host) -> Iterator[Finding]:
    """Every trap of this kind."""
    for server in host.servers:
        yield from _vulkan(server)


def _vulkan(server: Server) -> Iterator[Finding]:
    """Since v0.30 the Vulkan backend is on by default, and finds the card again that a pin hides."""
    environment = server.environment
    pins = [name for name in _PINS if environment.get(name)]
    value = environment.get("OLLAMA_VULKAN")
    if not pins or environment.get("GGML_VK_VISIBLE_DEVICES") or not (value or environment.lacks("OLLAMA_VULKAN")):
        return
    if not envconfig.truth(value, default=True):
        return
    yield Finding(
        trap=Trap.VULKAN_LEAK,
        severity=Severity.ERROR,
        unit=server.unit,
        message=f"{pins[0]} pins it to no card: Ollama's Vulkan backend is on, and finds every card again",
        evidence=(*(environment.told(name) for name in pins), environment.told("OLLAMA_VULKAN")),
        mend=mend.assign(server, "OLLAMA_VULKAN", "0"),
    )
