from dataclasses import replace

import pytest

from ollamactl.facts import Facts, Gpu, Manifest, Vendor
from ollamactl.files import FileKind
from ollamactl.model import Backend, Egress, Fleet, Hardening, Instance, Limits, Restart, RestartPolicy, Store, Toggle
from ollamactl.units.changes import describe, restart_digest
from ollamactl.units.render import render
from tests.unit.fakes import SALTS

CARDS = tuple(
    Gpu(vendor=Vendor.NVIDIA, index=number, pci=f"0000:0{number}:00.0", uuid=f"GPU-{number}", minor=number)
    for number in (0, 1)
)
FACTS = Facts(gpus=CARDS, systemd=254, store_owner="ollama", salts=SALTS)
BASE = Instance(
    name="x",
    port=11434,
    models=("x",),
    gpus=("0",),
    environment=(("FOO", "a"), ("HF_TOKEN", "hf_1")),
    after=("a.service",),
)


def drop_in(instance: Instance, fleet: Fleet | None = None) -> str:
    files = render(replace(fleet or Fleet(), instances=(instance,)), FACTS)
    (text,) = [file.data.decode() for file in files if file.kind is FileKind.DROP_IN]
    return text


def template(fleet: Fleet) -> str:
    (text,) = [file.data.decode() for file in render(fleet, FACTS) if file.kind is FileKind.TEMPLATE]
    return text


def target(fleet: Fleet) -> str:
    (text,) = [file.data.decode() for file in render(fleet, FACTS) if file.kind is FileKind.TARGET]
    return text


@pytest.mark.parametrize(
    ("change", "causes"),
    [
        ({}, ()),
        ({"context_length": 4096}, ("context_length 8192 -> 4096",)),
        ({"context_length": None}, ("context_length 8192 -> auto",)),
        ({"port": 11435}, ("port 11434 -> 11435",)),
        ({"host": "::1"}, ("host 127.0.0.1 -> ::1",)),
        ({"keep_alive": float("inf")}, ("keep_alive 5m -> forever",)),
        ({"flash_attention": Toggle.ON}, ("flash_attention auto -> on",)),
        ({"spread": True}, ("spread off -> on",)),
        ({"gpus": ("1",)}, ("gpus GPU-0 -> GPU-1",)),
        ({"gpus": ()}, ("gpus GPU-0 -> none",)),
        ({"gpus": None}, ("gpus GPU-0 -> all",)),
        ({"gpus": None, "backend": Backend.VULKAN}, ("gpus GPU-0 -> all", "backend auto -> vulkan")),
        ({"backend": Backend.CUDA}, ("backend auto -> cuda",)),
        ({"binary": "/opt/ollama"}, ("binary ollama.binary -> /opt/ollama",)),
        ({"description": "Chat"}, ("description none -> Chat",)),
        ({"digests": (("x", "ab" * 32),)}, ("models x -> x@abababababab",)),
        ({"aliases": (("gpt-4o:latest", "x"),)}, ("aliases none -> gpt-4o:latest (x)",)),
        ({"preload": ("x",)}, ("preload none -> x",)),
        ({"after": ("a.service", "b.service")}, ("after a.service -> a.service b.service",)),
        ({"environment": (("FOO", "b c"), ("HF_TOKEN", "hf_1"))}, ('environment FOO "a" -> "b c"',)),
        ({"environment": (("HF_TOKEN", "hf_2"),)}, ("environment HF_TOKEN changed", 'environment FOO "a" removed')),
        ({"environment": (*BASE.environment, ("BAR", ""))}, ('environment BAR "" added',)),
        ({"secrets": (("PASSWORD", "hunter2"),)}, ("secrets none -> set",)),
        ({"environment_files": ("/etc/a",)}, ("environment_files none -> /etc/a",)),
        ({"hardening": Hardening.COMPAT}, ("hardening strict -> compat",)),
        ({"hardening": Hardening.OFF}, ("hardening strict -> off",)),
        ({"store": Store.SHARED}, ("store isolated -> shared",)),
        ({"store": Store.WRITABLE}, ("store isolated -> writable",)),
        ({"egress": Egress.OPEN}, ("egress closed -> open",)),
        ({"allow": ("10.0.0.0/8",)}, ("allow none -> 10.0.0.0/8",)),
        ({"allow": ("any",)}, ("allow none -> any",)),
        ({"restart": Restart(policy=RestartPolicy.ALWAYS)}, ("restart.policy on-failure -> always",)),
        ({"restart": Restart(max_delay=600)}, ("restart.max_delay 1m -> 10m",)),
        ({"restart": Restart(tries=3, within=60)}, ("restart.within 5m -> 1m", "restart.tries 5 -> 3")),
        ({"limits": Limits(memory_max=24 << 30, nice=5)}, ("limits.memory_max none -> 24G", "limits.nice none -> 5")),
    ],
)
def test_a_change_is_told_in_the_words_of_the_spec(change: dict[str, object], causes: tuple[str, ...]) -> None:
    after = replace(BASE, **change)  # type: ignore[arg-type]
    assert describe(drop_in(BASE), drop_in(after)) == causes


def test_a_change_of_the_template() -> None:
    before, after = template(Fleet()), template(Fleet(binary="/opt/ollama"))
    assert describe(before, after) == ("binary /usr/local/bin/ollama -> /opt/ollama",)
    assert describe(before, before.replace("UMask=0077", "UMask=0027")) == ("UMask= changed",)
    assert describe(f"# older words\n{before}", before) == ()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("/etc/Fleet.yaml", "/home/ada/f.yaml", ("the spec is now at /home/ada/f.yaml, was at /etc/Fleet.yaml",)),
        ("", "/home/Ada/f.yaml", ("the spec is now at /home/Ada/f.yaml, came from standard input",)),
        ("/etc/fleet.yaml", "", ("the spec now comes from standard input, was at /etc/fleet.yaml",)),
        ("/etc/fleet.yaml", "/etc/fleet.yaml", ()),
    ],
)
def test_another_place_of_the_spec_is_told_in_words(old: str, new: str, words: tuple[str, ...]) -> None:
    assert describe(target(Fleet(source=old)), target(Fleet(source=new))) == words
    assert describe(target(Fleet(source=old)).replace('"source"', '"from"'), target(Fleet(source=new))) == (
        (f"the spec is now at {new}",) if new else ("the spec now comes from standard input",)
    )


def test_another_store_is_one_change() -> None:
    before, after = drop_in(BASE), drop_in(BASE, Fleet(models_dir="/home/ada/models"))
    assert describe(before, after) == ("ollama.models /var/lib/ollama/models -> /home/ada/models",)


@pytest.mark.parametrize(
    "change",
    [
        {"description": "Chat"},
        {"after": ()},
        {"requires": ("b.service",)},
        {"restart": Restart(policy=RestartPolicy.NEVER, tries=1)},
        {"allow": ("10.0.0.0/8",)},
        {
            "limits": Limits(
                memory_max=None, memory_high=1 << 30, cpu_quota=200, tasks_max=100, io_weight=10, cpus="0-1"
            )
        },
        {"enabled": False},
    ],
)
def test_what_a_reload_applies_restarts_nothing(change: dict[str, object]) -> None:
    after = replace(BASE, **change)  # type: ignore[arg-type]
    assert digest(drop_in(after)) == digest(drop_in(BASE))


@pytest.mark.parametrize(
    "change",
    [
        {"context_length": 4096},
        {"environment": (("FOO", "b"),)},
        {"gpus": ("1",)},
        {"hardening": Hardening.COMPAT},
        {"store": Store.SHARED},
        {"binary": "/opt/ollama"},
        {"secrets": (("A", "b"),)},
        {"limits": Limits(oom_score_adjust=100)},
    ],
)
def test_what_the_process_depends_on_restarts_it(change: dict[str, object]) -> None:
    after = replace(BASE, **change)  # type: ignore[arg-type]
    assert digest(drop_in(after)) != digest(drop_in(BASE))


def digest(text: str) -> str:
    return restart_digest(template(Fleet()), text, [])


def test_the_digest_covers_template_and_models_but_not_itself() -> None:
    text = drop_in(BASE)
    assert f"\nEnvironment=OLLAMACTL_CONFIG={digest(text)}\n" in text
    assert restart_digest(template(Fleet(binary="/opt/ollama")), text, []) != digest(text)
    models = [("a", "1"), ("b", "2")]
    assert restart_digest("", text, models) == restart_digest("", text, models[::-1])
    assert restart_digest("", text, models) != restart_digest("", text, [("a", "1"), ("b", "3")])


def test_the_digest_of_an_instance_follows_its_own_models_only() -> None:
    manifests = {name: Manifest(model=name, path=name, data=b"", digest="1") for name in ("x:latest", "y:latest")}
    of_x = replace(FACTS, manifests=manifests)
    of_y = replace(FACTS, manifests={**manifests, "y:latest": replace(manifests["y:latest"], digest="2")})
    newer = replace(FACTS, manifests={**manifests, "x:latest": replace(manifests["x:latest"], digest="2")})
    fleet = Fleet(instances=(BASE,))
    assert render(fleet, of_x) == render(fleet, of_y)
    assert render(fleet, of_x) != render(fleet, newer)


def test_another_name_and_a_fixed_version_need_no_restart_but_preloading_does() -> None:
    text = digest(drop_in(BASE))
    assert digest(drop_in(replace(BASE, aliases=(("gpt-4o:latest", "x"),), digests=(("x", "ab" * 32),)))) == text
    assert digest(drop_in(replace(BASE, preload=("x",)))) != text
