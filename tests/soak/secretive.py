"""Specs with a secret, which is often no YAML, among other mistakes: whatever is said of them, it must not show."""

from __future__ import annotations

import random

from tests.soak.pieces import KEYS, MARKS, WORDS


def secretive(dice: random.Random) -> bytes:
    """A spec with the text hunter2 in a secret, which is often no YAML, among other mistakes."""
    lines = [f"    {dice.choice(KEYS)}: {dice.choice(WORDS)}" for _ in range(dice.randint(0, 2))]
    key = dice.choice(("secrets", "secrets", "secret", "Secrets", "secerts", '"secrets"'))
    if dice.random() < 0.5:
        lines += [
            f"    {key}:",
            *(f"      {name}: {_around(dice)}" for name in ("A", "B", dice.choice(("A", "5", "C D")))),
        ]
    else:
        lines += [f"    {key}: {{A: {_around(dice)}, {dice.choice(('A', '5', 'C D', 'E'))}: x}}"]
    lines += [f"    {dice.choice(KEYS)}: {dice.choice(WORDS)}" for _ in range(dice.randint(0, 2))]
    return "\n".join(["version: 1", "instances:", "  a:", "    port: 11434", *lines, ""]).encode()


def _around(dice: random.Random) -> str:
    """hunter2 between pieces that mean something to YAML, none of which ends the secret before it."""
    pieces = [mark.decode() for mark in MARKS if not set(mark) & set(b"\n}")] + ["x", " ", "\\", "7", "=", "\t"]
    before = "".join(dice.choice(pieces) for _ in range(dice.randint(0, 3)))
    after = [piece for piece in [*pieces, "}"] if ":" not in piece]  # or it would be a name
    return f"{before}hunter2{''.join(dice.choice(after) for _ in range(dice.randint(0, 3)))}"
