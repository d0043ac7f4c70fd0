from dataclasses import replace

import pytest

from ollamactl.errors import Problem, Severity
from ollamactl.model import Backend, Egress, Fleet, Instance, Limits, Restart, RestartPolicy, State, Store
from ollamactl.spec.checks import check
from ollamactl.spec.restartcheck import loop

A = Instance(name="a", port=2001, models=("m:latest",), gpus=())
B = replace(A, name="b", port=2002)


def found(*instances: Instance, models_dir: str = "/srv/models") -> tuple[Problem, ...]:
    return check(Fleet(instances=instances, models_dir=models_dir), {})


def said(*instances: Instance) -> list[str]:
    return [f"{problem.severity}: {problem.path}" for problem in found(*instances)]


def test_a_good_fleet_has_no_problem() -> None:
    assert found(A, B, replace(A, name="c", host="127.0.0.2")) == ()


@pytest.mark.parametrize(
    ("one", "other", "clash"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("127.0.0.1", "::1", False),
        ("0.0.0.0", "127.0.0.1", True),
        ("127.0.0.1", "0.0.0.0", True),
        ("0.0.0.0", "::1", True),
        ("::", "127.0.0.1", True),
        ("::", "0.0.0.0", True),
        ("10.0.0.1", "10.0.0.2", False),
    ],
)
def test_listeners_that_collide(one: str, other: str, clash: bool) -> None:
    first, second = (
        replace(A, name=name, host=host, allow=() if host.startswith("127.") or host == "::1" else ("any",))
        for name, host in (("a", one), ("b", other))
    )

    assert said(first, second) == (["error: instances.b.port"] if clash else [])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"port": 1023}, ["error: instances.a.port"]),
        ({"port": 1024}, []),
        ({"host": "0.0.0.0"}, ["error: instances.a.host"]),
        ({"host": "192.168.1.5", "allow": ("10.0.0.0/8",)}, []),
        ({"host": "192.168.1.5", "allow": ("10.0.0.0/8",), "egress": Egress.OPEN}, ["error: instances.a.egress"]),
        ({"host": "192.168.1.5", "allow": ("any",), "egress": Egress.OPEN}, []),
        ({"egress": Egress.OPEN}, []),
        ({"host": "192.168.1.5", "allow": ("any", "10.0.0.0/8")}, ["error: instances.a.allow"]),
        ({"backend": Backend.CPU}, []),
        ({"backend": Backend.CPU, "gpus": ("0",)}, ["error: instances.a.gpus"]),
        ({"backend": Backend.CPU, "gpus": None}, ["error: instances.a.gpus"]),
        ({"backend": Backend.ROCM}, ["error: instances.a.backend"]),
        ({"backend": Backend.ROCM, "gpus": ("0",)}, []),
        ({"gpus": ("0", "1", "0")}, ["error: instances.a.gpus"]),
        ({"spread": True, "gpus": ("0",)}, ["warning: instances.a.spread"]),
        ({"spread": True, "gpus": ("0", "1")}, []),
        ({"models": ("m:latest", "M:latest")}, ["error: instances.a.models"]),
        ({"models": ("m:latest", "m:8b")}, []),
        ({"models_from_name": True}, ["note: instances"]),
        ({"preload": ("m:latest",)}, []),
        ({"preload": ("n:latest",)}, ["error: instances.a.preload"]),
        ({"preload": ("m:latest",), "keep_alive": 0.0}, ["error: instances.a.preload"]),
        ({"models": ("m:latest", "n:latest"), "preload": ("m:latest", "n:latest"), "max_loaded_models": 1},
         ["error: instances.a.preload"]),
        ({"aliases": (("x:latest", "m:latest"), ("y:1", "m:latest"))}, []),
        ({"aliases": (("M:latest", "m:latest"),)}, ["error: instances.a.aliases"]),
        ({"aliases": (("x:latest", "n:latest"),)}, ["error: instances.a.aliases"]),
        ({"aliases": (("x:latest", "m:latest"), ("X:latest", "m:latest"))}, ["error: instances.a.aliases"]),
        ({"aliases": (("x:latest", "m:latest"),), "store": Store.SHARED}, ["error: instances.a.aliases"]),
        ({"limits": Limits(memory_high=2, memory_max=1)}, ["error: instances.a.limits.memory_high"]),
        ({"limits": Limits(memory_high=1, memory_max=1)}, []),
        ({"environment": (("OLLAMA_FLASH_ATTENTION", "1"),)}, []),
        ({"environment": (("OLLAMA_MAX_QUEUE", "1"),)}, []),
        ({"environment": (("OLLAMA_ORIGINS", "x"),)}, []),
        ({"environment": (("OLLAMA_ORIGINS", "x"),), "origins": ("y",)},
         ["error: instances.a.environment.OLLAMA_ORIGINS"]),
        ({"environment": (("HTTPS_PROXY", "x"), ("PATH", "/x"), ("LLAMA_ARG_FIT", "off"))}, []),
        ({"environment": (("OLLAMA_NOPRUNE", "0"),)}, ["error: instances.a.environment.OLLAMA_NOPRUNE"]),
        ({"environment": (("1X", "0"),)}, ["error: instances.a.environment.1X"]),
        ({"environment": (("X", "\u00e9" * 60_000),)}, ["error: instances.a.environment.X"]),
        ({"environment": (("X", "x" * 100_000),)}, []),
        ({"secrets": (("OLLAMA_TOKEN", "0"),)}, ["warning: instances.a.secrets.OLLAMA_TOKEN"]),
        ({"environment": (("OLLAMACTL_CONFIG", "0"),)}, ["error: instances.a.environment.OLLAMACTL_CONFIG"]),
        ({"secrets": (("OLLAMACTL_SECRETS", "0"),)}, ["error: instances.a.secrets.OLLAMACTL_SECRETS"]),
        ({"secrets": (("X", "0"),), "environment": (("X", "1"),)}, ["error: instances.a.environment.X"]),
        ({"after": ("ollama@a.service",)}, ["error: instances.a.after"]),
        ({"requires": ("ollama-fleet.target",)}, ["error: instances.a.requires"]),
        ({"requires": ("ollama@none.service",)}, ["error: instances.a.requires"]),
        ({"requires": ("srv.mount", "ollama.service")}, []),
        ({"replaces": ("ollama.service", "other.service")}, []),
        ({"replaces": ("ollama.service", "ollama.service")}, ["error: instances.a.replaces"]),
        ({"replaces": ("ollama.service",), "after": ("ollama.service",)}, ["error: instances.a.after"]),
    ],
)  # fmt: skip
def test_rules_within_an_instance(change: dict[str, object], expected: list[str]) -> None:
    assert said(replace(A, **change)) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["a\n", "a/b", "..", "-x", "x" * 65, "", "\u00e9", "a b", "a.service", "x.mount"])
def test_names_that_no_instance_can_have(name: str) -> None:
    assert [problem.severity for problem in found(replace(A, name=name))] == [Severity.ERROR]


@pytest.mark.parametrize("name", ["llama3.1-8b_x", "7b", "x" * 64, "service"])
def test_names_that_an_instance_can_have(name: str) -> None:
    assert found(replace(A, name=name)) == ()


@pytest.mark.parametrize(
    "path",
    ["/", "/etc/x", "/var", "/var/lib", "/tmp/x", "/var/lib/ollamactl", "/var/lib/ollamactl-instances/a", "/proc/1"],
)
def test_folders_that_no_store_can_be_in(path: str) -> None:
    assert "error: ollama.models" in [f"{problem.severity}: {problem.path}" for problem in found(A, models_dir=path)]


@pytest.mark.parametrize("path", ["/var/lib/ollama/models", "/home/me/.ollama/models", "/mnt/x", "/var/lib/ollamactl2"])
def test_folders_that_a_store_can_be_in(path: str) -> None:
    assert found(A, models_dir=path) == ()


@pytest.mark.parametrize(
    ("restart", "seconds"),
    [
        (Restart(delay=3, max_delay=3, tries=5), 15),
        (Restart(delay=0, max_delay=60, tries=5), 0),
        (Restart(delay=1, max_delay=8, tries=3), 1 + 2 + 4),
        (Restart(delay=1, max_delay=8, tries=5), 1 + 2 + 4 + 8 + 8),
    ],
)
def test_how_long_a_crash_loop_lasts(restart: Restart, seconds: float) -> None:
    assert loop(restart) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("restart", "path"),
    [
        (Restart(), ""),
        (Restart(delay=60, max_delay=60, tries=5, within=300), "instances.a.restart.tries"),
        (Restart(delay=60, max_delay=60, tries=5, within=301), ""),
        (Restart(delay=60, max_delay=60, tries=5, within=float("inf")), ""),
        (Restart(delay=60, max_delay=60, tries=5, within=1, policy=RestartPolicy.NEVER), ""),
        (Restart(delay=61), "instances.a.restart.max_delay"),
    ],
)
def test_a_crash_loop_must_end(restart: Restart, path: str) -> None:
    assert [problem.path for problem in found(replace(A, restart=restart))] == ([path] if path else [])


def test_the_hint_against_an_endless_crash_loop_ends_it() -> None:
    restart = Restart(delay=60, max_delay=60, tries=5, within=300)

    assert "within: 6m" in found(replace(A, restart=restart))[0].hint
    assert found(replace(A, restart=replace(restart, within=360.0))) == ()


def test_cards_that_are_shared_are_said_once() -> None:
    third = replace(A, name="c", port=2003, gpus=("0",))

    assert said(replace(A, gpus=("0",)), replace(B, gpus=("1", "0")), third) == ["note: instances.b.gpus"]


def test_two_with_every_card_are_said() -> None:
    assert said(replace(A, gpus=None), replace(B, gpus=None)) == ["note: instances.b.gpus"]
    assert said(replace(A, gpus=None), B) == []


def test_two_writers_of_one_store() -> None:
    assert said(replace(A, store=Store.WRITABLE), B) == []
    assert said(replace(A, store=Store.WRITABLE), replace(B, store=Store.WRITABLE)) == ["warning: instances.b.store"]


def test_what_is_stopped_but_required() -> None:
    needs = replace(B, requires=(A.unit,))

    assert said(replace(A, state=State.STOPPED), needs) == ["error: instances.b.requires"]
    assert said(replace(A, state=State.STOPPED), replace(needs, state=State.STOPPED)) == []


def test_a_long_chain_is_no_cycle_and_a_long_cycle_is_one() -> None:
    chain = [replace(A, name=f"m{at}", port=2000 + at, after=(f"ollama@m{at + 1}.service",)) for at in range(2999)]
    last = replace(A, name="m2999", port=5000)

    assert found(*chain, last) == ()
    problems = found(*chain, replace(last, after=("ollama@m0.service",)))
    assert [problem.path for problem in problems] == ["instances.m0.after"]
    assert len(problems[0].message) < 200


def test_a_diamond_is_no_cycle() -> None:
    c, d = replace(A, name="c", port=2003), replace(A, name="d", port=2004)

    assert (
        found(replace(A, after=(B.unit, c.unit)), replace(B, after=(d.unit,)), replace(c, requires=(d.unit,)), d) == ()
    )


def test_rules_that_look_at_an_unread_key_say_nothing() -> None:
    bad = replace(A, host="0.0.0.0", port=80)

    assert check(Fleet(instances=(bad,), models_dir="/srv/m"), {}, {"a": {"host"}}) == ()


@pytest.mark.parametrize(
    ("name", "value", "is_one"),
    [
        ("TOKEN", "x", True),
        ("HF_TOKEN", "x", True),
        ("OLLAMA_API_KEY", "x", True),
        ("db_password", "x", True),
        ("SECRET_2", "x", True),
        ("GOOGLE_APPLICATION_CREDENTIALS", "x", True),
        ("HTTPS_PROXY", "http://me:hunter2@proxy:3128", True),
        ("HTTPS_PROXY", "http://proxy:3128", False),
        ("ORIGIN", "http://a:1/@b", False),
        ("TOKEN", "", False),
        ("TOKENIZERS_PARALLELISM", "true", False),
        ("MAX_TOKEN", "5", False),
        ("HF_TOKEN_FILE", "/run/x", False),
        ("SECRETARY", "x", False),
        ("OLLAMA_DEBUG", "1", False),
    ],
)
def test_a_secret_among_what_everybody_can_read(name: str, value: str, is_one: bool) -> None:
    expected = [f"warning: instances.a.environment.{name}"] if is_one else []

    assert said(replace(A, environment=((name, value),))) == expected
    assert said(replace(A, secrets=((name, value),))) == []
