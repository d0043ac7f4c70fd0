from dataclasses import replace

import pytest

from ollamactl.errors import Severity
from ollamactl.facts import Facts, Gpu, Layout, Vendor
from ollamactl.model import Backend, Fleet, Hardening, Instance, Store
from ollamactl.pins import pin, problems

A = Gpu(vendor=Vendor.NVIDIA, index=0, pci="0000:01:00.0", uuid="GPU-aaaa", name="RTX A", minor=1)
B = Gpu(vendor=Vendor.NVIDIA, index=1, pci="0000:41:00.0", uuid="GPU-bbbb", name="RTX B", minor=0)
R = Gpu(vendor=Vendor.AMD, index=0, pci="0000:81:00.0", uuid="GPU-0123456789abcdef", nodes=("226:128", "226:0"))
S = Gpu(vendor=Vendor.AMD, index=1, pci="0000:82:00.0", nodes=("226:129",))
HOST = (A, B, R, S)
SHARED = ("/dev/char/195:255", "char-nvidia-uvm", "char-nvidia-caps")
EVERY = ("char-nvidia*", "char-kfd", "char-drm")
NVIDIA = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "ROCR_VISIBLE_DEVICES": "-1", "OLLAMA_VULKAN": "0"}
NO_CARD = {"CUDA_VISIBLE_DEVICES": "-1", "ROCR_VISIBLE_DEVICES": "-1", "OLLAMA_VULKAN": "0"}
VULKAN = {"CUDA_VISIBLE_DEVICES": "-1", "ROCR_VISIBLE_DEVICES": "-1", "OLLAMA_VULKAN": "1"}


def instance(*gpus: str, backend: Backend = Backend.AUTO) -> Instance:
    return Instance(name="x", port=11434, models=("x",), gpus=gpus, backend=backend)


@pytest.mark.parametrize("name", ["GPU-aaaa", "gpu-AAAA", "0000:01:00.0", "01:00.0"])
def test_nvidia_is_pinned_by_uuid_and_by_the_minor_of_its_node(name: str) -> None:
    pinned = pin(instance(name), HOST)
    assert dict(pinned.environment) == {"CUDA_VISIBLE_DEVICES": "GPU-aaaa", **NVIDIA}
    assert pinned.devices == ("/dev/char/195:1", *SHARED)
    assert (pinned.nvidia_minors, pinned.modules) == ((1,), ("nvidia_uvm",))


def test_an_index_is_the_order_of_pci_not_of_minors() -> None:
    pinned = pin(instance("0", "1"), (A, B))
    assert dict(pinned.environment)["CUDA_VISIBLE_DEVICES"] == "GPU-aaaa,GPU-bbbb"
    assert pinned.devices[:2] == ("/dev/char/195:1", "/dev/char/195:0")


@pytest.mark.parametrize(("card", "value"), [("GPU-0123456789abcdef", "GPU-0123456789abcdef"), ("82:00.0", "1")])
def test_amd_never_gets_the_variable_of_cuda(card: str, value: str) -> None:
    pinned = pin(instance(card), HOST)
    assert dict(pinned.environment) == {"ROCR_VISIBLE_DEVICES": value, "OLLAMA_VULKAN": "0"}
    assert pinned.devices[0] == "char-kfd"
    assert all(device.startswith("/dev/char/226:") for device in pinned.devices[1:])
    assert (pinned.nvidia_minors, pinned.modules) == (None, ("amdgpu",))


def test_a_backend_says_whose_index_is_meant() -> None:
    assert pin(instance("0", backend=Backend.ROCM), HOST).devices == (
        "char-kfd",
        "/dev/char/226:128",
        "/dev/char/226:0",
    )
    assert pin(instance("0", backend=Backend.CUDA), HOST).devices == ("/dev/char/195:1", *SHARED)


@pytest.mark.parametrize("gpus", [HOST, (), None])
@pytest.mark.parametrize(
    "none", [instance(), instance("0", backend=Backend.CPU), replace(instance(), gpus=None, backend=Backend.CPU)]
)
def test_no_card_has_every_backend_off_and_no_device(none: Instance, gpus: tuple[Gpu, ...] | None) -> None:
    pinned = pin(none, gpus)
    assert dict(pinned.environment) == NO_CARD
    assert (pinned.devices, pinned.modules) == ((), ())


@pytest.mark.parametrize(
    ("backend", "gpus", "environment", "devices"),
    [
        (Backend.AUTO, HOST, {"OLLAMA_VULKAN": "0"}, EVERY),
        (Backend.AUTO, None, {"OLLAMA_VULKAN": "0"}, EVERY),
        (Backend.AUTO, (), {"OLLAMA_VULKAN": "1"}, EVERY),
        (Backend.CUDA, HOST, {"ROCR_VISIBLE_DEVICES": "-1", "OLLAMA_VULKAN": "0"}, ("char-nvidia*",)),
        (Backend.ROCM, HOST, {"OLLAMA_VULKAN": "0"}, ("char-kfd", "char-drm")),
        (Backend.VULKAN, HOST, VULKAN, EVERY),
    ],
)
def test_every_card(
    backend: Backend, gpus: tuple[Gpu, ...] | None, environment: dict[str, str], devices: tuple[str, ...]
) -> None:
    pinned = pin(replace(instance(), gpus=None, backend=backend), gpus)
    assert (dict(pinned.environment), pinned.devices) == (environment, devices)


def test_vulkans_numbers_cannot_be_fenced() -> None:
    pinned = pin(instance("1", "0", backend=Backend.VULKAN), HOST)
    assert dict(pinned.environment) == {**VULKAN, "GGML_VK_VISIBLE_DEVICES": "1,0"}
    assert pinned.devices == EVERY


def test_vulkan_by_uuid_is_fenced_and_not_numbered() -> None:
    pinned = pin(instance("GPU-aaaa", "82:00.0", backend=Backend.VULKAN), HOST)
    assert dict(pinned.environment) == VULKAN
    assert "char-drm" not in pinned.devices
    assert {"/dev/char/195:1", "/dev/char/195:254", "/dev/char/226:129"} <= set(pinned.devices)


@pytest.mark.parametrize(
    ("written", "variable", "devices"),
    [
        (instance("GPU-5c1a1b2c-0000-0000-0000-000000000000"), "CUDA_VISIBLE_DEVICES", ("char-nvidia*",)),
        (instance("1"), "CUDA_VISIBLE_DEVICES", ("char-nvidia*",)),
        (instance("GPU-0123456789abcdef"), "ROCR_VISIBLE_DEVICES", ("char-kfd", "char-drm")),
        (instance("1", backend=Backend.ROCM), "ROCR_VISIBLE_DEVICES", ("char-kfd", "char-drm")),
    ],
)
def test_on_an_unknown_host_the_text_is_the_pin(written: Instance, variable: str, devices: tuple[str, ...]) -> None:
    pinned = pin(written, None)
    assert dict(pinned.environment)[variable] == (written.gpus or ("",))[0]
    assert pinned.devices == devices


@pytest.mark.parametrize(
    ("written", "gpus", "words"),
    [
        (instance("2"), (A, B), ("no card 2", "0 = GPU-aaaa (RTX A), 1 = GPU-bbbb (RTX B)", "ollamactl gpus")),
        (instance("0"), (), ("no card 0", "none that ollamactl knows")),
        (instance("0"), HOST, ("0 means nvidia GPU-aaaa and amd GPU-0123456789abcdef", "backend: cuda")),
        (instance("GPU-aaaa", "82:00.0"), HOST, ("NVIDIA and AMD together", "backend: vulkan")),
        (instance("GPU-aaaa", backend=Backend.ROCM), HOST, ("backend rocm cannot use GPU-aaaa, a card of nvidia",)),
        (instance("82:00.0", backend=Backend.CUDA), HOST, ("backend cuda cannot use 0000:82:00.0, a card of amd",)),
        (instance("GPU-aaaa", "1", backend=Backend.VULKAN), HOST, ("vulkan takes numbers, not GPU-aaaa", "vulkaninfo")),
        (instance("GPU-aaaa", backend=Backend.VULKAN), None, ("vulkan takes numbers",)),
        (instance("01:00.0"), None, ("cannot be named without its host", "UUID")),
    ],
)
def test_what_a_host_cannot_give_is_said(
    written: Instance, gpus: tuple[Gpu, ...] | None, words: tuple[str, ...]
) -> None:
    (problem,) = problems(Fleet(instances=(written,)), Facts(gpus=gpus))
    assert problem.severity is Severity.ERROR
    assert (problem.path, problem.instance) == ("instances.x.gpus", "x")
    assert all(word in str(problem) for word in words)


@pytest.mark.parametrize(
    ("written", "gpus", "word"),
    [
        (instance("1"), None, "taken for NVIDIA's"),
        (instance("0"), (replace(A, minor=None),), "nothing fences off"),
        (instance("82:00.0"), (replace(S, nodes=()),), "nothing fences off"),
    ],
)
def test_a_pin_that_is_no_more_than_a_variable_is_a_warning(
    written: Instance, gpus: tuple[Gpu, ...] | None, word: str
) -> None:
    (problem,) = problems(Fleet(instances=(written,)), Facts(gpus=gpus))
    assert problem.severity is Severity.WARNING
    assert word in problem.message


def test_vulkan_by_uuid_needs_the_fence() -> None:
    written = instance("GPU-aaaa", backend=Backend.VULKAN)
    assert not problems(Fleet(instances=(written,)), Facts(gpus=HOST))
    assert problems(Fleet(instances=(replace(written, hardening=Hardening.OFF),)), Facts(gpus=HOST))
    assert problems(Fleet(instances=(written,)), Facts(gpus=HOST, layout=Layout(user=True)))


@pytest.mark.parametrize(("owner", "count"), [("", 1), ("root", 1), ("ollama", 0)])
def test_a_writable_store_needs_an_owner_who_is_not_root(owner: str, count: int) -> None:
    written = replace(instance(), store=Store.WRITABLE)
    assert len(problems(Fleet(instances=(written,)), Facts(store_owner=owner))) == count
