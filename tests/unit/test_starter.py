from dataclasses import replace

import pytest

from ollamactl.errors import Severity
from ollamactl.facts import Gpu, Vendor
from ollamactl.spec import specfile
from ollamactl.spec.starter import Found, can_be_program, can_be_store, notes, starter

NVIDIA = [
    Gpu(vendor=Vendor.NVIDIA, index=at, pci=f"0000:0{at}:00.0", uuid=f"GPU-0000000{at}-1111-2222-3333-444444444444")
    for at in range(2)
]
AMD = [Gpu(vendor=Vendor.AMD, index=0, pci="0000:c1:00.0", name="Radeon\nPRO # W7900")]
ODD = ["null:latest", "1.1:x", "llama3:latest", "llama3:8b", "llama3.1:8b", "a.service:x", "on:1", "../x", "x:cloud"]


@pytest.mark.parametrize("gpus", [[], NVIDIA, AMD, [Gpu(vendor=Vendor.NVIDIA, index=3, pci="")]], ids=str)
@pytest.mark.parametrize("models", [[], ["llama3:latest"], ODD, [f"m{at}" for at in range(20)]], ids=len)
def test_it_is_valid(gpus: list[Gpu], models: list[str]) -> None:
    spec = specfile.load(starter(Found(gpus=gpus, models=models)).encode(), name="fleet.yaml")

    assert {problem.severity for problem in spec.problems} <= {Severity.NOTE}
    assert 1 <= len(spec.fleet.instances) <= 8


def test_the_models_are_those_of_the_store_and_the_cards_are_dealt_out() -> None:
    fleet = specfile.load(starter(Found(gpus=NVIDIA, models=ODD)).encode(), name="fleet.yaml").fleet

    assert [(one.name, one.models[0], one.port, one.gpus) for one in fleet.instances[:4]] == [
        ("null", "null:latest", 11434, (NVIDIA[0].uuid,)),
        ("1.1", "1.1:x", 11435, (NVIDIA[1].uuid,)),
        ("llama3", "llama3:latest", 11436, (NVIDIA[0].uuid,)),
        ("llama3-8b", "llama3:8b", 11437, (NVIDIA[1].uuid,)),
    ]


def test_models_beyond_the_first_are_named() -> None:
    assert "# In the store, too: m8:latest, m9:latest\n" in starter(Found(models=[f"m{at}" for at in range(10)]))


def test_its_comments_that_can_be_taken_in_are_valid_too() -> None:
    text = (
        starter(Found(models=["llama3"])).replace("\n    # ", "\n    ").replace("allow: [10.0.0.0/8]", "store: shared")
    )

    assert specfile.load(text.encode(), name="x").fleet.instances[0].keep_alive == 1800


USUAL = Found(binary="/usr/local/bin/ollama", store="/var/lib/ollama/models", models=["llama3"])
STOCK = "/usr/share/ollama/.ollama/models"


@pytest.mark.parametrize(
    ("found", "section"),
    [
        (
            USUAL,
            "# ollama:\n#   binary: /usr/local/bin/ollama\n#   models: /var/lib/ollama/models  ",
        ),
        (
            replace(USUAL, binary="/usr/bin/ollama"),
            "ollama:\n  binary: /usr/bin/ollama\n  # models: /var/lib/ollama/models  ",
        ),
        (
            replace(USUAL, store=STOCK),
            f"ollama:\n  # binary: /usr/local/bin/ollama\n  models: {STOCK}  ",
        ),
        (
            replace(USUAL, binary="/opt/o 1/ollama", store="/srv/#1: x"),
            'ollama:\n  binary: "/opt/o 1/ollama"\n  models: "/srv/#1: x"  ',
        ),
    ],
)
def test_what_is_not_at_its_usual_place_is_written_out(found: Found, section: str) -> None:
    text = starter(found)

    assert f"\n\n{section}" in text
    if ":" not in found.store:
        fleet = specfile.load(text.encode(), name="x").fleet
        assert (fleet.binary, fleet.models_dir) == (found.binary, found.store)


@pytest.mark.parametrize(
    ("found", "message", "hint"),
    [
        (replace(USUAL, binary=""), "no program called ollama was found", "install Ollama"),
        (replace(USUAL, store="", models=[]), "no model store was found", "write `models:` below `ollama:`"),
        (replace(USUAL, store="", closed=[STOCK]), f"only root may look for models in {STOCK}", "sudo ollamactl init"),
        (replace(USUAL, models=[]), "there are no models in /var/lib/ollama/models yet", "`ollamactl plan` says how"),
        (replace(USUAL, other_stores=[STOCK]), f"there are models in {STOCK}, too", "choose another"),
        (
            replace(USUAL, service=True),
            "Ollama's own service is set to listen on port 11434",
            "sudo ollamactl adopt carries it over; or before apply: sudo systemctl disable --now ollama",
        ),
    ],
)
def test_what_is_missing_or_in_the_way_is_told_and_stands_in_the_spec(found: Found, message: str, hint: str) -> None:
    (note,) = notes(found)

    assert (note.severity, note.message) == (Severity.NOTE, message)
    assert note.hint.startswith(hint)
    assert f"\n# {message[0].upper()}{message[1:]}.\n#   {note.hint}\n" in starter(found)
    assert notes(USUAL) == ()


def test_a_spec_names_only_what_it_may() -> None:
    assert [path for path in (STOCK, "/tmp/x", "/srv/a:b", "/etc", "srv", "/a/../b", "/a\n") if can_be_store(path)] == [
        STOCK
    ]
    assert [path for path in ("/usr/bin/ollama", "/opt/it's", "ollama") if can_be_program(path)] == ["/usr/bin/ollama"]
