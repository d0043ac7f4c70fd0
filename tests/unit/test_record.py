"""What is installed says what it is: an instance's line in its drop-in, written and read back."""

import math
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollamactl.facts import Facts
from ollamactl.files import MARKER, ObservedFile
from ollamactl.model import (
    Backend,
    Egress,
    Fleet,
    Hardening,
    Health,
    Instance,
    Limits,
    Network,
    OnDemand,
    Restart,
    RestartPolicy,
    State,
    Store,
    Toggle,
)
from ollamactl.units import record, unitfile
from ollamactl.units.render import render

UNITS = "/etc/systemd/system"
text = st.text(st.characters(blacklist_categories=["Cs"]), max_size=20)
names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,20}", fullmatch=True)
seconds = st.floats(0, 1e9, allow_nan=False) | st.just(math.inf)
numbers = st.integers(0, 1 << 60)
pairs = st.lists(st.tuples(names, text), max_size=3).map(tuple)
several = st.lists(text, max_size=3).map(tuple)

restarts = st.builds(
    Restart, policy=st.sampled_from(RestartPolicy), delay=seconds, max_delay=seconds, tries=numbers, within=seconds
)
limits = st.builds(Limits, cpus=st.none() | text, **{
    field.name: st.none() | numbers for field in fields(Limits) if field.name != "cpus"
})  # fmt: skip
on_demand = st.builds(OnDemand, stop_after=seconds, unload_after=st.none() | seconds, max_wait=seconds)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "name": names,
    "port": st.integers(1, 65535),
    "models": several,
    "digests": pairs,
    "aliases": pairs,
    "models_from_name": st.booleans(),
    "host": text,
    "store": st.sampled_from(Store),
    "egress": st.sampled_from(Egress),
    "network": st.sampled_from(Network),
    "on_demand": st.none() | on_demand,
    "hardening": st.sampled_from(Hardening),
    "gpus": st.none() | several,
    "backend": st.sampled_from(Backend),
    "allow": several,
    "origins": several,
    "binary": text,
    "keep_alive": seconds,
    "context_length": st.none() | numbers,
    "parallel": numbers,
    "preload": several,
    "max_loaded_models": st.none() | numbers,
    "max_queue": st.none() | numbers,
    "load_timeout": st.none() | seconds,
    "flash_attention": st.sampled_from(Toggle),
    "kv_cache_type": st.none() | text,
    "spread": st.booleans(),
    "vram": st.none() | numbers,
    "vram_reserve": st.none() | numbers,
    "environment": pairs,
    "secrets": pairs,
    "environment_files": several,
    "description": st.none() | text,
    "enabled": st.booleans(),
    "state": st.sampled_from(State),
    "after": several,
    "requires": several,
    "replaces": several,
    "restart": restarts,
    "limits": limits,
}
instances = st.builds(Instance, **FIELDS)


def drop_in(instance: Instance) -> str:
    return f"{UNITS}/{instance.unit}.d/10-ollamactl.conf"


def installed(*lines: str, path: str = f"{UNITS}/ollama@x.service.d/10-ollamactl.conf", ours: bool = True) -> Fleet:
    data = "\n".join([MARKER, "[Service]", "Nice=5", f"[{record.SECTION}]", *lines, ""]).encode()
    return record.installed_fleet({path: ObservedFile(path=path, data=data, ours=ours)})


def test_the_round_trip_is_of_every_field() -> None:
    assert {field.name for field in fields(Instance)} == {*FIELDS}


@given(instances)
def test_an_instance_comes_back(instance: Instance) -> None:
    """All but its secrets, which lie in a file that root alone may read."""
    (found,) = installed(record.instance_line(instance)).instances
    assert found == replace(instance, secrets=())


@given(instances)
def test_the_line_is_one_line_that_systemd_and_people_can_read(instance: Instance) -> None:
    line = record.instance_line(instance)
    assert line.isascii()
    assert line.isprintable()
    assert unitfile.parse(f"[{record.SECTION}]\n{line}\n") == [
        unitfile.Directive(record.SECTION, "Instance", line.removeprefix("Instance="))
    ]


def test_secrets_are_not_in_it() -> None:
    line = record.instance_line(Instance(name="x", port=1, models=(), secrets=(("TOKEN", "hunter2"),)))
    assert "TOKEN" not in line
    assert "hunter2" not in line


def test_defaults_are_not_in_it() -> None:
    line = record.instance_line(Instance(name="x", port=11434, models=("m:latest",)))
    assert line == 'Instance={"name":"x","port":11434,"models":["m:latest"]}'


healths = st.none() | st.builds(Health, every=st.floats(1, 86400), failures=st.integers(1, 1000))


@given(st.builds(
    Fleet,
    binary=text,
    models_dir=text,
    source=text,
    health=healths,
    custom=st.dictionaries(text, text).map(lambda own: tuple(own.items())),
    cards=st.dictionaries(text, numbers).map(lambda sizes: tuple(sizes.items())),
))  # fmt: skip
def test_what_the_fleet_shares_comes_back(fleet: Fleet) -> None:
    assert installed(record.fleet_line(fleet), path=f"{UNITS}/ollama-fleet.target") == fleet


@pytest.mark.parametrize(
    ("line", "source"),
    [
        ('Fleet={"source":"/root/fleet.yaml"}', "/root/fleet.yaml"),
        ('Fleet={"source":""}', ""),
        ('Fleet={"source":7}', None),
        ("Fleet={}", None),
        ("", None),
    ],
)
def test_where_the_installed_fleet_came_from(line: str, source: str | None) -> None:
    path = f"{UNITS}/ollama-fleet.target"
    file = ObservedFile(path=path, data=line.encode(), ours=True)
    assert record.installed_source({path: file}) == source
    assert record.installed_source({path: replace(file, ours=False)}) is None
    assert record.installed_source({}) is None


def test_a_rendered_fleet_comes_back_sorted_by_name() -> None:
    a, b = (Instance(name=name, port=port, models=("m:latest",)) for name, port in (("a", 1), ("b", 2)))
    fleet = Fleet(models_dir="/srv/models", instances=(b, a), source="/root/fleet.yaml")
    files = {file.path: ObservedFile(path=file.path, data=file.data, ours=True) for file in render(fleet, Facts())}
    assert record.installed_fleet(files) == replace(fleet, instances=(a, b))


@pytest.mark.parametrize(
    "line",
    [
        "Instance=",
        "Instance=not json",
        "Instance=[]",
        'Instance={"name":"x"}',
        'Instance={"name":"x","port":1,"store":"bucket"}',
        'Instance={"name":"x","port":1,"restart":{"policy":"sometimes"}}',
        'Instance={"name":"x","port":1,"restart":{}}',
        'Instance={"name":"x","port":1,"limits":{"planets":9}}',
        'Instance={"name":"x","port":1,"restart":7}',
        'Instance={"name":"x","port":1,"environment":[["A"]]}',
        "",
    ],
)
def test_a_drop_in_that_says_nothing_sensible_is_no_instance(line: str) -> None:
    """By a newer ollamactl, or by somebody's editor."""
    assert installed(line).instances == ()


def test_what_a_newer_ollamactl_has_added_is_left_out() -> None:
    (found,) = installed('Instance={"name":"x","port":1,"models":["m"],"telepathy":true}').instances
    assert found == Instance(name="x", port=1, models=("m",))
    line = 'Fleet={"binary":"/b","moon":"full","models_dir":7,"health":{"every":"x","failures":5}}'
    fleet = installed(line, path=f"{UNITS}/ollama-fleet.target")
    assert fleet == Fleet(binary="/b", health=Health(failures=5))


def test_a_file_of_somebody_else_is_not_believed() -> None:
    line = 'Instance={"name":"x","port":1,"models":["m"]}'
    assert installed(line).instances
    assert not installed(line, ours=False).instances
