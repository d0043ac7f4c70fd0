import pytest

from ollamactl import specfile
from ollamactl.errors import Severity
from ollamactl.facts import Gpu, Vendor
from ollamactl.starter import starter

NVIDIA = [
    Gpu(vendor=Vendor.NVIDIA, index=at, pci=f"0000:0{at}:00.0", uuid=f"GPU-0000000{at}-1111-2222-3333-444444444444")
    for at in range(2)
]
AMD = [Gpu(vendor=Vendor.AMD, index=0, pci="0000:c1:00.0", name="Radeon\nPRO # W7900")]
ODD = ["null:latest", "1.1:x", "llama3:latest", "llama3:8b", "llama3.1:8b", "a.service:x", "on:1", "../x", "x:cloud"]


@pytest.mark.parametrize("gpus", [[], NVIDIA, AMD, [Gpu(vendor=Vendor.NVIDIA, index=3, pci="")]], ids=str)
@pytest.mark.parametrize("models", [[], ["llama3:latest"], ODD, [f"m{at}" for at in range(20)]], ids=len)
def test_it_is_valid(gpus: list[Gpu], models: list[str]) -> None:
    spec = specfile.load(starter(gpus, models).encode(), name="fleet.yaml")

    assert {problem.severity for problem in spec.problems} <= {Severity.NOTE}
    assert 1 <= len(spec.fleet.instances) <= 8


def test_the_models_are_those_of_the_store_and_the_cards_are_dealt_out() -> None:
    fleet = specfile.load(starter(NVIDIA, ODD).encode(), name="fleet.yaml").fleet

    assert [(one.name, one.models[0], one.port, one.gpus) for one in fleet.instances[:4]] == [
        ("null", "null:latest", 11434, (NVIDIA[0].uuid,)),
        ("1.1", "1.1:x", 11435, (NVIDIA[1].uuid,)),
        ("llama3", "llama3:latest", 11436, (NVIDIA[0].uuid,)),
        ("llama3-8b", "llama3:8b", 11437, (NVIDIA[1].uuid,)),
    ]


def test_models_beyond_the_first_are_named() -> None:
    assert "# In the store, too: m8:latest, m9:latest\n" in starter([], [f"m{at}" for at in range(10)])


def test_its_comments_that_can_be_taken_in_are_valid_too() -> None:
    text = starter([], ["llama3"]).replace("\n    # ", "\n    ").replace("allow: [10.0.0.0/8]", "store: shared")

    assert specfile.load(text.encode(), name="x").fleet.instances[0].keep_alive == 1800
