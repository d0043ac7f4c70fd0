"""What is said of cards that a spec names: not there, not certain, not alone, not fenced."""

from dataclasses import replace

import pytest

from ollamactl.errors import Severity
from ollamactl.facts import Facts, Gpu, Layout
from ollamactl.model import Backend, Fleet, Hardening, Instance, Store
from ollamactl.units.cardchecks import problems
from tests.unit.cards import HOST, A, B, S, instance


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
        (instance("0", "gpu-AAAA"), (A, B), ("names one card twice: 0 and gpu-AAAA", "name it once")),
        (instance("1"), (A, replace(B, uuid="")), ("does not yet tell the UUID of 1", "nvidia-smi -L")),
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
        (instance("0", backend=Backend.VULKAN), HOST, "Vulkan's own numbers tell no device"),
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


def test_a_card_that_two_name_by_different_texts_is_shared_all_the_same() -> None:
    """By the same text it is told without the host."""
    other = replace(instance("01:00.0"), name="y")
    (problem,) = problems(Fleet(instances=(instance("0"), other)), Facts(gpus=(A, B)))
    assert (problem.severity, problem.path) == (Severity.NOTE, "instances.y.gpus")
    assert problem.message.startswith("0 and 01:00.0 are one card, at 0000:01:00.0, which is shared by x and y: ")
    for alone in (instance("0"), instance("1")):
        assert not problems(Fleet(instances=(instance("0"), replace(alone, name="y"))), Facts(gpus=(A, B)))


def test_an_amd_card_needs_no_uuid_nor_does_vulkan() -> None:
    for written in (instance("82:00.0"), instance("41:00.0", backend=Backend.VULKAN)):
        assert not problems(Fleet(instances=(written,)), Facts(gpus=(replace(B, uuid=""), S)))
