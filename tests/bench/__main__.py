"""`make bench`: boots one container, measures there, prints the table. Ratios against a floor of the same run."""

import json
import sys

from tests.lab.container import Container

ROWS = (
    ("apply_strict", "apply from nothing, N=100, hardening: strict", "daemon-reload, enable, start by systemctl", 1.15),
    ("apply_off", "the same, hardening: off", "the same", 1.5),
    ("nothing_to_do", "apply with nothing to do, N=100", "systemctl show of the 100", 2.5),
    ("growth", "cost per instance, N=1000 against N=100", "N=100", 1.2),
    ("store", "plan, N=100, each 2 of a store's 200 models", "each the one of a store's one", 2.0),
    ("help", "ollamactl --help", "python3 -c 'import click, yaml'", 1.5),
)
MEMORY_LIMIT = 80


def main() -> int:
    """Prints every row with its floor, ratio and limit; exits with 1 when a limit is missed."""
    only = sys.argv[1:]
    with Container.boot("bookworm", store=True) as machine:
        command = ["/usr/bin/python3", "-m", "tests.bench.inside", *only]
        with machine.popen(command, cwd="/opt/ollamactl-src", stderr=sys.stderr.fileno()) as process:
            output, _ = process.communicate()
        if process.returncode:
            print(output, file=sys.stderr)
            return process.returncode
        figures = json.loads(output)
    missed = 0
    print(f"{'what':<46} {'ours':>9} {'floor':>9} {'ratio':>6} {'at most':>7}")
    for key, what, floor, limit in ROWS:
        if key not in figures:
            continue
        ours, base = figures[key]["ours"], figures[key]["floor"]
        missed += ours / base > limit
        mark = "" if ours / base <= limit else "  MISSED"
        print(f"{what:<46} {ours * 1000:7.0f}ms {base * 1000:7.0f}ms {ours / base:6.2f} {limit:7.2f}{mark}  ({floor})")
    if "memory" in figures:
        peak = figures["memory"]["peak"] / 2**20
        missed += peak > MEMORY_LIMIT
        print(f"{'peak memory of apply, N=100':<46} {peak:7.0f}MB {'':>9} {'':>6} {MEMORY_LIMIT:5d}MB")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
