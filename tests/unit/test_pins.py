from dataclasses import replace

import pytest

from ollamactl.facts import Gpu
from ollamactl.model import Backend, Hardening, Instance
from ollamactl.units.pins import pin
from tests.unit.cards import HOST, A, B, R, S, instance

SHARED = ("/dev/char/195:255", "char-nvidia-uvm", "char-nvidia-caps")
EVERY = ("char-nvidia*", "char-kfd", "char-drm")
NVIDIA = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "ROCR_VISIBLE_DEVICES": "-1", "OLLAMA_VULKAN": "0"}
NO_CARD = {"CUDA_VISIBLE_DEVICES": "-1", "ROCR_VISIBLE_DEVICES": "-1", "OLLAMA_VULKAN": "0"}
VULKAN = {"CUDA_VISIBLE_DEVICES": "-1", "ROCR_VISIBLE_DEVICES": "-1", "OLLAMA_VULKAN": "1"}


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


@pytest.mark.parametrize(("card", "value"), [("GPU-0123456789abcdef", "GPU-0123456789abcdef"), ("82:00.0", "0")])
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


def test_a_card_that_is_named_twice_is_rendered_once() -> None:
    assert dict(pin(instance("0", "GPU-aaaa", "1"), (A, B)).environment)["CUDA_VISIBLE_DEVICES"] == "GPU-aaaa,GPU-bbbb"
    assert pin(instance("0", "GPU-aaaa"), (A, B)).devices == ("/dev/char/195:1", *SHARED)


def test_behind_a_fence_an_amd_card_without_uuid_is_counted_among_those_that_are_left() -> None:
    """Its index on the host would name a card that ROCm cannot see there, and the CPU would do the work unnoticed."""
    partitioned = replace(S, nodes=("226:129", "226:130"))

    def visible(named: Instance, gpus: tuple[Gpu, ...], *, user: bool = False) -> str:
        return dict(pin(named, gpus, user=user).environment)["ROCR_VISIBLE_DEVICES"]

    assert visible(instance("82:00.0"), HOST) == "0"
    assert visible(instance("82:00.0"), (R, partitioned)) == "0,1"
    assert visible(instance("81:00.0", "82:00.0"), HOST) == "0,1"
    assert visible(instance("82:00.0"), (R, replace(S, nodes=()))) == "1"
    assert visible(instance("82:00.0"), HOST, user=True) == "1"
    assert visible(replace(instance("82:00.0"), hardening=Hardening.OFF), HOST) == "1"
