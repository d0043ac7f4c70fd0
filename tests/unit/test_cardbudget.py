"""What cards have, what servers need of them, and what is said where that is too much."""

import json
import math
from dataclasses import replace
from typing import Any

import pytest

from ollamactl.errors import Severity
from ollamactl.facts import Facts, Manifest, Shape
from ollamactl.files import File, FileKind
from ollamactl.gate.config import Behind
from ollamactl.model import ALWAYS_ON, Backend, Fleet, Instance, OnDemand, State
from ollamactl.units import vram
from ollamactl.units.budgetchecks import problems
from ollamactl.units.cardbudget import cards, left, needs
from ollamactl.units.gateunits import told
from tests.unit.cards import A, B, R

G = 1 << 30
SLEEPS = OnDemand()
TWO = (replace(A, memory=24 * G), replace(B, memory=16 * G))


def instance(name: str, **more: Any) -> Instance:
    return Instance(**{"name": name, "port": 11434, "models": ("m:latest",), "gpus": ("0",), **more})


def facts(size: int = 4 * G, gpus: Any = TWO, **more: Any) -> Facts:
    """A host whose one model has so many bytes."""
    entry = {"digest": "sha256:" + "a" * 64, "size": size}
    data = json.dumps({"config": {**entry, "size": 0}, "layers": [entry]}).encode()
    model = Manifest(model="m:latest", path="m", data=data, digest="d")
    return Facts(gpus=gpus, manifests={"m:latest": model}, **more)


def fleet(*instances: Instance, **card: Any) -> Fleet:
    return Fleet(instances=instances, cards=tuple((name.removeprefix("_"), size) for name, size in card.items()))


def test_a_card_has_what_the_driver_says_unless_the_spec_says_more_or_less() -> None:
    found = cards(fleet(_1=12 * G), facts())
    assert {name: (card.size, card.declared) for name, card in found.items()} == {
        "1": (12 * G, True),
        "0": (24 * G, False),
    }
    named = cards(Fleet(cards=(("GPU-aaaa", 20 * G),)), facts())
    assert {name: card.size for name, card in named.items()} == {"GPU-aaaa": 20 * G, "1": 16 * G}
    mixed = cards(Fleet(), facts(gpus=(*TWO, replace(R, memory=8 * G))))
    assert list(mixed) == ["GPU-aaaa", "GPU-bbbb", R.uuid], "an index would mean two"
    assert not cards(Fleet(), facts(gpus=(A, B))), "nobody knows"
    assert list(cards(fleet(_0=G), facts(gpus=()))) == ["0"], "a card that no driver tells of"


def test_an_estimate_is_weights_and_context_and_a_runner_for_each_model() -> None:
    shape, each = Shape(elements=32 * 8 * 256, context=8192), instance("a", context_length=4096)
    assert vram.model(5 * G, None, each) == 5 * G + vram.RUNNER
    assert vram.model(5 * G, shape, each) == 5 * G + vram.RUNNER + 4096 * 131072
    assert vram.model(5 * G, shape, replace(each, parallel=4)) == 5 * G + vram.RUNNER + 4 * 4096 * 131072
    assert vram.model(5 * G, shape, replace(each, kv_cache_type="q8_0")) == 5 * G + vram.RUNNER + 4096 * 69632
    auto = replace(each, context_length=None)
    longest = vram.model(5 * G, shape, auto, seen=24 * G)
    assert longest == 5 * G + vram.RUNNER + 8192 * 131072, "no more than the model was made for"
    assert vram.model(5 * G, shape, auto, seen=16 * G) == 5 * G + vram.RUNNER + 4096 * 131072


def test_an_instance_is_reckoned_with_its_largest_models_at_once() -> None:
    known = facts()
    small = replace(known.manifests["m:latest"], model="s:latest", digest="s")
    small = replace(small, data=small.data.replace(str(4 * G).encode(), str(G).encode()))
    known = replace(known, manifests={**known.manifests, "s:latest": small})
    both = instance("a", models=("s:latest", "m:latest"))
    assert vram.estimate(both, known) == 5 * G + 2 * vram.RUNNER
    assert vram.estimate(replace(both, max_loaded_models=1), known) == 4 * G + vram.RUNNER
    assert vram.estimate(instance("a", models=("gone:latest",)), known) is None


@pytest.mark.parametrize(
    ("one", "cards_of_it", "size"),
    [
        (instance("a", vram=9 * G, gpus=("0", "1")), ("0", "1"), 9 * G),
        (instance("a", vram=9 * G, gpus=None), ("0", "1"), 9 * G),
        (instance("a", gpus=("GPU-bbbb",)), ("1",), 4 * G + vram.RUNNER),
        (instance("a", gpus=("0", "1"), spread=True), ("0", "1"), (4 * G + vram.RUNNER) // 2),
        (instance("a", gpus=("0", "1")), ("0", "1"), 4 * G + vram.RUNNER),
    ],
)
def test_a_need_is_on_each_card(one: Instance, cards_of_it: tuple[str, ...], size: int) -> None:
    (need,) = needs(Fleet(instances=(one,)), facts())
    assert (need.cards, need.size) == (cards_of_it, size)


def test_what_one_card_cannot_hold_is_split() -> None:
    (need,) = needs(Fleet(instances=(instance("a", gpus=("0", "1")),)), facts(size=20 * G))
    assert need.size == (20 * G + vram.RUNNER) // 2


@pytest.mark.parametrize(
    "one",
    [
        instance("a", gpus=()),
        instance("a", backend=Backend.CPU, gpus=None),
        instance("a", backend=Backend.VULKAN),
        instance("a", models=("gone:latest",)),
        instance("a", backend=Backend.ROCM, gpus=None),
    ],
)
def test_nothing_is_reckoned_where_nothing_is_known(one: Instance) -> None:
    assert not needs(Fleet(instances=(one,)), facts())


def test_vulkans_own_numbers_are_the_specs_where_no_driver_tells_of_a_card() -> None:
    one = instance("a", backend=Backend.VULKAN, vram=G)
    assert [need.cards for need in needs(fleet(one, _0=16 * G), facts(gpus=()))] == [("0",)]


def test_the_gate_has_what_those_before_it_leave() -> None:
    servers = (
        instance("plain", vram=10 * G),
        instance("stopped", vram=10 * G, state=State.STOPPED),
        instance("gated", vram=2 * G, on_demand=ALWAYS_ON),
        instance("a", vram=14 * G, on_demand=SLEEPS),
        instance("b", on_demand=SLEEPS),
        instance("elsewhere", gpus=("1",), vram=G, on_demand=ALWAYS_ON),
    )
    assert left(fleet(*servers), facts()) == {"0": 14 * G, "1": 16 * G}
    drop_ins = [File(path=each.name, data=b"", kind=FileKind.DROP_IN, instance=each.name) for each in servers]
    config = told(fleet(*servers), facts(), drop_ins)
    assert config.cards == {"0": 14 * G}, "on the other nobody takes turns"
    assert [(each.name, each.cards, each.vram, each.loads) for each in config.servers] == [
        ("gated", ("0",), 2 * G, 0),
        ("a", ("0",), 14 * G, 0),
        ("b", ("0",), 4 * G + vram.RUNNER, 1),
        ("elsewhere", (), 0, 0),
    ]
    assert isinstance(config.servers[0], Behind)
    assert config.servers[0].stop_after == math.inf


@pytest.mark.parametrize(
    ("servers", "path", "words"),
    [
        (
            (instance("a", vram=14 * G), instance("b", vram=12 * G)),
            "instances.b.vram",
            ("card 0 has 24G", "a 14G and b 12G together (26G)", "run at any time", "on_demand: {}"),
        ),
        ((instance("a", vram=30 * G),), "instances.a.vram", ("30G is more than card 0 has, 24G",)),
        ((instance("a", vram=30 * G, on_demand=SLEEPS),), "instances.a.vram", ("30G is more than card 0 has",)),
        (
            (instance("a", vram=14 * G), instance("b", vram=12 * G, on_demand=SLEEPS)),
            "instances.b.vram",
            ("b is started on demand", "26G"),
        ),
        (
            (instance("a", vram=14 * G), instance("b"), instance("c", vram=12 * G)),
            "instances.c.vram",
            ("a 14G and c 12G together (26G)",),
        ),
    ],
)
def test_what_is_declared_and_does_not_fit_is_refused(
    servers: tuple[Instance, ...], path: str, words: tuple[str, ...]
) -> None:
    (problem,) = problems(fleet(*servers), facts(), {})
    assert problem.severity is Severity.ERROR
    assert problem.path == path
    assert all(word in str(problem) for word in words), problem


@pytest.mark.parametrize(
    ("servers", "words"),
    [
        (
            (instance("a"), instance("b", vram=12 * G)),
            ("a about 20.5G and b 12G together (32.5G)", "is estimated", "vram: SIZE"),
        ),
        ((instance("a", gpus=("1",)),), ("20.5G is more than card 1 has, 16G (estimated)", "by the processor")),
    ],
)
def test_what_is_estimated_and_does_not_fit_is_warned_of(servers: tuple[Instance, ...], words: tuple[str, ...]) -> None:
    (problem,) = problems(fleet(*servers), facts(size=20 * G), {})
    assert problem.severity is Severity.WARNING
    assert all(word in str(problem) for word in words), problem


def test_those_that_take_turns_need_not_fit_together() -> None:
    servers = (instance("a", vram=14 * G, on_demand=SLEEPS), instance("b", vram=12 * G, on_demand=SLEEPS))
    assert not problems(fleet(*servers), facts(), {})
    stopped = (instance("a", vram=14 * G, state=State.STOPPED), instance("b", vram=12 * G))
    assert not problems(fleet(*stopped), facts(), {})


def test_what_is_assumed_is_said() -> None:
    servers = (instance("a", on_demand=SLEEPS), instance("b", on_demand=SLEEPS, models=("gone:latest",)))
    assumed, unknown = problems(fleet(*servers), facts(), {})
    assert assumed.severity is unknown.severity is Severity.NOTE
    assert "a 4.5G" in str(assumed)
    assert "what b needs of a card's memory" in str(unknown)


@pytest.mark.parametrize(
    ("written", "gpus", "severity", "word"),
    [
        (fleet(instance("a", vram=G)), (A,), Severity.WARNING, "no driver tells how much"),
        (fleet(_7=G), TWO, Severity.WARNING, "no card 7"),
        (fleet(_0=G), (A, R), Severity.ERROR, "0 means nvidia GPU-aaaa and amd"),
        (Fleet(cards=(("0", G), ("GPU-aaaa", G))), TWO, Severity.ERROR, "are one card"),
    ],
)
def test_a_declaration_that_means_nothing_is_said(written: Fleet, gpus: Any, severity: Severity, word: str) -> None:
    (problem,) = problems(written, facts(gpus=gpus), {})
    assert problem.severity is severity
    assert word in str(problem)
