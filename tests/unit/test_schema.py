import json
import math
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from ollamactl.model import Instance, Limits, Restart
from ollamactl.spec import schema, specfile


def keys(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, key in node.get("properties", {}).items():
        if "$ref" not in key:
            yield f"{path}{name}", key
            yield from keys(key, f"{path}{name}.")


ALL = [*keys(schema.load()), *keys(schema.load()["$defs"]["instance"], "instance.")]


def test_it_is_a_valid_schema() -> None:
    Draft202012Validator.check_schema(schema.load())
    assert json.loads(schema.text()) == schema.load()


@pytest.mark.parametrize(("path", "key"), ALL, ids=[path for path, _ in ALL])
def test_every_key_has_a_sentence_and_a_default_of_its_own_type(path: str, key: dict[str, Any]) -> None:
    assert key["description"].endswith(".")
    assert "\n" not in key["description"]
    if path not in ("instance.port", "instance.models", "instances", "health"):
        without_default = {name: value for name, value in key.items() if name != "default"}
        Draft202012Validator(without_default).validate(key["default"])
    for example in key.get("examples", []):
        example_schema = {**key, "$defs": schema.load()["$defs"]}
        Draft202012Validator(example_schema).validate(example)


def test_the_keys_are_those_of_the_model() -> None:
    derived = {"name", "models_from_name", "digests"}

    assert set(schema.instance_keys()) == {field.name for field in fields(Instance)} - derived
    assert set(schema.instance_keys()["restart"]["properties"]) == {field.name for field in fields(Restart)}
    assert set(schema.instance_keys()["limits"]["properties"]) == {field.name for field in fields(Limits)}


def test_the_defaults_are_those_of_the_model() -> None:
    def defaults(node: dict[str, Any]) -> dict[str, Any]:
        return (
            {
                name: defaults(key) if "properties" in key and key["default"] is not None else key["default"]
                for name, key in node.items()
                if name not in ("port", "models", "replaces")
            }
            if "properties" not in node
            else defaults(node["properties"])
        )

    document = {
        "version": 1,
        "ollama": {name: key["default"] for name, key in schema.load()["properties"]["ollama"]["properties"].items()},
        "defaults": defaults(schema.instance_keys()),
        "instances": {"llama3": {"port": 11434}},
    }
    written = specfile.load(json.dumps(document).encode(), name="x").fleet
    left_out = specfile.load(b"version: 1\ninstances: {llama3: {port: 11434}}", name="x").fleet

    assert written == left_out
    assert math.isclose(left_out.instances[0].keep_alive, 300)


def test_defaults_take_every_key_but_port_models_and_replaces() -> None:
    assert set(schema.load()["properties"]["defaults"]["properties"]) == set(schema.instance_keys()) - {
        "port",
        "models",
        "replaces",
    }
