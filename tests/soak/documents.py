"""Documents of real keys: from tame ones, that the rules behind the schema see, to wild ones, that fit nowhere."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

from ollamactl.spec import schema
from tests.soak.pieces import KEYS, NUMBERS, ODD, RIGHT, WORDS


def made(dice: random.Random) -> bytes:
    """A document of real keys, as JSON, as block YAML or as a flow of unquoted words."""
    document = _document(dice)
    style = dice.random()
    if style < 0.3:
        return json.dumps(document, ensure_ascii=dice.random() < 0.5).encode("utf-8", "surrogatepass")
    return "".join(_block(dice, document, 0)).encode("utf-8", "surrogatepass")


def _document(dice: random.Random) -> object:
    wild = dice.choice((0.0, 0.02, 0.1, 0.3))
    top: dict[str, object] = {"version": 1 if dice.random() > wild else dice.choice((2, "1", None, True, 10**400))}
    odd = ["b.c", "llama3", "GPU0", "-x", "a b", "models", "x.service", *ODD, "n" * 70]
    top["instances"] = {
        dice.choice(odd) if dice.random() < wild else f"i{number}": _settings(dice, wild, port=11434 + number)
        for number in range(dice.randint(0, 5))
    }
    if dice.random() < 0.5:
        top["defaults"] = _settings(dice, wild)
    if dice.random() < wild:
        top["ollama"] = {"binary": _any(dice, 1), "models": _any(dice, 1)}
    if dice.random() < wild:
        top[dice.choice(KEYS)] = _any(dice, 0)
    return top if dice.random() > wild / 10 else _any(dice, 0)


def _settings(dice: random.Random, wild: float, **fixed: object) -> object:
    keys = schema.instance_keys()
    chosen = dice.sample([key for key in keys if key != "port"], dice.randint(0, 6))
    settings = {**fixed, **{key: _likely(dice, wild, key, keys[key]) for key in chosen}}
    return settings if dice.random() > wild / 10 else _any(dice, 0)


def _likely(dice: random.Random, wild: float, key: str, wanted: dict[str, Any]) -> object:
    """A value for a key: of the right form unless it is wild, so that the rules behind the schema are reached too."""
    if dice.random() < wild:
        return _any(dice, 0)
    if "enum" in wanted:
        return dice.choice(wanted["enum"])
    if "properties" in wanted:
        inner = wanted["properties"]
        return {each: _likely(dice, wild, each, inner[each]) for each in dice.sample(list(inner), dice.randint(0, 3))}
    if key in RIGHT:
        return dice.choice(RIGHT[key])
    kinds = wanted.get("type", "string")
    match dice.choice(kinds if isinstance(kinds, list) else [kinds]):
        case "integer":
            return dice.choice((0, 1, 5, 512, 11434, 65535, *((-1, 10**18, 10**19, -(10**4000)) if wild else ())))
        case "boolean":
            return dice.random() < 0.5
        case "array":
            return [_text(dice) for _ in range(dice.randint(0, 4))]
        case "object":
            names = (
                "A",
                "B_1",
                "OLLAMA_DEBUG",
                "LD_LIBRARY_PATH",
                *(("OLLAMA_VULKAN", "HOME", "é", "X" * 300) if wild else ()),
            )
            return {dice.choice(names): _text(dice) for _ in range(dice.randint(0, 3))}
        case _:
            return _text(dice)


def _text(dice: random.Random) -> str:
    return dice.choice(
        (dice.choice(WORDS), dice.choice(NUMBERS), dice.choice(ODD), dice.choice(WORDS) + dice.choice(ODD))
    )


def _any(dice: random.Random, depth: int) -> object:
    kind = dice.random()
    if depth < 4 and kind < 0.15:
        return [_any(dice, depth + 1) for _ in range(dice.randint(0, 4))]
    if depth < 4 and kind < 0.3:
        return {_text(dice): _any(dice, depth + 1) for _ in range(dice.randint(0, 4))}
    if kind < 0.4:
        return dice.choice((None, True, False, 0, -1, 1.5, 1e300, 10**30, -(10**4000)))
    return _text(dice)


def _block(dice: random.Random, value: object, depth: int) -> Iterator[str]:
    """As block YAML; texts are sometimes quoted, so that some are taken for what they are not."""
    if isinstance(value, dict) and value:
        yield "\n" if depth else ""
        for key, inner in value.items():
            yield f"{'  ' * depth}{key if dice.random() < 0.8 else json.dumps(key)}: "
            yield from _block(dice, inner, depth + 1)
    elif isinstance(value, list) and value:
        yield "\n"
        for inner in value:
            yield f"{'  ' * depth}- "
            yield from _block(dice, inner, depth + 1)
    elif isinstance(value, str):
        yield (value if dice.random() < 0.6 else json.dumps(value, ensure_ascii=False)) + "\n"
    else:
        yield f"{'null' if value is None else str(value).lower() if isinstance(value, bool) else _number(value)}\n"


def _number(value: object) -> str:
    return (
        value
        if isinstance(value, str)
        else json.dumps(value)
        if isinstance(value, float | dict | list)
        else f"{value:d}"
    )
