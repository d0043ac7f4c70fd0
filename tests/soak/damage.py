"""Real specs, damaged: bytes flipped, lines doubled, keys renamed, values of other types, anchors and aliases."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from tests.soak.pieces import KEYS, MARKS, NUMBERS, ODD, RAW, REAL, WORDS, scalar

Mutation = Callable[[random.Random, bytes], bytes]


def damaged(dice: random.Random) -> bytes:
    """A real spec after one to six mutations."""
    data = dice.choice(REAL)
    for _ in range(dice.choice((1, 1, 2, 2, 3, 4, 6))):
        data = dice.choice(MUTATIONS)(dice, data)
    return data


def _spot(dice: random.Random, data: bytes) -> int:
    return dice.randint(0, len(data))


def _flip_bytes(dice: random.Random, data: bytes) -> bytes:
    changed = bytearray(data or b"\n")
    for _ in range(dice.randint(1, 4)):
        changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    return bytes(changed)


def _random_bytes(dice: random.Random, data: bytes) -> bytes:
    at = _spot(dice, data)
    return data[:at] + dice.randbytes(dice.randint(1, 8)) + data[at + dice.randint(0, 8) :]


def _cut(dice: random.Random, data: bytes) -> bytes:
    first, last = sorted((_spot(dice, data), _spot(dice, data)))
    return dice.choice((data[:first], data[last:], data[:first] + data[last:]))


def _lines(dice: random.Random, data: bytes) -> bytes:
    lines = data.splitlines(keepends=True) or [b"\n"]
    one, other = dice.randrange(len(lines)), dice.randrange(len(lines))
    match dice.randrange(5):
        case 0:
            lines[one] *= dice.choice((2, 3, 50, 2000))
        case 1:
            lines[one], lines[other] = lines[other], lines[one]
        case 2:
            del lines[one]
        case 3:
            lines[one] = b" " * dice.choice((1, 2, 3, 8, 300)) + lines[one]
        case _:
            lines[one] = lines[one].lstrip()
    return b"".join(lines)


def _ends(dice: random.Random, data: bytes) -> bytes:
    return data.replace(b"\n", dice.choice((b"\r\n", b"\r", b"\xc2\x85", b"\xe2\x80\xa8", b"\n\n", b"", b"\t\n")))


def _key(dice: random.Random, data: bytes) -> bytes:
    found = list(re.finditer(rb"[A-Za-z_.-]{1,40}(?=:)", data))
    if not found:
        return data
    at = dice.choice(found)
    old = at[0].decode()
    letter = dice.randrange(len(old))
    new = dice.choice(
        (
            dice.choice(KEYS),
            old[:letter] + old[letter + 1 :],
            old[:letter] + dice.choice(ODD) + old[letter:],
            old.upper(),
            old * dice.choice((2, 1000)),
            dice.choice(WORDS),
            dice.choice(NUMBERS),
            f'"{old}"',
            f"? {old}\n",
        )
    )
    return data[: at.start()] + new.encode("utf-8", "surrogatepass") + data[at.end() :]


def _value(dice: random.Random, data: bytes) -> bytes:
    found = list(re.finditer(rb"(?<=: )[^,}\]\n]{1,400}", data))
    if not found:
        return data
    at = dice.choice(found)
    return data[: at.start()] + scalar(dice).encode("utf-8", "surrogatepass") + data[at.end() :]


def _odd(dice: random.Random, data: bytes) -> bytes:
    at = _spot(dice, data)
    piece = dice.choice(RAW) if dice.random() < 0.3 else dice.choice(ODD).encode("utf-8", "surrogatepass")
    return data[:at] + piece * dice.choice((1, 1, 1, 2, 3000)) + data[at:]


def _mark(dice: random.Random, data: bytes) -> bytes:
    at = _spot(dice, data)
    return data[:at] + dice.choice(MARKS) * dice.choice((1, 1, 1, 2, 30, 3000)) + data[at + dice.choice((0, 0, 1, 5)) :]


def _anchors(dice: random.Random, data: bytes) -> bytes:
    """A value gets an anchor, and others become its aliases, its merges, or a tree of them."""
    found = list(re.finditer(rb"(?<=: )[^,}\]\n]{1,400}", data))
    if len(found) < 2:
        return data
    first, second = sorted(dice.sample(found, 2), key=lambda at: at.start())
    alias = dice.choice((b"*a", b"[*a, *a]", b"{<<: *a}", b"{<<: [*a, *a], b: *a}", b"*b", b"&a *a", b"&a [*a]"))
    return data[: first.start()] + b"&a " + data[first.start() : second.start()] + alias + data[second.end() :]


def _bomb(dice: random.Random, data: bytes) -> bytes:
    width, depth = dice.choice(((2, 20), (9, 9), (10, 5), (2, 3), (100, 3), (300, 2)))
    lines = ["x0: &x0 [a, b]" if dice.random() < 0.5 else "x0: &x0 {port: 11434}"]
    for level in range(1, depth):
        aliases = ", ".join([f"*x{level - 1}"] * width)
        lines.append(
            f"x{level}: &x{level} " + dice.choice((f"[{aliases}]", f"{{<<: [{aliases}]}}", f"{{a: [{aliases}]}}"))
        )
    use = dice.choice((f"instances: *x{depth - 1}\n", f"defaults: {{environment: *x{depth - 1}}}\n", ""))
    return "\n".join([*lines, use]).encode() + data


def _deep(dice: random.Random, data: bytes) -> bytes:
    at, depth = _spot(dice, data), dice.choice((3, 19, 20, 21, 22, 1000, 50_000))
    opening, closing = dice.choice(((b"[", b"]"), (b"{a: ", b"}"), (b"- ", b""), (b"? ", b""), (b"[{a: ", b"}]")))
    return data[:at] + opening * depth + b"x" + closing * dice.choice((0, depth)) + data[at:]


def _many(dice: random.Random, data: bytes) -> bytes:
    count = dice.choice((2, 100, 3000, 6000))
    line = dice.choice(
        ("  i%d: {port: %d}\n", "  i%d: {prot: %d}\n", "  i%d: {port: 11434, after: [i%d]}\n", "  i%d: &i%d {}\n")
    )
    return data + "".join(line % (number, 1024 + number) for number in range(count)).encode()


def _twice(dice: random.Random, data: bytes) -> bytes:
    return data + dice.choice((b"", b"---\n", b"...\n", b"\n\xef\xbb\xbf")) + dice.choice(REAL)


MUTATIONS: tuple[Mutation, ...] = (
    *(_flip_bytes, _random_bytes, _cut, _lines, _lines, _ends, _key, _key, _key, _value, _value, _value, _value, _odd),
    *(_odd, _mark, _mark, _anchors, _bomb, _deep, _many, _twice),
)
