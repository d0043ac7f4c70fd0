import math
from pathlib import Path

import pytest

from ollamactl.errors import Severity, SpecError
from ollamactl.model import Backend, Fleet, Health, Instance, Limits, Pull, Restart, RestartPolicy, Store, Toggle
from ollamactl.spec import specfile

ROOT = Path(__file__).parents[2]
CASES = sorted((ROOT / "tests/cases/spec-errors").glob("*.yaml"))
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))


def load(text: str) -> Fleet:
    return specfile.load(text.encode(), name="fleet.yaml").fleet


def instance(keys: str, defaults: str = "{}") -> Instance:
    return load(f"version: 1\ndefaults: {defaults}\ninstances:\n  llama3: {{port: 11434, {keys}}}\n").instances[0]


def errors(text: str, *, validated: bool = False) -> str:
    with pytest.raises(SpecError) as caught:
        specfile.load(text.encode(), name="fleet.yaml", validated=validated)
    return str(caught.value)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_every_problem_of_a_spec_is_told_at_once(case: Path) -> None:
    with pytest.raises(SpecError) as caught:
        specfile.load(case.read_bytes(), name=case.name)

    assert f"{caught.value}\n" == case.with_suffix(".txt").read_text()


def test_golden_cases_have_a_spec_each() -> None:
    assert CASES
    assert {case.stem for case in CASES} == {text.stem for text in CASES[0].parent.glob("*.txt")}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_examples_are_valid_with_no_more_than_notes(example: Path) -> None:
    spec = specfile.load(example.read_bytes(), name=example.name)

    assert spec.fleet.instances
    assert {problem.severity for problem in spec.problems} <= {Severity.NOTE}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_leaving_out_the_schema_changes_nothing_for_a_valid_spec(example: Path) -> None:
    data = example.read_bytes()

    assert specfile.load(data, name="x", validated=True).fleet == specfile.load(data, name="x").fleet


def test_a_minimal_spec_gets_the_models_defaults() -> None:
    spec = specfile.load(b"version: 1\ninstances: {llama3: {port: 11434}}", name="x", source="/etc/x.yaml")

    only = Instance(name="llama3", port=11434, models=("llama3:latest",), models_from_name=True)
    assert spec.fleet == Fleet(instances=(only,), source="/etc/x.yaml")
    assert [problem.message for problem in spec.problems] == [
        "llama3 serves the model of its own name, as `models` is not given"
    ]


def test_every_key_reaches_the_model() -> None:
    fleet = load(
        """
version: 1
ollama: {binary: /opt/ollama, models: /srv/models}
keep_generations: 7
health: {every: 90s, failures: 5}
pull: {environment: {HTTPS_PROXY: "http://p:1"}, secrets: {TOKEN: 007}, insecure: "reg.lan:5000", identity: true}
custom: {own: {modelfile: /etc/own}}
defaults:
  environment: {A: "1", B: "2"}
  restart: {tries: 3, delay: 1s}
  limits: {nice: 5, memory_max: 8G}
instances:
  other: {port: 2000, models: x, binary: /opt/other}
  all:
    port: 2001
    host: "0:0:0:0:0:0:0:1"
    models: [llama3, acme/coder:7b]
    store: shared
    egress: open
    network: host
    hardening: compat
    gpus: [1, GPU-5C1A2B3C-4d5e-6f70-8192-a3b4c5d6e7f8, "00000000:C1:00.0", "c2:00.1"]
    backend: cuda
    origins: https://chat.example
    keep_alive: forever
    context_length: auto
    parallel: 2
    max_loaded_models: 3
    max_queue: 9
    load_timeout: 10m
    flash_attention: on
    kv_cache_type: q8_0
    spread: true
    vram_reserve: 512M
    environment: {B: "3", OLLAMA_AUTH: true, N: 1.10, OCTAL: 010, YES: yes}
    secrets: {TOKEN: 007}
    environment_files: /etc/x.env
    description: "50% of $HOME"
    enabled: false
    state: stopped
    after: [other, foo.mount]
    requires: other
    restart: {policy: always, max_delay: 1m30s, within: 1h}
    limits: {memory_max: null, cpu_quota: 150%, cpus: "0-3 8", io_weight: 10, tasks_max: 5, nofile: 99,
             oom_score_adjust: -5, memory_high: 1.5G}
"""
    )

    assert fleet.binary == "/opt/ollama"
    assert fleet.models_dir == "/srv/models"
    assert (fleet.keep_generations, fleet.health) == (7, Health(every=90, failures=5))
    proxy, token = (("HTTPS_PROXY", "http://p:1"),), (("TOKEN", "007"),)
    assert fleet.pull == Pull(environment=proxy, secrets=token, insecure=("reg.lan:5000",), identity=True)
    assert fleet.custom == (("own:latest", "/etc/own"),)
    assert fleet.instances[0].binary == "/opt/other"
    assert fleet.instances[1] == Instance(
        name="all",
        port=2001,
        host="::1",
        models=("llama3:latest", "acme/coder:7b"),
        store=Store.SHARED,
        egress=fleet.instances[1].egress.OPEN,
        hardening=fleet.instances[1].hardening.COMPAT,
        gpus=("1", "GPU-5c1a2b3c-4d5e-6f70-8192-a3b4c5d6e7f8", "0000:c1:00.0", "0000:c2:00.1"),
        backend=Backend.CUDA,
        origins=("https://chat.example",),
        binary="/opt/ollama",
        keep_alive=math.inf,
        context_length=None,
        parallel=2,
        max_loaded_models=3,
        max_queue=9,
        load_timeout=600.0,
        flash_attention=Toggle.ON,
        kv_cache_type="q8_0",
        spread=True,
        vram_reserve=512 << 20,
        environment=(("A", "1"), ("B", "3"), ("OLLAMA_AUTH", "1"), ("N", "1.10"), ("OCTAL", "010"), ("YES", "yes")),
        secrets=(("TOKEN", "007"),),
        environment_files=("/etc/x.env",),
        description="50% of $HOME",
        enabled=False,
        state=fleet.instances[1].state.STOPPED,
        after=("ollama@other.service", "foo.mount"),
        requires=("ollama@other.service",),
        restart=Restart(policy=RestartPolicy.ALWAYS, delay=1.0, max_delay=90.0, tries=3, within=3600.0),
        limits=Limits(
            memory_high=3 << 29,
            cpu_quota=150,
            cpus="0-3,8",
            nice=5,
            io_weight=10,
            tasks_max=5,
            nofile=99,
            oom_score_adjust=-5,
        ),
    )


@pytest.mark.parametrize(
    ("keys", "defaults", "field", "value"),
    [
        ("keep_alive: 1m", "{keep_alive: 2m}", "keep_alive", 60.0),
        ("spread: false", "{keep_alive: 2m}", "keep_alive", 120.0),
        ("gpus: all", "{gpus: none}", "gpus", None),
        ("backend: cpu", "{}", "gpus", ()),
        ("backend: cpu", "{gpus: none}", "gpus", ()),
        ("gpus: none", "{}", "gpus", ()),
        ("gpus: 0", "{}", "gpus", ("0",)),
        ('gpus: "01"', "{}", "gpus", ("1",)),
        ("binary: null", "{binary: /opt/x}", "binary", "/usr/local/bin/ollama"),
        ("kv_cache_type: null", "{kv_cache_type: q8_0}", "kv_cache_type", None),
        ("keep_alive: 0", "{}", "keep_alive", 0.0),
        ("models: [m, n], preload: true", "{}", "preload", ("m:latest", "n:latest")),
        ("models: [m, n]", "{preload: true}", "preload", ("m:latest", "n:latest")),
        ("models: [m, n], preload: n", "{preload: true}", "preload", ("n:latest",)),
        ("models: m, preload: false", "{preload: true}", "preload", ()),
        ("preload: true", "{}", "preload", ("llama3:latest",)),
        ("preload: true", "{}", "keep_alive", math.inf),
        ("preload: true", "{keep_alive: 2m}", "keep_alive", 120.0),
        ("preload: true, keep_alive: 1h", "{}", "keep_alive", 3600.0),
        ("preload: false", "{}", "keep_alive", 300.0),
        ("models: m, aliases: {gpt-4o: m}", "{}", "aliases", (("gpt-4o:latest", "m:latest"),)),
        (
            "models: m, aliases: {b: m}",
            "{aliases: {a: m}}",
            "aliases",
            (("a:latest", "m:latest"), ("b:latest", "m:latest")),
        ),
        (f"models: ['m@sha256:{'A' * 64}', n]", "{}", "digests", (("m:latest", "a" * 64),)),
        (f"models: ['m@sha256:{'A' * 64}', n]", "{}", "models", ("m:latest", "n:latest")),
        ("allow: [10.0.0.1, 10.0.0.1/32, any], host: 127.0.0.1", "{}", "allow", None),
        ("host: 0.0.0.0, allow: any", "{}", "allow", ("any",)),
        ("host: 0.0.0.0, allow: [10.0.0.1, 10.0.0.1/32]", "{}", "allow", ("10.0.0.1/32",)),
        ("host: '2001:DB8::0:1', allow: 'FE80::/10'", "{}", "host", "2001:db8::1"),
        ("environment: {OLLAMA_FLASH_ATTENTION: true}", "{}", "environment", (("OLLAMA_FLASH_ATTENTION", "1"),)),
        ("environment: {FLAG: True}", "{}", "environment", (("FLAG", "True"),)),
    ],
)
def test_a_value_of_one_instance(keys: str, defaults: str, field: str, value: object) -> None:
    if field == "allow" and value is None:
        assert "any is everybody" in errors(f"version: 1\ninstances: {{a: {{port: 2000, {keys}}}}}")
    else:
        assert getattr(instance(keys, defaults), field) == value


def test_a_wrong_default_is_told_once_however_many_instances_take_it() -> None:
    text = "version: 1\ndefaults: {gpus: none, environment: {OLLAMA_HOST: x}}\ninstances:\n" + "".join(
        f"  m{number}: {{port: {2000 + number}}}\n" for number in range(50)
    )

    assert errors(text).count("OLLAMA_HOST") == 2  # the path and the source line


def test_a_value_that_cannot_be_read_breaks_no_other_rule() -> None:
    text = errors("version: 1\ninstances: {a: {port: 2000, host: 0.0.0.0, allow: [nobody]}}")

    assert "'nobody' is not a network" in text
    assert "say who may reach it" not in text


def test_notes_stay_out_of_errors() -> None:
    text = errors("version: 1\ninstances: {a: {port: 2000}, b: {port: 2000}}")

    assert "note:" not in text
    assert "127.0.0.1:2000 is taken by a (line 2)" in text


@pytest.mark.parametrize(
    "layout", ["{port: 0, secrets: {TOKEN: hunter2}}", "\n    port: 0\n    secrets: {T: [hunter2]}"]
)
def test_a_secret_never_shows_in_a_message(layout: str) -> None:
    assert "hunter2" not in errors(f"version: 1\ninstances:\n  llama3: {layout}\n")


def test_a_hundred_problems_are_enough() -> None:
    text = errors("version: 1\ninstances:\n" + "".join(f"  m{at}: {{prot: {at}}}\n" for at in range(200)))

    assert text.endswith("these are 100 problems, and there may be more\n  hint: begin with the first")
    assert text.startswith("fleet.yaml:3:")


def test_a_rule_that_a_whole_fleet_breaks_is_told_a_hundred_times_at_most() -> None:
    """Errors before warnings; who has as many of something harmless is told so, too."""
    ports = "".join(f"  i{number}: {{port: 11434, models: [m], spread: true, gpus: [0]}}\n" for number in range(300))
    with pytest.raises(SpecError) as caught:
        specfile.load(f"version: 1\ninstances:\n{ports}".encode(), name="fleet.yaml")
    assert [problem.severity for problem in caught.value.problems] == [Severity.ERROR] * 101
    assert str(caught.value.problems[-1]).startswith("error: and 499 more like these")
    ports = "".join(f"  i{at}: {{port: {9000 + at}, models: [m], spread: true, gpus: [0]}}\n" for at in range(300))
    told = specfile.load(f"version: 1\ninstances:\n{ports}".encode(), name="fleet.yaml").problems
    assert (len(told), {problem.severity for problem in told}) == (101, {Severity.WARNING})


def test_locations_reach_the_caller() -> None:
    spec = specfile.load(b"version: 1\ninstances:\n  a: {port: 2000}\n", name="x")

    place = spec.locations["instances", "a", "port"]
    assert (place.file, place.line, place.column, place.source) == ("x", 3, 13, "  a: {port: 2000}")


def test_what_cards_have_is_read_by_their_names_and_what_a_server_needs_by_default() -> None:
    fleet = load(
        'version: 1\ngpus: {"00": 24G, gpu-AAAA: 16G}\ndefaults: {vram: 8G}\n'
        "instances: {a: {port: 2000}, b: {port: 2001, vram: 1.5G}, c: {port: 2002, vram: null}}\n"
    )
    assert fleet.cards == (("0", 24 << 30), ("GPU-aaaa", 16 << 30))
    assert [each.vram for each in fleet.instances] == [8 << 30, 3 << 29, None]
