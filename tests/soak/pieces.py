"""What specs are made of that nobody would write: numbers, words, characters and marks that mean something to YAML."""

from __future__ import annotations

import random
from pathlib import Path

from ollamactl.spec import schema

TOP = Path(__file__).parents[2]
REAL = [
    path.read_bytes()
    for path in (*sorted((TOP / "examples").glob("*.yaml")), *sorted((TOP / "tests" / "cases").rglob("spec.yaml")))
]
KEYS = [*schema.load()["properties"], *schema.instance_keys(), *(
    key for group in ("restart", "limits") for key in schema.instance_keys()[group]["properties"]
)]  # fmt: skip

NUMBERS = [
    *("0", "-0", "-1", "1", "65535", "65536", "99999999999", "9" * 30, "9" * 5000, "-" + "9" * 4301, "1e308", "1e999"),
    *("0x7fffffffffffffff", "0b1", "0o17", "1_000", "1.5", ".5", "1.", ".inf", "-.inf", ".nan", "+5", "007", "1:30:00"),
    *("11434.0", "1e4", "0.0.0.0", "1.1.1", "1..2"),
]
WORDS = [
    *("null", "~", "", "true", "false", "yes", "off", "on", "none", "all", "any", "auto", "forever", "private", "inf"),
    *("127.0.0.1", "0.0.0.0", "::", "::1", "fe80::1%eth0", "::ffff:1.2.3.4", "10.0.0.0/8", "10.0.0.1/8", "localhost"),
    *("5m", "1h30m", "5 parsecs", "99999999999999h", "24G", "1.5GiB", "0B", "150%", "0-3,8", "3-0", "0-"),
    *("GPU-5c1a2e6b-0000-0000-0000-000000000000", "0000:01:00.0", "MIG-1", "a.service", "a@.service", "%n", "$HOME"),
    *(
        "llama3",
        "acme/coder:7b",
        "x@sha256:" + "0" * 64,
        "http://x/y",
        "../../etc/passwd",
        "a:b:c",
        "/",
        "//",
        "/a/../b",
    ),
    *("/etc/passwd", "/dev/zero", "/proc/self/mem", "\\", "'", '"', "`id`", "{{ 7*7 }}", "{% for %}", "%(x)s", "%s"),
    *("[]", "{}", "[[]]", "[{}]", "{a: {}}", "- a", "? a", "a: b", "&x", "*x", "<<", "!!python/object:os.system", "!x"),
    *("2001-01-01", "2001-01-01T00:00:00Z", "=", "|", ">", "|-", "%YAML 9.9", "---", "...", "@", "`", "#", "x #y"),
]
ODD = [
    *("\ufeff", "\u2028", "\u2029", "\u0085", "\u00a0", "\u200b", "\u202e", "\u2066", "\ufffe", "\uffff", "\ufdd0"),
    *("\U0001f999", "\U0010ffff", "\U0010fffd", "e\u0301", "\u0130", "\u0131", "\u017f", "\u212a", "\u0660", "\uff11"),
    *(
        "\u0000",
        "\u0007",
        "\u001b[31m",
        "\u007f",
        "\r",
        "\r\n",
        "\t",
        "\v",
        "\f",
        "а",
        "ꓲ",
        "ﬁ",
        "ß",
        "\u0345",
        "\u1e9e",
    ),
]
RAW = [b"\xff", b"\xfe", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x80", b"\xff\xfe", b"\x00", b"\xc2"]
MARKS = [
    *(b"&a ", b"*a", b"<<: *a", b"<<: [*a, *a]", b"<<: ", b"{", b"}", b"[", b"]", b",", b": ", b":", b"- ", b"? "),
    *(b"|\n", b">+2\n", b'"', b"'", b'"\\u0000"', b'"\\ud800"', b'"\\x"', b"#", b"---\n", b"...\n"),
    *(b"!!str ", b"!!binary ", b"!<x> ", b"\n", b"\n\n", b" ", b"  ", b"\t", b"secrets: ", b"environment: "),
    *(b"instances: ", b"defaults: ", b"%TAG ! tag:x,1:\n"),
]  # fmt: skip

RIGHT: dict[str, tuple[object, ...]] = {
    "host": ("127.0.0.1", "::1", "0.0.0.0", "10.0.0.1"),
    "allow": ("10.0.0.0/8", ["any"], ["10.0.0.0/8", "fd00::/8"]),
    "models": ("llama3", ["a/b:c", "m"], ["reg.example:5000/a/b:c"]),
    "gpus": ("all", "none", 0, [0, 1], ["0000:01:00.0"], ["GPU-5c1a2e6b-0000-0000-0000-000000000000"]),
    "origins": (["http://x.example"], "*", ["app://*"]),
    "binary": ("/usr/bin/ollama",),
    "keep_alive": ("5m", 0, "forever", "1h30m", 300),
    "load_timeout": ("5m", "forever", 1),
    "context_length": (512, "auto", 131072),
    "vram_reserve": ("1G", "512M"),
    "environment_files": ("/etc/x", ["/etc/x", "/etc/a b"]),
    "description": ("a server", "%n # é"),
    "after": ("a.service", ["i0", "b.target"]),
    "requires": ("a.service",),
    "delay": ("3s", "100ms", 0),
    "max_delay": ("1m",),
    "within": ("5m", "forever"),
    "memory_high": ("1G",),
    "memory_max": ("24G",),
    "cpu_quota": ("150%",),
    "cpus": ("0-3,8", "0"),
}


def scalar(dice: random.Random) -> str:
    kind = dice.random()
    if kind < 0.3:
        return dice.choice(NUMBERS)
    if kind < 0.8:
        return dice.choice(WORDS)
    if kind < 0.9:
        return dice.choice(ODD)
    return dice.choice(("x", "9", "-", "%", "/a", "a,", "1.")) * dice.choice((1, 10, 1000, 100_000))
